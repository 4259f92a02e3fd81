"""A small app on one lab host, for benchmarks: two web copies and a worker, ready 0.3 s after they start.

Its image is there already, and its readiness costs nothing to ask. The same Compose file, without a front door, is what
`docker compose` gets.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from towline.lab.host import Lab
from towline.lab.images import bake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.lab.host import LabHost

IMAGE = "towline-bench:1"
BASE, DOOR = "python:3.11-slim", "caddy:2.11.7"
FAR = 100
"""Milliseconds of a round trip on the slow way."""

PROGRAM = """
import http.server, os, pathlib, signal, sys, threading, time
time.sleep(0.3)
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["VERSION"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Answer)
server.daemon_threads = True
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
pathlib.Path("/tmp/ready").touch()
server.serve_forever(0.05)
"""
SERVICE = """
  {name}:
    image: {image}
    environment: {{VERSION: "{version}"}}
    tmpfs: [/tmp]
    stop_grace_period: 5s
    healthcheck: {{test: ["CMD-SHELL", "test -e /tmp/ready"], interval: {interval}, timeout: 2s, retries: 50}}
"""
PAGE = """
app: bench
services:
  web: {{kind: web, ready: /, scale: 2, max_job: 2s}}
  worker: {{kind: worker, max_job: 5s}}
targets:
  near:
    sites:
      box: {{kind: host, ssh: root@{name}, ssh_config: near.conf, address: {address}}}
"""


@dataclass(frozen=True)
class Hosted:
    """The project, and the host that it is deployed on; `far` is whether a command goes the slow way."""

    folder: Path
    lab: Lab
    host: LabHost

    def write(self, version: str) -> None:
        """Another version is a change of one variable of both services."""
        # Towline asks by itself; Compose waits for the engine, which asks once in this time.
        told = {"image": IMAGE, "version": version}
        web, worker = (SERVICE.format(name=name, interval="10s", **told) for name in ("web", "worker"))
        (self.folder / "compose.yaml").write_text(
            f'services:{web}    ports: ["8000:8000"]\n{worker}'.replace("services:\n\n", "services:\n")
        )
        web, worker = (SERVICE.format(name=name, interval="300ms", **told) for name in ("web", "worker"))
        (self.folder / "peer.yaml").write_text(f"name: peer\nservices:{web}    deploy: {{replicas: 2}}\n{worker}")

    def towline(self, *words: str, far: bool = False) -> float:
        """Seconds of a command, which must succeed."""
        shutil.copy(self.folder / ("far.conf" if far else "direct.conf"), self.folder / "near.conf")
        argv = [sys.executable, "-m", "towline.cli.main", *words]
        environ = {**os.environ, "XDG_CONFIG_HOME": str(self.folder.parent / "config")}
        # As it is installed: its modules are compiled once, not at every start.
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        return timed(argv, self.folder, environ)

    def ssh(self, program: str, *, far: bool = False, data: str = "") -> float:
        """Seconds of a program on the host, over a connection of its own."""
        config = self.folder / ("far.conf" if far else "direct.conf")
        return timed(["ssh", "-F", str(config), self.host.name, program], self.folder, dict(os.environ), data)

    def compose(self, *, far: bool = False) -> float:
        """Seconds of `docker compose up -d --wait` there, the file sent over the same connection."""
        up = "cat >/srv/peer.yaml && /usr/local/bin/docker-compose -f /srv/peer.yaml up -d --wait --quiet-pull"
        return self.ssh(up, far=far, data=(self.folder / "peer.yaml").read_text())


def timed(argv: list[str], folder: Path, environ: dict[str, str], data: str = "") -> float:
    """Seconds until a command has ended well."""
    began = time.monotonic()
    done = subprocess.run(argv, cwd=folder, env=environ, input=data, capture_output=True, text=True, check=False)
    spent = time.monotonic() - began
    if done.returncode != 0:
        said = f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        raise SystemExit(f"{' '.join(argv)} ended with {done.returncode}:\n{said}")
    return spent


@contextlib.contextmanager
def hosted() -> Iterator[Hosted]:
    """The app on a new host of a lab of its own, deployed in no version yet; nothing is left of it."""
    with on_host() as app:
        _prepare(app)
        yield app


@contextlib.contextmanager
def on_host() -> Iterator[Hosted]:
    """An empty project, and a new host with Docker that it can reach both ways."""
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as name, Lab(os.environ, Path(name)) as lab:
        project = Path(name) / "bench"
        project.mkdir()
        try:
            host = lab.up(1, docker=True)[0]
            bake(lab.docker, [BASE, DOOR])
            (project / "direct.conf").write_text(lab.ssh_config.read_text())
            slow = host.slow(FAR)
            (project / "far.conf").write_text(lab.ssh_config.read_text())
            yield Hosted(project, lab, slow)
        finally:
            lab.down()


def _prepare(app: Hosted) -> None:
    """The image of the app, and its files."""
    project, lab, host = app.folder, app.lab, app.host
    (project / "image").mkdir()
    (project / "image" / "program.py").write_text(PROGRAM)
    (project / "image" / "Dockerfile").write_text(
        f'FROM {BASE}\nCOPY program.py /\nCMD ["python3", "/program.py"]\nEXPOSE 8000\n'
    )
    lab.docker.run("build", "-t", IMAGE, str(project / "image"), within=300)
    host.load(IMAGE, DOOR)
    (project / "towline.yaml").write_text(PAGE.format(name=host.name, address=host.ipv4))
    app.write("v0")


def with_compose(app: Hosted) -> str | None:
    """Put Docker Compose on the host; its version, None where this machine has none."""
    package = importlib.util.find_spec("compose")
    program = Path(package.origin).parent / "docker-compose" if package is not None and package.origin else None
    if program is None or not program.exists():
        return None
    into = "cat >/usr/local/bin/docker-compose && chmod 755 /usr/local/bin/docker-compose"
    argv = ["ssh", "-F", str(app.folder / "direct.conf"), app.host.name, into]
    with program.open("rb") as content:
        subprocess.run(argv, stdin=content, check=True)
    asked = [*argv[:-1], "/usr/local/bin/docker-compose version --short"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def step_seconds(app: Hosted) -> dict[str, float]:
    """Seconds by kind of step in the last run, by the journal on the host: from the first begun to the last done."""
    argv = ["ssh", "-F", str(app.folder / "direct.conf"), app.host.name, "cat /var/lib/towline/bench/near/journal"]
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    lines = [json.loads(one) for one in text.splitlines()]
    run = [one["run"] for one in lines if one["event"] == "plan"][-1]
    spans: dict[str, list[float]] = {}
    seen: set[tuple[int, int]] = set()
    for one in lines:
        place = (one.get("stage", -1), one.get("index", -1))
        # A copy that was seen off writes down its own end later, at the same place.
        if one["run"] == run and one["event"] == "done" and place not in seen:
            seen.add(place)
            ended = datetime.fromisoformat(one["at"]).timestamp()
            spans.setdefault(one["step"]["kind"], []).extend((ended - float(one["seconds"]), ended))
    return {kind: max(times) - min(times) for kind, times in spans.items()}
