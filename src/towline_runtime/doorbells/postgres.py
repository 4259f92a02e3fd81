"""The doorbell without a server of its own: workers look into the job table, and a NOTIFY shortens the wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from towline_runtime.doorbells.claiming import kept_whole
from towline_runtime.nudges import Nudges

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from towline_runtime.claims import Claim, Claims
    from towline_runtime.database import Database
    from towline_runtime.doorbell import Pace, Ring

PRIORITIES = (1, 0, -1)


class PostgresDoorbell:
    """Claims by SKIP LOCKED in batches, every `pace.busy` to `pace.idle` seconds or when nudged."""

    scheme = "postgres"
    rings_each = 1

    def __init__(self, database: Database, queues: Sequence[str], pace: Pace) -> None:
        self._nudges = Nudges(database.direct_url, queues)
        self._wanted = [(queue, priority) for priority in PRIORITIES for queue in queues]
        self._pace = pace
        self._pause = pace.busy

    async def ring(self, rings: Sequence[Ring]) -> list[Ring]:
        """Nothing to do: the job's own row is the message."""
        del rings
        return []

    async def take(self, claims: Claims, kinds: Collection[str], most: int, wait: float) -> list[Claim]:
        """Look at once, then again and again until something is there or `wait` has passed."""
        end = asyncio.get_running_loop().time() + wait
        while not (taken := await kept_whole(claims, claims.claim(self._wanted, kinds, most))):
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return []
            nudged = await self._nudges.wait(min(self._pause, left))
            self._pause = self._pace.busy if nudged else min(self._pause * 1.1, self._pace.idle)
        self._pause = self._pace.busy
        return taken

    async def waiting(self, queue: str) -> int | None:
        """Not known apart from the jobs themselves."""
        del queue
        return None

    async def tidy(self, queues: Sequence[str]) -> int:
        """Nothing is ever left behind."""
        del queues
        return 0

    async def close(self) -> None:
        """Stop listening."""
        await self._nudges.close()
