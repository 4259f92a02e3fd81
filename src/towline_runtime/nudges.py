"""The receiving end of nudges: one LISTEN connection that comes back for ever, and may be absent without harm."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import asyncpg

from towline_runtime.database import AWAY
from towline_runtime.outbox import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)
AGAIN = 5.0  # seconds until a lost listener tries again: polling goes on meanwhile


class Nudges:
    """Waits for a nudge of one of these queues; starts listening at the first wait.

    `url` must reach the server itself: a transaction pooler swallows LISTEN, and then only polling is left.
    """

    def __init__(self, url: str, queues: Sequence[str]) -> None:
        self._url = url
        self._queues = frozenset(queues)
        self._nudged = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    async def wait(self, seconds: float) -> bool:
        """Wait for a nudge that came since the last wait, at most so long; true when there was one."""
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        nudged = self._nudged.is_set()
        self._nudged.clear()
        return nudged

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
            self._listening = None

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(*AWAY):
                await self._until_lost()
            await asyncio.sleep(AGAIN)

    async def _until_lost(self) -> None:
        connection = await asyncpg.connect(self._url, timeout=5, statement_cache_size=0)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            await connection.add_listener(CHANNEL, self._heard)
            await lost.wait()
        finally:
            connection.terminate()

    def _heard(self, connection: Any, pid: int, channel: str, queue: object) -> None:
        del connection, pid, channel
        if queue in self._queues:
            self._nudged.set()
