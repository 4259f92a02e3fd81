"""A tiny HTTP server for processes that have none, such as workers: health and figures on a port of their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from towline_runtime.asgi import answer_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from towline_runtime.asgi import App, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds for a request to come in and its answer to leave
LONGEST = 8192  # bytes of a line, and of all headers together


@asynccontextmanager
async def serve_health(app: App, port: int, host: str = "0.0.0.0") -> AsyncIterator[int]:  # noqa: S104
    """Serve an ASGI app to probes while the block runs; gives the port, which is chosen when `port` is 0.

    One request a connection, GET and HEAD only: it is meant for a private network, not for browsers.
    """
    handling: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_handle(app, reader, writer))
        handling.add(task)
        task.add_done_callback(handling.discard)

    server = await asyncio.start_server(accept, host, port, limit=LONGEST)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(handling):
            task.cancel()
        if handling:
            await asyncio.wait(tuple(handling), timeout=1)


def by_path(apps: Mapping[str, App]) -> App:
    """One ASGI app of several: the path decides, and "*" takes what is left."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        app = apps.get(scope["path"]) or apps.get("*")
        if app is None:
            await answer_json(send, 404, {"error": "not found"})
        else:
            await app(scope, receive, send)

    return serve


async def _handle(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            scope = await _scope(reader)
            sending = _Sending(writer, body=scope is not None and scope["method"] == "GET")
            if scope is None:
                await answer_json(sending, 400, {"error": "not understood"})
            elif scope["method"] not in {"GET", "HEAD"}:
                await answer_json(sending, 405, {"error": "method not allowed"}, {"allow": "GET, HEAD"})
            else:
                await app(scope, _nothing, sending)
            await writer.drain()
    except (TimeoutError, OSError) as error:
        log.debug("a probe went away", extra={"error": type(error).__name__})
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class _Sending:
    """ASGI's `send` over a socket."""

    def __init__(self, writer: asyncio.StreamWriter, *, body: bool) -> None:
        self._writer = writer
        self._body = body

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            lines = [f"HTTP/1.1 {message['status']} -".encode()]
            lines += [name + b": " + value for name, value in message.get("headers", ())]
            self._writer.write(b"\r\n".join([*lines, b"connection: close", b"", b""]))
        elif self._body:
            self._writer.write(message.get("body", b""))


async def _scope(reader: asyncio.StreamReader) -> Scope | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        return None
    if not version.startswith("HTTP/1.") or not target.startswith("/"):
        return None
    path, _, query = target.partition("?")
    pairs = [line.partition(":") for line in lines if ":" in line]
    headers = [(name.strip().lower().encode("latin-1"), value.strip().encode("latin-1")) for name, _, value in pairs]
    found: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "scheme": "http",
        "headers": headers,
    }
    return found


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
