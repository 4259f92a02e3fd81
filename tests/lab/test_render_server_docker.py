"""The same scripts with a real Docker behind the sshd: a release comes up, a bad one is taken back."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from tests.contract.loopback_sshd import LoopbackSshd
from tests.lab.workflow_server import BAD, GOOD, Server

from towline.lab.docker import LabDocker
from towline.lab.images import bake
from towline.spec.compose import find_compose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("dockerd", "iptables", "mmdebstrap", "ssh", "sshd", "ssh-keygen", "jq")

COMPOSE = """\
name: {name}
x-service: &service
  image: ${{REGISTRY:?}}/nutri:${{VERSION:?}}
  command: [sleep, "600"]
  init: true
  stop_grace_period: 1s
  healthcheck: {{ test: [CMD, test, "-f", /healthy], interval: 1s, retries: 3 }}
services:
  once: {{ image: "towline-ci/nutri:{good}", command: ["true"] }}
  api: {{ <<: *service, depends_on: {{ once: {{ condition: service_completed_successfully }} }} }}
  ml: {{ <<: *service }}
  release:
    <<: *service
    profiles: [release]
    command: [sh, -c, "test -f /healthy && echo migrated by $$(cat /version)"]
    healthcheck: {{ disable: true }}
"""

# The registry's part is left out: what is on this machine is all that there is.
PROGRAM = """\
#!/bin/bash
{exports}
case "$1" in
  login) cat > /dev/null; exit 0 ;;
  logout) exit 0 ;;
  compose)
    shift
    if [ "${{!#}}" = --quiet ]; then exit 0; fi
    exec {compose} "$@" ;;
esac
exec docker "$@"
"""


@pytest.fixture(scope="module")
def docker() -> Iterator[LabDocker]:
    """A Docker with an image of a good release and of a bad one."""
    with LabDocker(os.environ) as docker:
        bake(docker, ("python:3.11-slim",))
        yield docker
        docker.ask("image", "rm", f"towline-ci/nutri:{GOOD}", f"towline-ci/nutri:{BAD}")


@pytest.fixture
def server(docker: LabDocker, checkout_name: str, tmp_path: Path) -> Iterator[Server]:
    """A host with that Docker, on which nothing runs yet, and nothing is left."""
    for commit, line in ((GOOD, "touch /healthy"), (BAD, "true")):
        folder = tmp_path / commit
        folder.mkdir()
        (folder / "Dockerfile").write_text(f"FROM python:3.11-slim\nRUN {line} && echo {commit} > /version\n")
        docker.run("build", "--tag", f"towline-ci/nutri:{commit}", str(folder), within=120)
    name = f"towline-ci-{checkout_name}"
    programs = tmp_path / "programs"
    programs.mkdir()
    kept = {key: value for key, value in docker.environment.items() if key.startswith("DOCKER") or key == "PATH"}
    exports = "\n".join(f"export {key}='{value}'" for key, value in kept.items())
    program = programs / "docker"
    program.write_text(PROGRAM.format(exports=exports, compose=" ".join(find_compose(docker.environment))))
    program.chmod(0o755)
    with LoopbackSshd(tmp_path / "sshd") as sshd:
        made = Server(sshd, tmp_path, programs)
        made.images = lambda commit: {"api": f"towline-ci/nutri:{commit}", "ml": f"towline-ci/nutri:{commit}"}
        made.texts = {"compose.yaml": COMPOSE.format(name=name, good=GOOD)}
        yield made
    docker.environment = {**docker.environment, "REGISTRY": "towline-ci", "VERSION": GOOD}
    docker.compose("--project-name", name, "down", "--remove-orphans", "--timeout", "1")


def seen(docker: LabDocker, checkout_name: str) -> dict[str, str]:
    """The image and the health of each container of the project."""
    form = '{{.Label "com.docker.compose.service"}} {{.Image}} {{.Status}}'
    project = f"label=com.docker.compose.project=towline-ci-{checkout_name}"
    told = docker.run("ps", "--all", "--filter", project, "--format", form)
    rows = [line.split(" ", 2) for line in told.splitlines()]
    return {
        name: f"{image} {'healthy' if 'healthy' in status else status.split(' ')[0]}" for name, image, status in rows
    }


def test_a_release_comes_up_and_a_bad_one_is_taken_back(server: Server, docker: LabDocker, checkout_name: str) -> None:
    """A service that has done its work is no failure; what does not become healthy is, and the one before returns."""
    good = f"towline-ci/nutri:{GOOD}"
    expected = {"api": f"{good} healthy", "ml": f"{good} healthy", "once": f"{good} Exited"}
    first = server.deploy(GOOD, PATIENCE="60")
    assert first.status == 0, first.said
    assert seen(docker, checkout_name) == expected

    second = server.deploy(BAD, PATIENCE="10")
    assert second.status == 1
    assert "going back to the release before" in second.said
    assert seen(docker, checkout_name) == expected
    runs = json.loads((server.place / "images.json").read_text())["services"]
    assert runs["api"]["image"] == good
    assert f"VERSION={GOOD}\n" in (server.place / ".env").read_text()


def test_a_migration_runs_in_the_image_of_the_release_that_comes(server: Server) -> None:
    """Before anything of it is up; one that fails leaves a job that failed."""
    assert server.step("migrate", "migrate", "Send the release", GOOD).status == 0
    ran = server.step("migrate", "migrate", "Migrate", GOOD)
    assert ran.status == 0, ran.said
    assert f"migrated by {GOOD}" in ran.summary
    assert server.step("migrate", "migrate", "Send the release", BAD).status == 0
    assert server.step("migrate", "migrate", "Migrate", BAD).status != 0
