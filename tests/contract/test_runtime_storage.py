"""One contract of storage over a folder, a real S3 server and the double in memory."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.storage_scenes import URL, Under, keys, pieces, s3_settings

from towline_runtime.errors import KeyRefused, ObjectMissing
from towline_runtime.settings import Settings
from towline_runtime.storage import Storage, open_storage
from towline_runtime.storage.folder import FolderStorage
from towline_runtime.storage.s3 import PART
from towline_runtime.testing import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Opened = Callable[[Callable[[Storage], Awaitable[None]]], None]

BAD_KEYS = [
    "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\\b", "a\nb", "a\x00b", "http://host/a",
    "x" * 256, "/".join(["x" * 200] * 6), "\ud800",
]  # fmt: skip
GOOD_KEYS = [
    "a.jpg",
    "a/b/c.txt",
    "mit Leer zeichen+plus&und=gleich.txt",
    "grüße/日本.png",
    "100%.txt",
    "a..b",
    "~#?;,'",
]


@pytest.fixture(params=["memory", "folder", "s3"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Runs an async test body with a storage of its own."""
    server: Any = request.param == "s3" and request.getfixturevalue("bucket")

    def run(body: Callable[[Storage], Awaitable[None]]) -> None:
        asyncio.run(inside(body))

    async def inside(body: Callable[[Storage], Awaitable[None]]) -> None:
        async with AsyncExitStack() as stack:
            if request.param == "memory":
                await body(MemoryStorage())
            elif request.param == "folder":
                settings = Settings.read({"DATABASE_URL": URL, "STORAGE_FOLDER": str(tmp_path / "objects")})
                await body(await stack.enter_async_context(open_storage(settings)))
            else:
                settings = s3_settings(server)
                bucket = await stack.enter_async_context(open_storage(settings))
                await body(Under(bucket, uuid.uuid4().hex))

    return run


def test_what_is_put_is_there(opened: Opened) -> None:
    """Bytes and streams come back whole, with size, type and time; a second put replaces the first."""

    async def body(storage: Storage) -> None:
        for number, key in enumerate(GOOD_KEYS):
            await storage.put(f"{number}/{key}", key.encode(), "image/webp")
            assert await storage.get(f"{number}/{key}") == key.encode(), key
        stored = await storage.put("p/one.jpg", b"first", "image/jpeg")
        assert (stored.size, stored.content_type) == (5, "image/jpeg")
        assert stored.modified.utcoffset() is not None
        await storage.put("p/one.jpg", pieces(b"the ", b"", b"second"), "text/plain; charset=utf-8")
        assert b"".join([piece async for piece in storage.stream("p/one.jpg")]) == b"the second"
        found = await storage.stat("p/one.jpg")
        assert found is not None
        assert (found.size, found.content_type) == (10, "text/plain; charset=utf-8")
        await storage.put("p/empty", pieces())
        assert await storage.get("p/empty") == b""
        assert [piece async for piece in storage.stream("p/empty")] == []

    opened(body)


def test_what_is_not_there(opened: Opened) -> None:
    """Reading raises ObjectMissing, asking gives None, deleting does nothing: also for folders, and under objects."""

    async def body(storage: Storage) -> None:
        await storage.put("a/b", b"x")
        for key in ("none", "a", "a/b/c", "none/none"):
            with pytest.raises(ObjectMissing):
                await storage.get(key)
            with pytest.raises(ObjectMissing):
                await anext(storage.stream(key))
            assert await storage.stat(key) is None
            await storage.delete(key)
        assert await storage.get("a/b") == b"x"
        await storage.delete("a/b")
        assert await storage.stat("a/b") is None
        await storage.put("a", b"now an object itself")
        assert await storage.get("a") == b"now an object itself"

    opened(body)


def test_listing_is_by_prefix(opened: Opened) -> None:
    """Each object once, over folders; a prefix need not end at a slash. The order is the store's own."""

    async def body(storage: Storage) -> None:
        names = ["b/z", "b-a", "b.x", "b/a/1", "c", "ä", "B", "b0"]
        for name in names:
            await storage.put(f"l/{name}", b"12", "image/png")
        ends = [key.rsplit("l/", 1)[1] for key in await keys(storage, "l/")]
        assert sorted(ends) == sorted(names)
        assert {key.rsplit("l/", 1)[1] for key in await keys(storage, "l/b/")} == {"b/a/1", "b/z"}
        assert len(await keys(storage, "l/b")) == 5
        assert await keys(storage, "l/b/a/1x") == []
        assert {one.size async for one in storage.list("l/")} == {2}

    opened(body)


@pytest.mark.parametrize("key", BAD_KEYS)
def test_bad_keys_are_refused_everywhere(key: str, tmp_path: Path) -> None:
    """The same by every store, before anything is touched."""

    async def body() -> None:
        for storage in (MemoryStorage(), FolderStorage(tmp_path)):
            with pytest.raises(KeyRefused):
                await storage.put(key, b"x")
            with pytest.raises(KeyRefused):
                await storage.get(key)
            with pytest.raises(KeyRefused):
                await anext(storage.stream(key))
            with pytest.raises(KeyRefused):
                await storage.delete(key)
            with pytest.raises(KeyRefused):
                await storage.presign_put(key, "text/plain")
            with pytest.raises(KeyRefused):
                storage.url(key)

    asyncio.run(body())


def test_no_key_is_a_folder_of_another(tmp_path: Path) -> None:
    """Some stores that speak like S3 cannot keep both, so the double and the folder refuse."""

    async def body() -> None:
        for storage in (MemoryStorage(), FolderStorage(tmp_path)):
            await storage.put("a/b", b"x")
            with pytest.raises(KeyRefused):
                await storage.put("a", b"x")
            with pytest.raises(KeyRefused):
                await storage.put("a/b/c", b"x")
            assert await keys(storage) == ["a/b"]

    asyncio.run(body())


def test_a_failing_stream_leaves_what_was_there(opened: Opened) -> None:
    """Whole or not at all: the old object stays, and nothing new is listed."""

    async def failing() -> AsyncIterator[bytes]:
        yield b"x" * (PART + 1)
        yield b"y" * (PART + 1)
        raise ZeroDivisionError

    async def body(storage: Storage) -> None:
        await storage.put("f/old", b"old")
        for key in ("f/old", "f/new"):
            with pytest.raises(ZeroDivisionError):
                await storage.put(key, failing())
        assert await storage.get("f/old") == b"old"
        assert [key.rsplit("f/", 1)[1] for key in await keys(storage, "f/")] == ["old"]

    opened(body)


def test_many_at_once(opened: Opened) -> None:
    """Writers and readers of one key see whole objects only."""

    async def body(storage: Storage) -> None:
        whole = [bytes([65 + n]) * 50_000 for n in range(8)]
        await storage.put("m", whole[0])

        async def write(n: int) -> None:
            await storage.put("m", pieces(whole[n][:10], whole[n][10:]))
            assert await storage.get("m") in whole

        await asyncio.gather(*(write(n) for n in range(8)))

    opened(body)


def test_it_can_be_reached(opened: Opened) -> None:
    """The sign of life that health asks for."""

    async def body(storage: Storage) -> None:
        await storage.reach()

    opened(body)


def test_lifetimes_are_those_of_s3(opened: Opened) -> None:
    """A signed address is good for 1 second to 7 days."""

    async def body(storage: Storage) -> None:
        for seconds in (0, -1, 604_801):
            with pytest.raises(ValueError, match="7 days"):
                await storage.presign_get("a", seconds)

    opened(body)
