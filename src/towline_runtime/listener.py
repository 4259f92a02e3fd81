"""One LISTEN connection that comes back for ever, and may be absent without harm: what it hears is only a hint."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import asyncpg

from towline_runtime.database import AWAY

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
AGAIN = 5.0  # seconds until a lost listener tries again: polling goes on meanwhile
ALIVE = (
    30.0  # seconds between two questions to the server: a router on the way may have dropped the connection silently
)


class Listener:
    """Calls `heard` with the payload of each notification on a channel, from `start` to `close`.

    `url` must reach the server itself: a transaction pooler swallows LISTEN, and then only polling is left.
    """

    def __init__(self, url: str, channel: str, heard: Callable[[str], None]) -> None:
        self._url = url
        self._channel = channel
        self._heard = heard
        self._listening: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen, unless it does already; returns at once."""
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
            self._listening = None

    async def _listen(self) -> None:
        while True:
            # A server that refuses us altogether (no right to connect, no such database) takes nothing but the hint.
            with contextlib.suppress(*AWAY, asyncpg.PostgresError):
                await self._until_lost()
            log.info("listener away, trying again", extra={"channel": self._channel})
            await asyncio.sleep(AGAIN)

    async def _until_lost(self) -> None:
        connection = await asyncpg.connect(self._url, timeout=5, command_timeout=10, statement_cache_size=0)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            await connection.add_listener(self._channel, self._told)
            while not lost.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ALIVE):
                        await lost.wait()
                        return
                await connection.execute("select 1")
        finally:
            connection.terminate()

    def _told(self, connection: Any, pid: int, channel: str, payload: object) -> None:
        del connection, pid, channel
        self._heard(str(payload))
