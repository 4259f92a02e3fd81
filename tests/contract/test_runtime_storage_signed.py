"""Signed addresses over HTTP: by the S3 server itself, or by the door of a folder."""

from __future__ import annotations

import asyncio
import re
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio
import httpx
import pytest
from tests.contract.storage_scenes import Under, keys, s3_settings

from towline_runtime.storage.folder import FolderStorage
from towline_runtime.storage.folder_door import folder_door
from towline_runtime.storage.s3 import S3Storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from towline_runtime.storage import Storage

    Opened = Callable[[Callable[[Storage], Awaitable[None]]], None]


@pytest.fixture(params=["folder", "s3"])
def by_browser(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    """Runs an async test body with a storage and a browser's HTTP client that reaches it."""
    server: Any = request.param == "s3" and request.getfixturevalue("bucket")

    @asynccontextmanager
    async def reached() -> AsyncIterator[tuple[Storage, httpx.AsyncClient]]:
        if request.param == "folder":
            storage = FolderStorage(tmp_path, "http://app.test/objects")
            transport = httpx.ASGITransport(mounted("/objects", folder_door(storage, public=("public/",), most=1000)))
            async with httpx.AsyncClient(transport=transport) as client:
                yield storage, client
        else:
            async with (
                S3Storage.open(s3_settings(server)) as bucket,
                httpx.AsyncClient() as client,
            ):
                yield Under(bucket, uuid.uuid4().hex), client

    async def inside(body: Callable[..., Awaitable[None]]) -> None:
        async with reached() as (storage, client):
            await body(storage, client)

    return lambda body: asyncio.run(inside(body))


def mounted(path: str, app: Any) -> Any:
    """As Starlette mounts: the whole path, with the mount told in root_path."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": path}, receive, send)

    return serve


def test_signed_addresses_read_and_write(by_browser: Callable[..., None]) -> None:
    """A PUT with the signed type keeps it; a GET reads it, under another name if asked; neither does the other."""

    async def body(storage: Storage, browser: httpx.AsyncClient) -> None:
        for key in ("up/grüße 1.png", "up/a+b&c=d%.txt"):
            up = await storage.presign_put(key, "image/png")
            put = await browser.put(up, content=b"pixels", headers={"content-type": "image/png"})
            assert put.status_code == 200, put.text
            found = await storage.stat(key)
            assert found is not None
            assert (found.content_type, found.size) == ("image/png", 6)
            got = await browser.get(await storage.presign_get(key))
            assert (got.status_code, got.content, got.headers["content-type"]) == (200, b"pixels", "image/png")
            named = await browser.get(await storage.presign_get(key, download_as="für dich.png"))
            assert "attachment" in named.headers["content-disposition"]
            assert quote("für dich.png") in named.headers["content-disposition"]
            assert (await browser.get(up)).status_code == 403

    by_browser(body)


def test_signed_addresses_cannot_be_bent(by_browser: Callable[..., None]) -> None:
    """Another type, another key, no signature, a changed expiry: refused, and nothing is written."""

    async def body(storage: Storage, browser: httpx.AsyncClient) -> None:
        await storage.put("s/secret", b"x")
        up, down = await storage.presign_put("s/new", "image/png"), await storage.presign_get("s/secret", 100)
        bent = [
            await browser.put(up, content=b"<html>", headers={"content-type": "text/html"}),
            await browser.put(up.replace("s/new", "s/other"), content=b"x", headers={"content-type": "image/png"}),
            await browser.put(down, content=b"x"),
            await browser.get(down.replace("s/secret", "s/other")),
            await browser.get(down.split("?")[0]),
            await browser.get(re.sub(r"(until|X-Amz-Date)=(\d)", r"\1=9", down)),
            await browser.get(re.sub(r"(?i)(signature=.{8})", r"\1z", down)),
        ]
        assert {answer.status_code for answer in bent} <= {400, 401, 403}, bent
        assert [key.rsplit("s/", 1)[1] for key in await keys(storage, "s/")] == ["secret"]

    by_browser(body)


def test_a_signed_address_runs_out(by_browser: Callable[..., None]) -> None:
    """After its time it is refused."""

    async def body(storage: Storage, browser: httpx.AsyncClient) -> None:
        await storage.put("s/brief", b"x")
        address = await storage.presign_get("s/brief", 1)
        with anyio.fail_after(15):
            while (await browser.get(address)).status_code == 200:
                await asyncio.sleep(0.1)

    by_browser(body)


def test_the_door_of_a_folder(tmp_path: Path) -> None:
    """Public prefixes need no signature; uploads have a limit; nothing that was uploaded runs as a page."""

    async def body() -> None:
        storage = FolderStorage(tmp_path, "http://app.test/objects")
        door = mounted("/objects", folder_door(storage, public=("public/",), most=10))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://app.test") as browser:
            await storage.put("public/a.html", b"<script>", "text/html")
            await storage.put("private/a", b"x")
            shown = await browser.get(storage.url("public/a.html"))
            assert shown.content == b"<script>"
            assert "sandbox" in shown.headers["content-security-policy"]
            assert shown.headers["x-content-type-options"] == "nosniff"
            head = await browser.head(storage.url("public/a.html"))
            assert (head.headers["content-length"], head.content) == ("8", b"")
            assert (await browser.get(storage.url("public/none"))).status_code == 404
            assert (await browser.get(storage.url("private/a"))).status_code == 403
            assert (await browser.put(storage.url("public/a.html"), content=b"x")).status_code == 403
            assert (await browser.delete(storage.url("public/a.html"))).status_code == 405
            assert (await browser.get("/objects/public/..%2f..%2fsigning-key")).status_code == 400
            up = await storage.presign_put("big", "text/plain")
            assert (await browser.put(up, content=b"x" * 11, headers={"content-type": "text/plain"})).status_code == 413
            assert await storage.stat("big") is None

    asyncio.run(body())
