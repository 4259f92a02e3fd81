"""Objects by key, in a folder or in a bucket, behind one protocol and one contract."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from towline_runtime.errors import KeyRefused, SettingsInvalid

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator
    from datetime import datetime

    from towline_runtime.settings import Settings

OCTETS = "application/octet-stream"
LONGEST_KEY = 1024  # bytes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
LONGEST_NAME = 255  # bytes of one part of a key: what file systems take


@dataclass(frozen=True)
class Stored:
    """What is known of an object; a listing does not tell the content type. `modified` is UTC."""

    key: str
    size: int
    modified: datetime
    content_type: str | None = None


class Storage(Protocol):
    """Objects by key. Every method raises KeyRefused for a bad key and StorageFailed while the store is away.

    A key is a path such as `pictures/7/large.jpg`, kept by the app as it is: addresses are made when they are
    needed, since they change with the place. No key may be a folder of another (`a` beside `a/b`).
    """

    async def put(self, key: str, body: bytes | AsyncIterable[bytes], content_type: str = OCTETS) -> Stored:
        """Keep an object, whole or not at all, in place of what was there."""

    async def get(self, key: str) -> bytes:
        """All of an object, in memory; raises ObjectMissing."""

    def stream(self, key: str) -> AsyncIterator[bytes]:
        """An object in pieces; raises ObjectMissing at the first one."""

    async def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""

    async def stat(self, key: str) -> Stored | None:
        """What is known of an object, None when there is none."""

    def list(self, prefix: str = "") -> AsyncIterator[Stored]:
        """Objects whose key begins with `prefix`; their order is the store's own."""

    def url(self, key: str) -> str:
        """The address of a public object, for as long as the app stays where it is."""

    async def presign_get(self, key: str, seconds: float = 3600, *, download_as: str | None = None) -> str:
        """An address from which any browser may read the object for a while; `download_as` is a file name."""

    async def presign_put(self, key: str, content_type: str, seconds: float = 900) -> str:
        """An address to which any browser may PUT the object for a while, with exactly this Content-Type."""

    async def reach(self) -> None:
        """Ask the store for a sign of life; raises StorageFailed."""


def checked(key: str) -> str:
    """The key itself, if any store can keep it and none would misread it; raises KeyRefused."""
    parts = key.split("/")
    if "://" in key:
        raise KeyRefused(f"`{key[:80]}` is an address, not a key", "keep keys, and make addresses with storage.url")
    if any(part in {"", ".", ".."} for part in parts):
        raise KeyRefused(f"`{key[:80]}` has an empty part, `.` or `..`", "use a key such as pictures/7/large.jpg")
    if any(ord(letter) < 32 or letter in "\\\x7f" for letter in key):
        raise KeyRefused("The key has a backslash or a control character in it")
    try:
        size, longest = len(key.encode()), max(len(part.encode()) for part in parts)
    except UnicodeEncodeError:
        raise KeyRefused("The key is not valid Unicode") from None
    if size > LONGEST_KEY or longest > LONGEST_NAME:
        raise KeyRefused(f"The key has more than {LONGEST_KEY} bytes, or a part of more than {LONGEST_NAME}")
    return key


def lifetime(seconds: float) -> int:
    """The time a signed address is good for, in whole seconds; raises ValueError beyond what S3 allows: 7 days."""
    if not 1 <= seconds <= 604_800:
        raise ValueError(f"a signed address is good for 1 second to 7 days, not {seconds:g} s")
    return int(seconds)


@asynccontextmanager
async def open_storage(settings: Settings) -> AsyncIterator[Storage]:
    """The bucket where S3_BUCKET is set, else the folder STORAGE_FOLDER; raises SettingsInvalid without either."""
    if settings.s3_bucket:
        from towline_runtime.storage.s3 import S3Storage

        async with S3Storage.open(settings) as bucket:
            yield bucket
    elif settings.storage_folder:
        from towline_runtime.storage.folder import FolderStorage

        yield FolderStorage(settings.storage_folder, settings.storage_url)
    else:
        raise SettingsInvalid(["Neither S3_BUCKET nor STORAGE_FOLDER is set"], "STORAGE_FOLDER=./objects")
