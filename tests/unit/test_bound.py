"""What becomes on a server of what a service mounts of the author's machine, by what lies there."""

from __future__ import annotations

from pathlib import Path

import pytest

from towline.artifacts.host_bundle import swap_of
from towline.spec.bound import Fate, Lies, bound_of
from towline.spec.container import Build, Container, Mount
from towline.spec.ground import Ground
from towline.spec.page import ServiceEntry
from towline.spec.service import Parts, service_of

ROOT = Path("/app")


def fate(lies: Lies, *, read_only: bool = False, source: str = "/app/data", container: Container | None = None) -> Fate:
    """What becomes of one mount at /inside."""
    written = container or Container("web", image="shop:1")
    mounts = (Mount("bind", source, "/inside", read_only=read_only),)
    found = bound_of(_with(written, mounts), Ground(lies={source: lies}), ROOT)
    return found[0].fate


def _with(container: Container, mounts: tuple[Mount, ...]) -> Container:
    return Container(container.name, container.image, container.build, mounts=mounts)


@pytest.mark.parametrize(
    ("lies", "read_only", "expected"),
    [
        ("file", False, "copy"),
        ("file", True, "copy"),
        ("folder", False, "copy"),
        ("folder", True, "copy"),
        ("empty", False, "volume"),
        ("empty", True, "copy"),
        ("ignored", False, "volume"),
        ("absent", False, "volume"),
        ("absent", True, "missing"),
        ("special", False, "socket"),
        ("outside", True, "outside"),
    ],
)
def test_by_what_lies_there(lies: Lies, read_only: bool, expected: Fate) -> None:
    """A folder that is only written to becomes a volume; whatever has a content travels."""
    assert fate(lies, read_only=read_only) == expected


@pytest.mark.parametrize(
    ("source", "lies", "expected"),
    [
        ("/app/rows.db", "absent", "missing"),
        ("/etc/localtime", "outside", "clock"),
        ("/var/run/docker.sock", "absent", "socket"),
    ],
)
def test_by_its_name(source: str, lies: Lies, expected: Fate) -> None:
    """A file that is not there, the clock of the machine, and Docker's socket also where no Docker runs."""
    assert fate(lies, source=source) == expected


def test_where_an_image_keeps_its_data_is_a_volume_whatever_lies_here() -> None:
    """The author's own rows never travel."""
    mount = Mount("bind", "/app/rows", "/var/lib/mysql")
    (found,) = bound_of(Container("db", image="mysql:8.4", mounts=(mount,)), Ground(lies={"/app/rows": "folder"}), ROOT)
    assert found.fate == "data"


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("/app/web", "/code", "image"),
        ("/app", "/whole", "image"),
        ("/app/web/src", "/code/src", "image"),
        ("/app/web/src", "/elsewhere", "copy"),
        ("/app/pages", "/code/pages", "copy"),
    ],
)
def test_what_the_image_was_built_with_stays_here(source: str, target: str, expected: Fate) -> None:
    """Mounted over itself for work in a container; the same folder in another place is none of that."""
    built = Build(context=ROOT / "web", dockerfile=None, inline=None)
    mount = Mount("bind", source, target)
    ground = Ground(lies={source: "folder"}, copied=(Mount("bind", "/app/web", "/code", read_only=True),))
    (found,) = bound_of(Container("web", build=built, mounts=(mount,)), ground, ROOT)
    assert found.fate == expected


def test_a_service_that_writes_to_such_a_volume_is_never_there_twice() -> None:
    """As with a volume that the Compose file names."""
    mounts = (Mount("bind", "/app/var/Up loads", "/uploads"), Mount("bind", "/app/pages", "/pages"))
    lies: dict[str, Lies] = {"/app/var/Up loads": "absent", "/app/pages": "folder"}
    parts = Parts(
        Container("web", image="shop:1", mounts=mounts), ServiceEntry(), Ground(lies=lies), ends=False, root=ROOT
    )
    made = service_of(parts, ())
    assert made.volumes == ("folder-var-up-loads:/uploads", "/app/pages:/pages")
    assert swap_of(made) == (True, "it writes to a volume, which two versions must not share")
