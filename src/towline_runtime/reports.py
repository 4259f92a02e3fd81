"""Progress of jobs on its way to the database: the latest of each, many in one statement, a few times a second."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import asyncpg

from towline_runtime.database import AWAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from towline_runtime.attempt import Attempt
    from towline_runtime.claims import Claims

log = logging.getLogger(__name__)
PAUSE = 0.2  # seconds between two writes: more often than anybody looks


class Reports:
    """Takes notes from any thread; what is not written yet is at most one text a job."""

    def __init__(self, claims: Claims, loop: asyncio.AbstractEventLoop) -> None:
        self._claims = claims
        self._loop = loop
        self._latest: dict[int, tuple[Attempt, str]] = {}
        self._noted = asyncio.Event()
        self._waking = False
        self._writing = asyncio.Lock()

    def note(self, attempt: Attempt, progress: str) -> None:
        """Replace what was noted before."""
        self._latest[attempt.id] = (attempt, progress)
        if not self._waking:
            self._waking = True
            self._loop.call_soon_threadsafe(self._noted.set)

    async def run(self) -> None:
        """Write what was noted, for ever."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            self._waking = False
            await self.flush()
            await asyncio.sleep(PAUSE)

    async def flush(self) -> None:
        """Write what is noted now; also waits for a write that is under way."""
        async with self._writing:
            # One at a time, since threads go on adding.
            batch = [self._latest.pop(job) for job in list(self._latest)]
            batch = [one for one in batch if not one[0].stopped]
            if batch:
                await self._write(batch)

    async def tell(self, jobs: Sequence[int]) -> None:
        """Wake those who follow these jobs; one that is lost only makes them see it at their next look."""
        try:
            await self._claims.database.fetch("tell_progress", list(jobs))
        except (asyncpg.PostgresError, *AWAY) as error:
            log.debug("followers not woken", extra={"error": type(error).__name__})

    async def _write(self, batch: list[tuple[Attempt, str]]) -> None:
        try:
            await self._claims.report([(attempt.claim, progress) for attempt, progress in batch])
        except (asyncpg.PostgresError, *AWAY) as error:
            log.debug("progress not written", extra={"error": type(error).__name__})
            for attempt, progress in batch:
                self._latest.setdefault(attempt.id, (attempt, progress))
            self._noted.set()
        else:
            await self.tell([attempt.id for attempt, _ in batch])
