"""Images of a private registry: by their digest, with a login that is kept nowhere, and then needed no more."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.lab.hosted_app import ON_HOSTS
from tests.real_servers import free_port, until

from towline.lab.images import bake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.lab.host import Lab, LabHost

pytestmark = [*ON_HOSTS, pytest.mark.needs("docker-registry")]

USER, PASSWORD = "robot", "only-for-the-registry"
SETTINGS = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: 127.0.0.1:{port}}}
auth: {{htpasswd: {{realm: shop, path: {folder}/users}}}}
"""
COMPOSE = """
services:
  web:
    image: 127.0.0.1:{port}/ann/web:1
    command: [python3, -m, http.server, "8000", --directory, /usr/share]
    ports: ["8000:8000"]
    stop_grace_period: 3s
"""
PAGE = """
app: fetched
services: {{web: {{kind: web, ready: /}}}}
targets:
  production:
    sites:
      box: {{kind: host, ssh: root@{name}, ssh_config: ssh_config, address: {address}}}
"""


@dataclass
class Registry:
    """A real registry that lets one user in, and the ways to it: from here, and from a host by the same name."""

    port: int
    process: subprocess.Popen[bytes]
    way: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Be gone."""
        for one in (self.way, self.process):
            one.terminate()
            one.wait(20)


def _hashed(password: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import crypt
    return crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=2**4))


@pytest.fixture
def registry(tmp_path: Path, lab: Lab, lab_hosts: tuple[LabHost, LabHost]) -> Iterator[Registry]:
    """The registry with one image in it, which nobody else has."""
    folder, port = tmp_path / "registry", free_port()
    folder.mkdir()
    (folder / "users").write_text(f"{USER}:{_hashed(PASSWORD)}\n")
    (folder / "settings.yml").write_text(SETTINGS.format(folder=folder, port=port))
    host = lab_hosts[0].reset(suite="bookworm", docker=True)
    bake(lab.docker, ["python:3.11-slim", "caddy:2.11.7"])
    host.load("caddy:2.11.7")
    program = shutil.which("docker-registry") or ""
    process = subprocess.Popen(
        (program, "serve", str(folder / "settings.yml")), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    forward = f"{port}:127.0.0.1:{port}"
    way = subprocess.Popen(("ssh", *host.ssh_options(), "-N", "-R", forward, f"root@{host.address}"))
    made = Registry(port, process, way)
    try:
        until(lambda: _answers(port), "the registry", 30)
        _pushed(lab, tmp_path, f"127.0.0.1:{port}/ann/web:1", port)
        yield made
    finally:
        made.stop()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v2/", timeout=5).status_code == httpx.codes.UNAUTHORIZED
    except httpx.HTTPError:
        return False


def _pushed(lab: Lab, folder: Path, name: str, port: int) -> None:
    config = folder / "pushes"
    config.mkdir()
    (config / "config.json").write_text(_login(port, PASSWORD))
    lab.docker.run("tag", "python:3.11-slim", name)
    try:
        lab.docker.run("--config", str(config), "push", "-q", name, within=200)
    finally:
        lab.docker.run("image", "rm", name)


def _login(port: int, password: str) -> str:
    entry = base64.b64encode(f"{USER}:{password}".encode()).decode()
    return json.dumps({"auths": {f"127.0.0.1:{port}": {"auth": entry}}})


def test_an_image_of_a_private_registry(registry: Registry, lab_hosts: tuple[LabHost, LabHost], tmp_path: Path) -> None:
    """Refused without a login; fetched by its digest with one; then the registry may be gone."""
    host = lab_hosts[0]
    folder = tmp_path / "fetched"
    folder.mkdir()
    (folder / "compose.yaml").write_text(COMPOSE.format(port=registry.port))
    (folder / "towline.yaml").write_text(PAGE.format(name=host.name, address=host.ipv4))
    (folder / "ssh_config").write_text(host.lab.ssh_config.read_text())
    (tmp_path / "docker").mkdir()
    environ = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "docker"), "XDG_CONFIG_HOME": str(tmp_path / "config")}

    def towline(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "towline.cli.main", *words]
        return subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=False)

    refused = towline("deploy", "production", "--yes")
    assert refused.returncode == 2, refused.stderr
    assert "`web`" in refused.stderr
    assert f"docker login 127.0.0.1:{registry.port}" in refused.stderr

    (tmp_path / "docker/config.json").write_text(_login(registry.port, PASSWORD))
    done = towline("deploy", "production", "--yes")
    assert done.returncode == 0, done.stderr
    assert "fetch the image 127.0.0.1" in done.stderr
    image = host.ssh("docker ps --filter label=towline.service=web --format '{{.Image}}'").stdout
    assert f"127.0.0.1:{registry.port}/ann/web" in image
    secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert host.ssh(f"grep -rlaF {secret} /root /run /tmp /var/lib/towline").stdout == ""

    registry.stop()
    again = towline("deploy", "production", "--yes")
    assert again.returncode == 0, again.stderr
    assert "nothing was changed" in again.stderr
