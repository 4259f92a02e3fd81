"""Ready-made checks, each with a connection of its own: a busy pool is not a sick server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg

from towline_runtime.health import Check, Unwell
from towline_runtime.redis_client import redis_client

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline_runtime.settings import Settings
    from towline_runtime.storage import Storage


def database(settings: Settings, *, name: str = "database") -> Check:
    """Postgres answers `select 1`."""
    one = _Postgres(settings.database_url)
    return Check(name, one.ask, close=one.close)


def redis(url: str, *, name: str = "redis") -> Check:
    """Redis or Valkey answers PING."""
    client = redis_client(url)

    async def ask() -> None:
        await client.ping()

    return Check(name, ask, close=client.aclose)


def storage(storage: Storage, *, name: str = "storage") -> Check:
    """The object store knows its bucket, or the folder may be written to."""
    return Check(name, storage.reach)


def http_service(url: str, *, name: str) -> Check:
    """Another service answers GET `url` with 2xx or 3xx."""

    async def ask() -> None:
        status = await _status_of(url)
        if not 200 <= status < 400:
            raise Unwell(f"answered {status}")

    return Check(name, ask)


def loaded(flag: Callable[[], bool], *, name: str) -> Check:
    """Something that must be loaded at startup, such as a model, is."""

    async def ask() -> None:
        if not flag():
            raise Unwell("not loaded yet")

    return Check(name, ask)


def heartbeat(age: Callable[[], float], *, most: float, name: str = "worker") -> Check:
    """Something that repeats itself did so less than `most` seconds ago; `age` gives the seconds since."""

    async def ask() -> None:
        if (seconds := age()) > most:
            raise Unwell(f"last heard of {seconds:.0f} s ago")

    return Check(name, ask)


class _Postgres:
    """One connection that stays open between looks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def ask(self) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._url, timeout=5, statement_cache_size=0)
        try:
            await self._connection.execute("select 1")
        except BaseException:
            # It may be in the middle of an answer: cut it without a word, for a hanging server would not hear one.
            await self.close()
            raise

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def _status_of(url: str) -> int:
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure, limit=8192)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        asked = f"GET {path} HTTP/1.1\r\nhost: {parts.netloc.rsplit('@', 1)[-1]}\r\nconnection: close\r\n\r\n"
        writer.write(asked.encode("ascii"))
        await writer.drain()
        words = (await reader.readline()).split()
        return int(words[1])
    except (IndexError, ValueError):
        raise Unwell("answered something that is not HTTP") from None
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await _closed(writer)


async def _closed(writer: Any) -> None:
    async with asyncio.timeout(0.5):
        await writer.wait_closed()
