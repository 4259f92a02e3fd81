"""What a folder and a bucket each have of their own."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.contract.storage_scenes import URL, pieces, s3_settings
from tests.real_servers import free_port

from towline_runtime.errors import KeyRefused, SettingsInvalid, StorageFailed
from towline_runtime.settings import Settings
from towline_runtime.storage import Storage, open_storage
from towline_runtime.storage.folder import FolderStorage
from towline_runtime.storage.s3 import S3Storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.real_servers import Bucket

    Opened = Callable[[Callable[[Storage], Awaitable[None]]], None]


def test_a_folder_keeps_plain_files_and_nothing_else(tmp_path: Path) -> None:
    """Files under their own names; an end in the middle leaves nothing; another process knows types and signatures."""

    async def body() -> None:
        storage = FolderStorage(tmp_path)
        await storage.put("a/b.jpg", b"1", "image/jpeg")
        await storage.put("a/odd", b"2", "image/heic")
        assert (tmp_path / "objects/a/b.jpg").read_bytes() == b"1"
        again = FolderStorage(tmp_path)
        found = await again.stat("a/odd")
        assert found is not None
        assert found.content_type == "image/heic"
        query = {name: one[0] for name, one in parse_qs(urlsplit(await storage.presign_get("a/odd")).query).items()}
        assert again.signer.allows("GET", "a/odd", query)
        assert (tmp_path / "signing-key").stat().st_mode & 0o077 == 0
        await storage.delete("a/b.jpg")
        await storage.delete("a/odd")
        left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
        assert left == {"objects", "types", "unfinished", "signing-key"}

    asyncio.run(body())


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    """After a day; a younger file may be at work."""
    FolderStorage(tmp_path)
    for name, age in (("old", 90_000), ("young", 10)):
        path = tmp_path / "unfinished" / name
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age, time.time() - age))
    FolderStorage(tmp_path)
    assert [path.name for path in (tmp_path / "unfinished").iterdir()] == ["young"]


def test_a_folder_is_not_left_through_a_link(tmp_path: Path) -> None:
    """Whoever put the link there."""

    async def body() -> None:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "file").write_text("secret")
        storage = FolderStorage(tmp_path / "folder")
        (tmp_path / "folder/objects/link").symlink_to(tmp_path / "outside")
        with pytest.raises(KeyRefused):
            await storage.get("link/file")

    asyncio.run(body())


def test_long_streams_go_in_parts_and_are_cleared_up(bucket: Bucket) -> None:
    """20 MiB arrive whole; what fails or is cancelled in the middle leaves no parts behind."""

    async def body() -> None:
        prefix = uuid.uuid4().hex
        async with S3Storage.open(s3_settings(bucket)) as storage:
            piece = bytes(range(256)) * 4096
            stored = await storage.put(f"{prefix}/long", pieces(*[piece] * 20), "video/mp4")
            assert (stored.size, stored.content_type) == (20 * 1024 * 1024, "video/mp4")
            assert await storage.get(f"{prefix}/long") == piece * 20

            sent = asyncio.Event()

            async def endless() -> AsyncIterator[bytes]:
                for _ in range(20):
                    yield piece
                sent.set()
                await asyncio.Event().wait()
                yield b""

            upload = asyncio.create_task(storage.put(f"{prefix}/cut", endless()))
            await sent.wait()
            assert await unfinished(storage, prefix) == 1
            upload.cancel()
            with pytest.raises(asyncio.CancelledError):
                await upload
            assert await unfinished(storage, prefix) == 0
            assert await storage.stat(f"{prefix}/cut") is None

    asyncio.run(body())


async def unfinished(storage: S3Storage, prefix: str) -> int:
    answer = await storage._client.list_multipart_uploads(Bucket=storage._bucket, Prefix=prefix)
    return len(answer.get("Uploads", ()))


def test_addresses_are_for_the_browsers_host(bucket: Bucket) -> None:
    """The app speaks to one host, and signs for another; public addresses have a prefix of their own."""

    async def body() -> None:
        outside = {"S3_PUBLIC_ENDPOINT": "https://media.example", "S3_PUBLIC_URL": "https://cdn.example/app/"}
        async with S3Storage.open(s3_settings(bucket, **outside)) as storage:
            await storage.reach()
            assert (await storage.presign_get("a b/ü")).startswith("https://media.example/app/a%20b/%C3%BC?")
            assert storage.url("a b/ü") == "https://cdn.example/app/a%20b/%C3%BC"
        async with S3Storage.open(s3_settings(bucket)) as storage:
            assert storage.url("a") == f"{bucket.url}/app/a"
        virtual = s3_settings(bucket, S3_PUBLIC_ENDPOINT="https://media.example", S3_FORCE_PATH_STYLE="false")
        async with S3Storage.open(virtual) as storage:
            assert storage.url("a") == "https://app.media.example/a"
            assert (await storage.presign_put("a", "x/y")).startswith("https://app.media.example/a?")

    asyncio.run(body())


def test_a_store_that_refuses_or_is_away_is_a_failure_of_the_store(bucket: Bucket) -> None:
    """Never a library's own error, and never a secret in it."""

    async def body() -> None:
        wrong = [
            s3_settings(bucket, S3_SECRET_KEY="not-the-key"),
            s3_settings(bucket, S3_BUCKET="another"),
            s3_settings(bucket, S3_ENDPOINT=f"http://127.0.0.1:{free_port()}"),
        ]
        for settings in wrong:
            async with S3Storage.open(settings) as storage:
                with pytest.raises(StorageFailed) as caught:
                    await storage.put("a", b"x")
                assert "not-the-key" not in str(caught.value)

    asyncio.run(body())


def test_without_credentials_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing can be signed, and the hint names the variables."""
    for name in [one for one in os.environ if one.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))

    async def body() -> None:
        async with S3Storage.open(Settings.read({"DATABASE_URL": URL, "S3_BUCKET": "b"})) as storage:
            with pytest.raises(StorageFailed, match="S3_SECRET_KEY"):
                await storage.presign_get("a")

    asyncio.run(body())


def test_without_a_place_there_is_no_storage() -> None:
    """And the sentence says which variables are meant."""

    async def body() -> None:
        with pytest.raises(SettingsInvalid, match="S3_BUCKET"):
            await open_storage(Settings.read({"DATABASE_URL": URL})).__aenter__()

    asyncio.run(body())
