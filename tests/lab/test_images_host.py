"""Images built here and brought to a host without a registry: little is sent, and the way back needs nobody."""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.lab.hosted_app import ON_HOSTS, WEB, HostedApp

from towline.core.units import byte_count
from towline.lab.images import bake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from towline.lab.host import Lab, LabHost

pytestmark = [*ON_HOSTS]

SERVER = """
import os
os.environ["TEXT"] = "{text}"
"""
DOCKERFILE = """
FROM python:3.11-slim AS base
ARG NOTE
LABEL note=$NOTE
COPY large /large
FROM base AS run
COPY server.py /
CMD ["python3", "/server.py"]
FROM base AS never
RUN exit 1
"""
COMPOSE = """
services:
  web:
    build: {context: ., target: run, args: {NOTE: from-compose}, labels: {kind: press}}
    ports: ["8000:8000"]
    stop_grace_period: 3s
"""
PAGE = """
app: press
services:
  web: {{kind: web, ready: /}}
targets:
  production:
    keep: 1
    sites:
      box: {{kind: host, ssh: root@{name}, ssh_config: ssh_config, address: {address}}}
"""


@dataclass
class Press(HostedApp):
    """The app that is built; its only target is the lab host, the local Docker is the lab's."""

    docker: Mapping[str, str]

    @property
    def environ(self) -> dict[str, str]:
        """With the local Docker."""
        return {**super().environ, **self.docker}

    def write(self, text: str) -> None:
        """Let it answer with this text from the next deploy on: one line of its code changes."""
        (self.folder / "server.py").write_text(SERVER.format(text=text) + WEB)
        (self.folder / "compose.yaml").write_text(COMPOSE)

    def ship(self) -> str:
        """Deploy; it must succeed. What it says to people."""
        return self.said("deploy", "production", "--yes")

    def images(self) -> list[str]:
        """The images of the app on the host."""
        ran = self.host.ssh("docker image ls --format '{{.Repository}}:{{.Tag}}' --filter label=towline.app=press")
        return sorted(ran.stdout.split())

    def image_that_runs(self) -> str:
        """The image of the container that serves."""
        asked = "docker ps --filter label=towline.service=web --format '{{.Names}} {{.Image}}' | grep -v leaving"
        return self.host.ssh(asked).stdout.split()[-1]


def sent(said: str) -> int:
    """Bytes that a deploy says it has sent."""
    found = re.findall(r"send press-web:\w+ .*? ([\d.]+ [kMG]?B)$", said, re.MULTILINE)
    return sum(byte_count(one.replace(" ", "")) for one in found)


NOWHERE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
"""An environment in which no local Docker answers."""


def press_on(host: LabHost, lab: Lab, place: Path) -> Press:
    """The project for a host, beside which its operator keeps keys; nothing is deployed yet."""
    folder = place / "press"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "large").write_bytes(os.urandom(20_000_000))
    (folder / "ssh_config").write_text(lab.ssh_config.read_text())
    (folder / "towline.yaml").write_text(PAGE.format(name=host.name, address=host.ipv4))
    return Press(folder, host, lab.docker.environment)


@pytest.fixture(scope="module")
def first(lab: Lab, lab_hosts: tuple[LabHost, LabHost], tmp_path_factory: pytest.TempPathFactory) -> Press:
    """The app, deployed once for all tests of this file."""
    bake(lab.docker, ["python:3.11-slim", "caddy:2.11.7"])
    host = lab_hosts[0].reset(suite="bookworm", docker=True)
    host.load("caddy:2.11.7")
    made = press_on(host, lab, tmp_path_factory.mktemp("images"))
    made.write("one")
    plan = made.towline("plan", "production")
    assert re.search(r"load the image press-web:[0-9a-f]{12} \(at most \d+ MB to send\)", plan.stdout), plan.stderr
    assert made.images() == []
    said = made.ship()
    assert sent(said) > 20_000_000
    return made


@pytest.fixture
def press(first: Press, failed: Callable[[], bool]) -> Iterator[Press]:
    """It; each test leaves it running and well, one that fails too."""
    yield first
    if failed():
        first.write("one")
        first.mend()


def test_what_was_built_runs_under_the_name_of_its_content(press: Press) -> None:
    """With the stage, the arguments and the labels that the files say; nothing of what was sent is left."""
    press.write("one")
    press.ship()
    assert press.answers() == "one"
    name = press.image_that_runs()
    assert name in press.images()
    inspected = press.host.ssh(f"docker image inspect -f '{{{{json .Config.Labels}}}}' {name}")
    labels = json.loads(inspected.stdout)
    assert [labels[one] for one in ("note", "kind", "towline.app", "towline.service")] == [
        "from-compose",
        "press",
        "press",
        "web",
    ]
    assert press.host.ssh("ls /var/lib/towline/press/production/incoming").status != 0


