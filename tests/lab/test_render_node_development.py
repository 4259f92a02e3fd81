"""compose.dev.yaml of a TypeScript workspace on a real Docker: mounted, built at its start, changed in place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.contract.compose_projects import ENV
from tests.lab.compose_watch import watching
from tests.lab.rendered_builds import BASES, Builder, Project, client_with_buildkit
from tests.real_servers import free_port, until

from towline.artifacts import dev_compose
from towline.lab.docker import LabDocker
from towline.lab.images import bake
from towline.ops.render import material_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("dockerd", "iptables", "mmdebstrap")

FILE = "deploy/production/compose.dev.yaml"
USER = 1000
"""Who the container runs as, so that what it builds into the folder belongs to the usual first user of a machine."""


@pytest.fixture
def docker() -> Iterator[LabDocker]:
    """A daemon with the image that the packages are installed in."""
    with LabDocker(os.environ) as docker:
        bake(docker, (BASES["NODE_IMAGE"],))
        yield docker


@pytest.fixture
def project(docker: LabDocker, checkout: Path, checkout_name: str, tmp_path: Path) -> Iterator[Project]:
    """The workspace with its rendered files, owned by the usual user, and the image with its packages built."""
    client = client_with_buildkit(docker.environment)
    if client is None:
        pytest.skip("no docker client here can use BuildKit")
    project = Project(checkout / "tests" / "cases" / "render_sources" / "kirby-gen", tmp_path)
    out = project.folder / "deploy" / "production"
    for file in dev_compose.files(material_of(project.folder, "production", out, env=ENV)):
        (out / file.path).write_text(file.text)
    for path in (project.folder, *project.folder.rglob("*")):
        shutil.chown(path, USER, USER)
    builder = Builder(docker, client, f"towline-dev-{checkout_name}")
    builder.build(project, "dockerfiles/api.Dockerfile", "--target", "packages", "--tag", "kirby-gen-api:dev")
    told = {"COMPOSE_PROJECT_NAME": f"towline-dev-{checkout_name}", "LOCAL_API_PORT": str(free_port())}
    docker.environment = {**docker.environment, **told}
    yield project
    docker.compose("--file", str(project.folder / FILE), "down", "--volumes", "--timeout", "5")
    docker.ask("image", "rm", "--force", "kirby-gen-api:dev")
    builder.close()


def test_a_change_is_built_in_the_container(docker: LabDocker, project: Project) -> None:
    """The API answers as the usual user, what it built lies in the folder; a change beside it is there at once."""
    file = ("--file", str(project.folder / FILE))
    docker.compose(*file, "up", "--no-build", "--no-deps", "--detach", "--wait", "api", within=120)
    base = f"http://127.0.0.1:{docker.environment['LOCAL_API_PORT']}"
    assert httpx.get(f"{base}/api/health").json() == {"ok": True, "user": USER}
    assert (project.folder / "packages" / "api" / "dist" / "server.js").stat().st_uid == USER
    assert httpx.get(f"{base}/api/generations/My Page").json()["id"] == "my-page"
    assert not (project.folder / "node_modules" / "typescript").exists()
    shared = project.folder / "packages" / "shared" / "src" / "index.ts"
    with watching(docker, project.folder / FILE, Path(f"{project.folder}.watch.log"), "api"):
        shared.write_text(shared.read_text().replace('"-"', '"_"'))
        until(lambda: answer(f"{base}/api/generations/My Page") == "my_page", "the change answers", 60)


def answer(url: str) -> str | None:
    """The id in an answer, None while it starts again."""
    try:
        return str(httpx.get(url, timeout=5).json()["id"])
    except httpx.HTTPError:
        return None
