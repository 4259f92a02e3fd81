"""An ASGI app that serves a folder's objects to browsers: signed reads and writes, and public prefixes."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from towline_runtime.asgi import answer, header
from towline_runtime.errors import KeyRefused, ObjectMissing, StorageFailed
from towline_runtime.storage import OCTETS, checked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from towline_runtime.asgi import App, Receive, Scope, Send
    from towline_runtime.storage.folder import FolderStorage

# What somebody uploaded must never run as a page of the app's own origin.
HARMLESS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "same-site",
}


class _TooLarge(Exception):
    pass


class _Gone(Exception):
    pass


def folder_door(storage: FolderStorage, *, public: Sequence[str] = (), most: int = 100 * 1024 * 1024) -> App:
    """Serve what `storage` signs; mount it where STORAGE_URL says.

    Keys that begin with one of `public` may be read without a signature; `most` is the largest upload in bytes.
    """
    door = _Door(storage, tuple(public), most)
    return door.serve


class _Door:
    def __init__(self, storage: FolderStorage, public: tuple[str, ...], most: int) -> None:
        self._storage = storage
        self._public = public
        self._most = most

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        method, key = scope["method"], _key(scope)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        try:
            checked(key)
            if method not in {"GET", "HEAD", "PUT"}:
                await _refuse(send, HTTPStatus.METHOD_NOT_ALLOWED)
            elif not self._may(method, key, query):
                await _refuse(send, HTTPStatus.FORBIDDEN)
            elif method == "PUT":
                await self._write(key, query, scope, receive, send)
            else:
                await self._read(key, query, send, body=method == "GET")
        except KeyRefused:
            await _refuse(send, HTTPStatus.BAD_REQUEST)
        except ObjectMissing:
            await _refuse(send, HTTPStatus.NOT_FOUND)
        except StorageFailed:
            await _refuse(send, HTTPStatus.SERVICE_UNAVAILABLE)

    def _may(self, method: str, key: str, query: Mapping[str, str]) -> bool:
        public = method != "PUT" and bool(self._public) and key.startswith(self._public)
        return public or self._storage.signer.allows(method, key, query)

    async def _read(self, key: str, query: Mapping[str, str], send: Send, *, body: bool) -> None:
        found = await self._storage.stat(key)
        if found is None:
            raise ObjectMissing(f"There is no object `{key}`")
        headers = {
            "content-type": found.content_type or OCTETS,
            "content-length": str(found.size),
            "last-modified": found.modified.strftime("%a, %d %b %Y %H:%M:%S GMT"),
            **HARMLESS,
        }
        if "detail" in query and "signature" in query:
            headers["content-disposition"] = disposition(query["detail"])
        pairs = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": pairs})
        if body:
            async for piece in self._storage.stream(key):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def _write(self, key: str, query: Mapping[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        if (header(scope, "content-type") or "") != query.get("detail"):
            await _refuse(send, HTTPStatus.FORBIDDEN)
            return
        try:
            await self._storage.put(key, _body(receive, self._most), query["detail"])
        except _TooLarge:
            await _refuse(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except _Gone:
            return
        else:
            await answer(send, HTTPStatus.OK, b"", "text/plain")


def disposition(name: str) -> str:
    """A Content-Disposition that saves under this name, whatever its letters: RFC 6266."""
    plain = re.sub(r"[^A-Za-z0-9 ._-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _key(scope: Scope) -> str:
    # Starlette leaves the whole path and tells in root_path what the mount took; others cut the path.
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root).removeprefix("/") if path.startswith(f"{root}/") else path.removeprefix("/")


async def _body(receive: Receive, most: int) -> AsyncIterator[bytes]:
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        size += len(message.get("body", b""))
        if size > most:
            raise _TooLarge
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


async def _refuse(send: Send, status: HTTPStatus) -> None:
    await answer(send, status, status.phrase.encode(), "text/plain")
