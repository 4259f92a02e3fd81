"""The relay: carries doorbells from the outbox to the transport, at least once, in order within a lane."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from towline_runtime.database import again_and_again
from towline_runtime.doorbell import DoorbellAway, Pace, Ring
from towline_runtime.lease import Lease, owner
from towline_runtime.nudges import Nudges

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from towline_runtime.database import Database
    from towline_runtime.doorbell import Doorbell

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RelayOptions:
    """`batch` rings are published at once; `lease` is in seconds: how long a dead relay keeps its place."""

    batch: int = 500
    pace: Pace = field(default_factory=Pace)
    lease: float = 10.0
    owner: str = field(default_factory=owner)


class Relay:
    """Moves outbox rows of its queues to the doorbell; of all relays with the same queues one is active.

    Rows are deleted once they are published: a relay that is killed in between leaves them to be published again, and
    a doubled ring claims nothing. While the transport is away rows stay where they are.
    """

    def __init__(
        self, database: Database, doorbell: Doorbell, queues: Sequence[str], options: RelayOptions | None = None
    ) -> None:
        self._database = database
        self._doorbell = doorbell
        self._queues = sorted(queues)
        self._options = options or RelayOptions()
        self._nudges = Nudges(database.direct_url, queues)

    async def run(self) -> None:
        """Carry for ever, whenever the lease is ours; end it by cancelling."""
        if self._doorbell.scheme == "postgres":
            log.info("this doorbell needs no relay", extra={"doorbell": self._doorbell.scheme})
            await asyncio.Event().wait()
        name = f"relay:{','.join(sorted(self._queues))}"
        try:
            await Lease(self._database, name, self._options.owner, self._options.lease).work(self._carry)
        finally:
            await self._nudges.close()

    async def _carry(self) -> None:
        pace = self._options.pace
        pause = pace.busy
        while True:
            moved = await again_and_again(self._move, what="the relay")
            if moved < self._options.batch:
                nudged = await self._nudges.wait(pause)
                pause = pace.busy if nudged or moved else min(pause * 1.1, pace.idle)

    async def _move(self) -> int:
        rows = await self._database.fetch("outbox_rows", self._in_turn(), self._options.batch)
        if not rows:
            return 0
        letters = await self._letters(rows)
        refused = {ring.number for ring in await self._doorbell.ring([_ring(row, letters) for row in rows])}
        await self._database.fetch("forget_rung", [row["id"] for row in rows if row["id"] not in refused])
        if len(refused) == len(rows):
            raise DoorbellAway(f"none of {len(rows)} rings was accepted")
        return len(rows) - len(refused)

    async def _letters(self, rows: Sequence[asyncpg.Record]) -> dict[int, str]:
        dead = [row["job_id"] for row in rows if row["topic"] == "dead"]
        found = await self._database.fetch("letters", dead) if dead else []
        return {row["id"]: row["letter"] for row in found}

    def _in_turn(self) -> list[str]:
        # The first queue may fill the batch, so each is the first in its turn.
        self._queues = [*self._queues[1:], self._queues[0]]
        return self._queues


def _ring(row: asyncpg.Record, letters: dict[int, str]) -> Ring:
    letter = letters.get(row["job_id"]) if row["topic"] == "dead" else None
    return Ring(row["job_id"], row["queue"], row["lane"], row["topic"], row["id"], row["priority"], letter)
