"""A small real app on a lab host: its project, its image, and what a user and an operator do with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.lab.hosted_app import WEB, HostedApp

if TYPE_CHECKING:
    from pathlib import Path

    from towline.lab.host import Lab, LabHost

IMAGE = "shop-api:1"
IMAGES = (IMAGE, "postgres:18.6", "valkey/valkey:9", "caddy:2.11.7")

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
class Shop(HostedApp):
    """The app; its only target is the lab host."""

    def write(self, text: str) -> None:
        """Let the API answer with this text from the next deploy on."""
        (self.folder / "compose.yaml").write_text(COMPOSE.format(image=IMAGE, text=text))

    def running(self) -> dict[str, str]:
        """The names of the containers that run, with their state; not of those that finish by themselves."""
        ran = self.host.ssh("docker ps --format '{{.Names}} {{.State}}'")
        return dict(line.split(" ", 1) for line in ran.stdout.splitlines() if ".leaving." not in line)


def shop(folder: Path, lab: Lab, host: LabHost) -> Shop:
    """The project, and its images on the host."""
    project = folder / "shop"
    project.mkdir()
    (project / "server.py").write_text(WEB)
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
