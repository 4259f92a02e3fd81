"""A small real app on a lab host: its project, its image, and what a user and an operator do with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from pathlib import Path

    from towline.lab.host import Lab, LabHost

IMAGE = "shop-api:1"
IMAGES = (IMAGE, "postgres:18.6", "valkey/valkey:9", "caddy:2.11.7")

SERVER = """
import http.server, os, signal, sys, threading
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["TEXT"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
if os.environ["TEXT"] == "broken":
    sys.exit("it does not start: no such text")
print("serving", os.environ["TEXT"], flush=True)
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Answer)
server.daemon_threads = True
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(0.05)
"""
WORKER = """
import os, signal, sys
print("working with", bool(os.environ["REDIS_URL"]), flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    signal.pause()
"""
COMPOSE = """
services:
  api:
    image: {image}
    command: [python3, /server.py]
    ports: ["8000:8000"]
    stop_grace_period: 5s
    environment: {{TEXT: {text}, SESSION_SECRET: only-here}}
  gen:
    image: {image}
    command: [python3, /worker.py]
    stop_grace_period: 5s
  db:
    image: postgres:18.6
  queue:
    image: valkey/valkey:9
"""
PAGE = """
app: shop
services:
  api: {{kind: web, ready: /health, scale: 2}}
  gen: {{kind: worker, single: true}}
stores:
  db: {{kind: postgres}}
  queue: {{kind: redis, use: queue}}
bind:
  "*": {{DATABASE_URL: db.url, REDIS_URL: queue.url}}
release: {{in: api, run: "python3 -c 'print(\\"migrated\\")'"}}
targets:
  production:
    sites:
      box: {{kind: host, ssh: root@{name}, ssh_config: ssh_config, address: {address}}}
"""


@dataclass
class Shop:
    """The project of the app, whose only target is the lab host."""

    folder: Path
    host: LabHost

    def write(self, text: str) -> None:
        """Let the API answer with this text from the next deploy on."""
        (self.folder / "compose.yaml").write_text(COMPOSE.format(image=IMAGE, text=text))

    def towline(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project."""
        argv = [sys.executable, "-m", "towline.cli.main", *words]
        environ = {**os.environ, "XDG_CONFIG_HOME": str(self.folder.parent / "config")}
        return subprocess.run(argv, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)

    def deploy(self) -> dict[str, object]:
        """Deploy; it must succeed. What it says as JSON."""
        done = self.towline("deploy", "production", "--yes", "--json")
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        found: dict[str, object] = json.loads(done.stdout)
        return found

    def answers(self) -> str:
        """What a browser gets."""
        return httpx.get(f"http://{self.host.ipv4}/", headers={"Host": self.host.name}, timeout=20).text

    def running(self) -> dict[str, str]:
        """The names of the containers that run, with their state; not of those that finish by themselves."""
        ran = self.host.ssh("docker ps --format '{{.Names}} {{.State}}'")
        return dict(line.split(" ", 1) for line in ran.stdout.splitlines() if ".leaving." not in line)


def shop(folder: Path, lab: Lab, host: LabHost) -> Shop:
    """The project, and its images on the host."""
    project = folder / "shop"
    project.mkdir()
    (project / "server.py").write_text(SERVER)
    (project / "worker.py").write_text(WORKER)
    (project / "Dockerfile").write_text(
        'FROM python:3.11-slim\nCOPY server.py worker.py /\nCMD ["python3", "/server.py"]\n'
    )
    lab.docker.run("build", "-t", IMAGE, str(project), within=300)
    host.load(*IMAGES)
    (project / "ssh_config").write_text(lab.ssh_config.read_text())
    (project / "towline.yaml").write_text(PAGE.format(name=host.name, address=host.ipv4))
    made = Shop(project, host)
    made.write("one")
    return made
