"""The receiving end of nudges: a wait that a notification makes shorter."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from towline_runtime.listener import Listener
from towline_runtime.outbox import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Sequence


class Nudges:
    """Waits for a nudge of one of these queues; starts listening at the first wait.

    `url` must reach the server itself: a transaction pooler swallows LISTEN, and then only polling is left.
    """

    def __init__(self, url: str, queues: Sequence[str]) -> None:
        self._queues = frozenset(queues)
        self._nudged = asyncio.Event()
        self._listener = Listener(url, CHANNEL, self._heard)

    async def wait(self, seconds: float) -> bool:
        """Wait for a nudge that came since the last wait, at most so long; true when there was one."""
        self._listener.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        nudged = self._nudged.is_set()
        self._nudged.clear()
        return nudged

    async def close(self) -> None:
        """Stop listening."""
        await self._listener.close()

    def _heard(self, queue: str) -> None:
        if queue in self._queues:
            self._nudged.set()
