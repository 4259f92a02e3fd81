"""Which image a store of a host runs, and where that image keeps its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.spec.detect import image_name

if TYPE_CHECKING:
    from towline.spec.model import Store

IMAGES = {"postgres": "postgres:18.6", "redis": "valkey/valkey:9", "bucket": "chrislusf/seaweedfs:4.48"}
"""What runs where the Compose file names no version that could be kept to."""

SERVERS = {"redis": "redis-server", "valkey": "valkey-server"}
"""The images of redis whose server and entrypoint are known: they get a password and settings of ours."""

_UNPINNED = frozenset({"", "latest", "alpine", "edge", "stable", "main"})


def image_of(store: Store) -> str:
    """The image that the Compose file names where it says which version, else one that is known to work.

    A bucket is always SeaweedFS: S3 is what the app speaks, and not every server of it is still looked after.
    """
    written = store.image or ""
    tag = written.rsplit("/", 1)[-1].partition(":")[2] if "@" not in written else "digest"
    known = store.kind != "bucket" or image_name(written) == "seaweedfs"
    return written if known and tag not in _UNPINNED else IMAGES[store.kind]


def data_path(store: Store) -> str:
    """Where the image of a Postgres keeps its data: in another folder since 18, where a volume on the old one is empty.

    github.com/docker-library/postgres/pull/1259 moved it.
    """
    image, written = image_of(store), store.image
    if image_name(image) == "timescaledb-ha":
        return "/home/postgres/pgdata"
    if "bitnami" in image.rpartition("/")[0]:
        return "/bitnami/postgresql"
    major = (store.major if image == written else None) or "18"
    return "/var/lib/postgresql" if not major.isdigit() or int(major) >= 18 else "/var/lib/postgresql/data"


def is_official(store: Store) -> bool:
    """Whether a Postgres image descends from Docker's own, with its users and folders."""
    return data_path(store).startswith("/var/lib/postgresql")


def server_of(store: Store) -> str | None:
    """The program that a redis image runs, None for one whose password could only be set in a command."""
    return SERVERS.get(image_name(image_of(store)))
