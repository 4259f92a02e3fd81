"""The other way in which Docker keeps images: in containerd, which takes whole ones only."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from tests.lab.hosted_app import ON_HOSTS
from tests.lab.test_images_host import press_on, sent

from towline.lab.images import bake

if TYPE_CHECKING:
    from tests.lab.test_images_host import Press

    from towline.lab.host import Lab, LabHost

pytestmark = [*ON_HOSTS]

IN_CONTAINERD = """
mkdir -p /etc/docker
echo '{"features": {"containerd-snapshotter": true}}' >/etc/docker/daemon.json
systemctl restart docker
docker info -f '{{.DriverStatus}}'
"""


@pytest.fixture
def press(lab: Lab, lab_hosts: tuple[LabHost, LabHost], tmp_path_factory: pytest.TempPathFactory) -> Press:
    """The app, on a host whose engine keeps images in containerd; not deployed yet."""
    bake(lab.docker, ["python:3.11-slim", "caddy:2.11.7"])
    host = lab_hosts[0].reset(suite="trixie", docker=True)
    seen = host.ssh(IN_CONTAINERD, within=120)
    assert "io.containerd.snapshotter" in seen.stdout, f"{seen.stdout}\n{seen.stderr}"
    host.load("caddy:2.11.7")
    return press_on(host, lab, tmp_path_factory.mktemp("containerd"))


def test_only_what_is_missing_is_sent_there_too(press: Press) -> None:
    """A line of code costs its layer, the host adds what it has itself; the way back needs no image from anywhere."""
    press.write("one")
    assert sent(press.ship()) > 20_000_000
    assert press.answers() == "one"
    new = uuid.uuid4().hex
    press.write(new)
    assert 0 < sent(press.ship()) < 1_000_000
    assert press.answers() == new
    press.said("rollback", "-t", "production")
    assert press.answers() == "one"
    assert press.towline("deploy", "production", "--yes").returncode == 0
    assert press.answers() == new