def test_a_second_deploy_sends_nothing(press: Press) -> None:
    """The same source is the same image: found by what it was made from, without the local Docker."""
    press.ship()
    before = press.images()
    again = press.towline("deploy", "production", "--yes", **NOWHERE)
    assert again.returncode == 0, again.stderr
    assert "nothing was changed" in again.stderr
    assert press.images() == before


def test_one_line_of_code_costs_a_layer(press: Press) -> None:
    """Less than a hundredth of the image travels; the rest is on the host."""
    whole = int(press.host.ssh(f"docker image inspect -f '{{{{.Size}}}}' {press.images()[0]}").stdout)
    new = uuid.uuid4().hex
    press.write(new)
    said = press.ship()
    assert press.answers() == new
    assert 0 < sent(said) < whole / 100


def test_a_build_that_fails_touches_no_host(press: Press) -> None:
    """Its last lines are told, and what to type to see it again; the app serves on."""
    compose = press.folder / "compose.yaml"
    journal = press.host.ssh("cat /var/lib/towline/press/production/journal").stdout
    compose.write_text(COMPOSE.replace("target: run", "target: never"))
    try:
        failed = press.towline("deploy", "production", "--yes")
    finally:
        compose.write_text(COMPOSE)
    assert failed.returncode == 4, failed.stderr
    assert "the build of `web` failed" in failed.stderr
    assert "exit 1" in failed.stderr
    assert "docker build --file" in failed.stderr
    assert press.host.ssh("cat /var/lib/towline/press/production/journal").stdout == journal


def test_without_a_docker_here_it_is_said_what_to_do(press: Press) -> None:
    """A source that no host has needs somebody who builds it."""
    server = press.folder / "server.py"
    text = server.read_text()
    server.write_text(f"{text}\n# changed\n")
    try:
        failed = press.towline("deploy", "production", "--yes", **NOWHERE)
    finally:
        server.write_text(text)
    assert failed.returncode == 6, failed.stderr
    assert "`web` has to be built, and no Docker answers here" in failed.stderr
    assert "hint: docker version" in failed.stderr


def test_rollback_needs_neither_docker_here_nor_a_registry(press: Press) -> None:
    """The release before is kept with its image and environment; what is older is cleared away, and goes no more."""
    press.write("three")
    press.ship()
    press.write("four")
    press.ship()
    assert len(press.images()) == 2
    assert press.answers() == "four"
    no_way_out = "OUTPUT -p tcp --dport 443 -j REJECT"
    alone = {**NOWHERE, "PATH": f"/usr/bin:/bin:{Path(sys.executable).parent}"}
    press.host.ssh(f"iptables -I {no_way_out}")
    try:
        back = press.towline("rollback", "-t", "production", **alone)
        assert back.returncode == 0, back.stderr
        assert press.answers() == "three"
        refused = press.towline("rollback", "-t", "production", **alone)
    finally:
        press.host.ssh(f"iptables -D {no_way_out}")
    assert refused.returncode == 3, refused.stderr
    assert "is no longer kept" in refused.stderr
    assert press.answers() == "three"


def test_a_host_builds_where_no_docker_is_here(press: Press) -> None:
    """The context travels, without what is no code; the image is named after it, and not built a second time."""
    page = press.folder / "towline.yaml"
    text = page.read_text()
    page.write_text(text.replace("kind: host,", "kind: host, build: host,"))
    (press.folder / ".env").write_text("TOKEN=only-here\n")
    press.host.load("python:3.11-slim")
    press.write("five")
    try:
        done = press.towline("deploy", "production", "--yes", **NOWHERE)
        assert done.returncode == 0, done.stderr
        assert "build the image press-web:" in done.stderr
        assert press.answers() == "five"
        name = press.image_that_runs()
        labels = json.loads(press.host.ssh(f"docker image inspect -f '{{{{json .Config.Labels}}}}' {name}").stdout)
        assert labels["note"] == "from-compose"
        again = press.towline("deploy", "production", "--yes", **NOWHERE)
        assert "nothing was changed" in again.stderr, again.stderr
    finally:
        page.write_text(text)
        (press.folder / ".env").unlink()
    press.ship()
    assert press.answers() == "five"


def test_a_tag_is_run_as_it_was_when_the_release_was_made(press: Press, lab: Lab) -> None:
    """Another image under the same tag is another release, and the way back leads to the first one by its id."""
    tagged = 'services: {web: {image: "moving:1", ports: ["8000:8000"], stop_grace_period: 3s}}\n'
    for text in ("first", "second"):
        press.write(text)
        (press.folder / "compose.yaml").write_text(tagged)
        lab.docker.run("build", "--target", "run", "-t", "moving:1", str(press.folder), within=300)
        press.host.load("moving:1")
        said = press.ship()
        assert "no registry knows it" in said
        assert press.answers() == text
    back = press.towline("rollback", "-t", "production")
    assert back.returncode == 0, back.stderr
    assert press.answers() == "first"
    press.write("first")
    press.ship()
