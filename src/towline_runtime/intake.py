"""Claims jobs while there is room for them, and no further ahead than they are finished."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import TYPE_CHECKING

import asyncpg

from towline_runtime.database import AWAY, MOST_WAIT
from towline_runtime.served import Rooms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline_runtime.claims import Claims
    from towline_runtime.crew import Crew
    from towline_runtime.doorbell import Doorbell
    from towline_runtime.served import Served
    from towline_runtime.settlement import Settlement

log = logging.getLogger(__name__)
WAIT = 5.0  # seconds of one wait at the doorbell; a lease counts from its beginning
PAUSE = 0.1  # seconds between two looks for room when nothing has ended
MOST_UNWRITTEN = 4000  # outcomes that may wait to be written while more is claimed


class Intake:
    """The loop that takes from the doorbell."""

    def __init__(self, doorbell: Doorbell, claims: Claims, served: Mapping[str, Served], crew: Crew) -> None:
        self._doorbell = doorbell
        self._claims = claims
        self._crew = crew
        self._clock = asyncio.get_running_loop().time
        self._rooms = Rooms(served, self._clock)
        self._wait = min(WAIT, claims.lease / 6)
        self._tries = 0

    async def run(self) -> None:
        """Take for ever, whatever servers are away meanwhile; cancelled, it leaves nothing claimed behind."""
        settlement = self._crew.settlement
        while True:
            most = self._most(settlement)
            if most < 1 or not self._rooms:
                await self._until_freed()
            else:
                await self._take(most)

    async def _take(self, most: int) -> None:
        asked = self._clock()
        try:
            claims = await self._doorbell.take(self._claims, self._rooms, most, self._wait)
        except (asyncpg.PostgresError, *AWAY) as error:
            await self._away(error)
        else:
            self._tries = 0
            if claims:
                self._crew.admit(claims, asked)

    def _most(self, settlement: Settlement) -> int:
        if settlement.unwritten > MOST_UNWRITTEN:
            return 0
        ahead, waiting = self._crew.pulse.ahead(self._clock()), self._crew.waiting
        if waiting > ahead // 2:
            return 0
        return self._crew.free + ahead - waiting

    async def _until_freed(self) -> None:
        self._crew.freed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PAUSE):
                await self._crew.freed.wait()
        self._crew.hand_back_stale()

    async def _away(self, error: Exception) -> None:
        if self._tries == 0:
            log.warning("cannot take jobs, trying again", extra={"error": type(error).__name__})
        self._tries += 1
        await asyncio.sleep(random.uniform(0, min(MOST_WAIT, 0.05 * 2 ** min(self._tries, 10))))  # noqa: S311  # no secret
