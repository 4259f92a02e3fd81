"""Services that keep data of their own, on a host: found by their name, on a volume, with what their image needs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.artifact_scenes import app, service
from tests.unit.test_render_containers import containers, material

from towline.artifacts.host_services import DATA_RIGHTS
from towline.core.secret import Secret
from towline.spec.container import Container, Mount
from towline.spec.data_images import data_folder

URL = {"DATABASE_URL": Secret("mysql://shop:word@mysql:3306/shop")}


@pytest.mark.parametrize(
    ("changes", "networks"),
    [
        ({"environment": URL}, ("app", "to-mysql")),
        ({"after": ("mysql",)}, ("app", "to-mysql")),
        ({"environment": {"DATABASE_URL": Secret("mysql://mysql:word@elsewhere:3306/shop")}}, ("app",)),
    ],
)
def test_who_calls_it_is_in_its_network(changes: dict[str, Any], networks: tuple[str, ...]) -> None:
    """Without a binding too: a whole URL, or that it comes after; a user of its name is no call."""
    made = app(service("web", **changes), service("mysql", "stateful", image="mysql:8.4", port=3306))
    found = containers(material(made, containers=(Container("mysql", image="mysql:8.4"),)))
    assert found["web"].networks == networks
    assert found["mysql"].networks == ("to-mysql",)


@pytest.mark.parametrize(
    ("mounts", "attached"),
    [
        ((), [("mysql-data", "/var/lib/mysql")]),
        ((Mount("bind", "/home/me/data", "/var/lib/mysql"),), [("mysql-data", "/var/lib/mysql")]),
        ((Mount("volume", "", "/var/lib/mysql"),), [("mysql-data", "/var/lib/mysql")]),
        ((Mount("volume", "rows", "/var/lib/mysql"),), [("rows", "/var/lib/mysql")]),
        ((Mount("tmpfs", "", "/var/lib/mysql"),), []),
    ],
)
def test_its_data_is_on_a_volume(mounts: tuple[Mount, ...], attached: list[tuple[str, str]]) -> None:
    """Also where Compose keeps it in a folder of the author's machine or in none that has a name."""
    made = app(service("mysql", "stateful", image="mysql:8.4", port=3306))
    found = containers(material(made, containers=(Container("mysql", image="mysql:8.4", mounts=mounts),)))["mysql"]
    assert [(one.source, one.target) for one in found.attached] == attached
    assert found.capabilities == DATA_RIGHTS


def test_an_ordinary_service_with_a_volume() -> None:
    """Its entrypoint may hand the folder to its user, whom the Compose file may name; without one it may nothing."""
    made = app(service("web", image="shop:1"), service("plain", image="shop:1"))
    written = Container(
        "web", image="shop:1", user="1000", shared_memory=2**27, mounts=(Mount("volume", "up", "/uploads"),)
    )
    found = containers(material(made, containers=(written, Container("plain", image="shop:1"))))
    assert (found["web"].capabilities, found["plain"].capabilities) == (DATA_RIGHTS, ())
    assert (found["web"].user, found["web"].shared_memory) == ("1000", 2**27)


@pytest.mark.parametrize(
    ("written", "folder"),
    [
        (Container("a", image="mariadb:11"), "/var/lib/mysql"),
        (Container("a", image="docker.io/library/mongo:7@sha256:0"), "/data/db"),
        (Container("a", image="bitnami/mysql:8.4"), None),
        (Container("a", image="nats:2"), None),
        (
            Container("a", image="mysql:8", command=("--datadir=/rows/x",), mounts=(Mount("volume", "r", "/rows"),)),
            None,
        ),
    ],
)
def test_where_an_image_keeps_its_data(written: Container, folder: str | None) -> None:
    """Known images only, and not where the Compose file tells the server another folder."""
    assert data_folder(written) == folder
