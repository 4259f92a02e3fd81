"""Images built here and brought to a host without a registry: little is sent, and the way back needs nobody."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from towline.core.units import byte_count
from towline.lab.images import bake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.lab.host import Lab, LabHost

pytestmark = [
    pytest.mark.needs("docker", "dockerd", "iptables", "mmdebstrap", "ssh"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a Docker daemon"),
]

SERVER = """
import http.server, os, signal, sys, threading
TEXT = "{text}"
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(TEXT.encode())
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Answer)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(0.05)
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
class Press:
    """The project of an app that is built, whose only target is the lab host."""

    folder: Path
    host: LabHost
    docker: Mapping[str, str]

    def write(self, text: str) -> None:
        """Let it answer with this text from the next deploy on: one line of its code changes."""
        (self.folder / "server.py").write_text(SERVER.replace("{text}", text))

    def towline(self, *words: str, docker: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the project, with the lab's Docker as the local one."""
        argv = [sys.executable, "-m", "towline.cli.main", *words]
        environ = {**os.environ, **(self.docker if docker is None else docker)}
        environ["XDG_CONFIG_HOME"] = str(self.folder.parent / "config")
        return subprocess.run(argv, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)

    def deploy(self) -> str:
        """Deploy; it must succeed. What it says."""
        done = self.towline("deploy", "production", "--yes")
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stderr

    def answers(self) -> str:
        """What a browser gets."""
        return httpx.get(f"http://{self.host.ipv4}/", headers={"Host": self.host.name}, timeout=20).text

    def images(self) -> list[str]:
        """The images of the app on the host."""
        ran = self.host.ssh("docker image ls --format '{{.Repository}}:{{.Tag}}' --filter label=towline.app=press")
        return sorted(ran.stdout.split())

    def image_that_runs(self) -> str:
        """The image of the container that serves."""
        return self.host.ssh("docker ps --filter label=towline.service=web --format '{{.Image}}'").stdout.strip()


def sent(said: str) -> int:
    """Bytes that a deploy says it has sent."""
    found = re.findall(r"send press-web:\w+ .*? ([\d.]+ [kMG]?B)$", said, re.MULTILINE)
    return sum(byte_count(one.replace(" ", "")) for one in found)


@pytest.fixture(scope="module")
def press(lab: Lab, lab_hosts: tuple[LabHost, LabHost], tmp_path_factory: pytest.TempPathFactory) -> Press:
    """The app, deployed once; each test leaves it running and well."""
    bake(lab.docker, ["python:3.11-slim", "caddy:2.11.7"])
    host = lab_hosts[0].reset(suite="bookworm", docker=True)
    host.load("caddy:2.11.7")
    folder = tmp_path_factory.mktemp("images") / "press"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "large").write_bytes(os.urandom(20_000_000))
    (folder / "ssh_config").write_text(lab.ssh_config.read_text())
    (folder / "towline.yaml").write_text(PAGE.format(name=host.name, address=host.ipv4))
    made = Press(folder, host, lab.docker.environment)
    made.write("one")
    plan = made.towline("plan", "production")
    assert re.search(r"load the image press-web:[0-9a-f]{12} \(at most \d+ MB to send\)", plan.stdout), plan.stderr
    assert made.images() == []
    said = made.deploy()
    assert sent(said) > 20_000_000
    return made


def test_what_was_built_runs_under_the_name_of_its_content(press: Press) -> None:
    """With the stage, the arguments and the labels that the files say; nothing of what was sent is left."""
    press.write("one")
    press.deploy()
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
    press.deploy()
    before = press.images()
    again = press.towline("deploy", "production", "--yes", docker={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    assert again.returncode == 0, again.stderr
    assert "nothing was changed" in again.stderr
    assert press.images() == before


def test_one_line_of_code_costs_a_layer(press: Press) -> None:
    """Less than a hundredth of the image travels; the rest is on the host."""
    whole = int(press.host.ssh(f"docker image inspect -f '{{{{.Size}}}}' {press.images()[0]}").stdout)
    new = uuid.uuid4().hex
    press.write(new)
    said = press.deploy()
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
        failed = press.towline("deploy", "production", "--yes", docker={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    finally:
        server.write_text(text)
    assert failed.returncode == 6, failed.stderr
    assert "`web` has to be built, and no Docker answers here" in failed.stderr
    assert "hint: docker version" in failed.stderr


def test_rollback_needs_neither_docker_here_nor_a_registry(press: Press) -> None:
    """The release before is kept with its image and environment; what is older is cleared away, and goes no more."""
    press.write("three")
    press.deploy()
    press.write("four")
    press.deploy()
    assert len(press.images()) == 2
    assert press.answers() == "four"
    press.host.ssh("iptables -I OUTPUT -p tcp --dport 443 -j REJECT")
    nowhere = {"DOCKER_HOST": "unix:///nowhere/docker.sock", "PATH": f"/usr/bin:/bin:{Path(sys.executable).parent}"}
    back = press.towline("rollback", "-t", "production", docker=nowhere)
    assert back.returncode == 0, back.stderr
    assert press.answers() == "three"
    refused = press.towline("rollback", "-t", "production", docker=nowhere)
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
    nowhere = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    try:
        done = press.towline("deploy", "production", "--yes", docker=nowhere)
        assert done.returncode == 0, done.stderr
        assert "build the image press-web:" in done.stderr
        assert press.answers() == "five"
        name = press.image_that_runs()
        labels = json.loads(press.host.ssh(f"docker image inspect -f '{{{{json .Config.Labels}}}}' {name}").stdout)
        assert labels["note"] == "from-compose"
        again = press.towline("deploy", "production", "--yes", docker=nowhere)
        assert "nothing was changed" in again.stderr, again.stderr
    finally:
        page.write_text(text)
        (press.folder / ".env").unlink()
    press.deploy()
    assert press.answers() == "five"


def test_a_tag_is_run_as_it_was_when_the_release_was_made(press: Press, lab: Lab) -> None:
    """Another image under the same tag is another release, and the way back leads to the first one by its id."""
    compose = press.folder / "compose.yaml"
    compose.write_text('services: {web: {image: "moving:1", ports: ["8000:8000"], stop_grace_period: 3s}}\n')
    for text in ("first", "second"):
        press.write(text)
        lab.docker.run("build", "--target", "run", "-t", "moving:1", str(press.folder), within=300)
        press.host.load("moving:1")
        said = press.deploy()
        assert "no registry knows it" in said
        assert press.answers() == text
    back = press.towline("rollback", "-t", "production")
    assert back.returncode == 0, back.stderr
    assert press.answers() == "first"
    compose.write_text(COMPOSE)
    press.deploy()
