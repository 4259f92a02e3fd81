"""The light app on a lab host, for benchmarks: its image, and projects that differ by a version or a variable."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import light_app
from hosted import BASE, DOOR, Hosted

IMAGE = "towline-light:1"
COMPOSE = """
services:
  web:
    image: {image}
    ports: ["8000:8000"]
    stop_grace_period: 10s
    environment: {{HOST: 0.0.0.0, PORT: "8000", VERSION: "{version}", EXTRA: "{extra}"}}
"""
PAGE = """
app: {app}
services:
  web: {{kind: web, ready: /, scale: 2, max_job: 60s}}
targets:
  box:
    sites:
      box: {{kind: host, ssh: root@{name}, ssh_config: near.conf, address: {address}{domain}}}
"""


def write(app: Hosted, version: str, extra: str = "") -> None:
    """Another version, or another variable."""
    (app.folder / "compose.yaml").write_text(COMPOSE.format(image=IMAGE, version=version, extra=extra))


def project(app: Hosted, name: str, domain: str | None) -> Hosted:
    """The project of an app on the host."""
    folder = app.folder.parent / name
    folder.mkdir(exist_ok=True)
    for conf in ("direct.conf", "far.conf"):
        shutil.copy(app.folder / conf, folder / conf)
    # One authority for both: a machine's door that has to begin with certificates is another one.
    told = f", certificates: internal{f', domain: {domain}' if domain else ''}"
    page = PAGE.format(app=name, name=app.host.name, address=app.host.ipv4, domain=told)
    (folder / "towline.yaml").write_text(page)
    made = Hosted(folder, app.lab, app.host)
    write(made, "v0")
    return made


def built(app: Hosted) -> None:
    """The image of the light app, on the host."""
    with tempfile.TemporaryDirectory() as name:
        context = Path(name)
        (context / "server.py").write_text(light_app.SERVER)
        (context / "Dockerfile").write_text(
            f"FROM {BASE}\nRUN python3 -m venv /v && /v/bin/pip install -q uvicorn websockets httptools uvloop\n"
            'COPY server.py /\nCMD ["/v/bin/python", "/server.py"]\n'
        )
        app.lab.docker.run("build", "-t", IMAGE, str(context), within=600)
    app.host.load(IMAGE, DOOR)
