"""The sweeper: finds what nobody else will finish, and forgets what is long over; every pass is bounded."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from towline_runtime.database import AWAY
from towline_runtime.lease import Lease, owner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from towline_runtime.database import Database
    from towline_runtime.doorbell import Doorbell

log = logging.getLogger(__name__)

DAY = 86400.0
AT_ONCE = 10_000  # lost doorbells that are counted and rung in one pass: each is one row of the outbox


@dataclass(frozen=True)
class Chore:
    """Something to do every so many seconds; `run` gives how many rows it dealt with.

    One that dealt with a whole `batch` has more to do and is run again in the next pass.
    """

    name: str
    run: Callable[[], Awaitable[int]]
    every: float
    batch: int = 1000


@dataclass(frozen=True)
class SweeperOptions:
    """Times in seconds.

    `ring_after` is how long a job may be due without a doorbell before it is rung again. An attempt that runs longer
    than `stuck_after` is reported, and cancelled when `cancel_stuck`: its worker renews the lease, so only a person or
    this limit can tell. Rows of jobs that ended are forgotten after `keep_done` (done, cancelled) and `keep_dead`.
    """

    every: float = 1.0
    ring_after: float = 30.0
    stuck_after: float = 6 * 3600.0
    cancel_stuck: bool = False
    keep_done: float = 7 * DAY
    keep_dead: float = 30 * DAY
    batch: int = 1000
    lease: float = 10.0
    owner: str = field(default_factory=owner)


class Sweeper:
    """Sweeps these queues; of all sweepers with the same queues one is active.

    `chores` are what an app adds, for instance forgetting old sessions.
    """

    def __init__(
        self,
        database: Database,
        doorbell: Doorbell,
        queues: Sequence[str],
        options: SweeperOptions | None = None,
        chores: Sequence[Chore] = (),
    ) -> None:
        self._database = database
        self._doorbell = doorbell
        self._queues = sorted(queues)
        self._options = options or SweeperOptions()
        self._chores = [*self._own_chores(), *chores]
        self._failing: set[str] = set()
        self._reported: set[tuple[int, int]] = set()

    async def run(self) -> None:
        """Sweep for ever, whenever the lease is ours; end it by cancelling."""
        await Lease(self._database, f"sweeper:{','.join(self._queues)}", self._options.owner, self._options.lease).work(
            self._sweep
        )

    async def _sweep(self) -> None:
        clock = asyncio.get_running_loop().time
        due = dict.fromkeys((chore.name for chore in self._chores), 0.0)
        while True:
            started = clock()
            for chore in self._chores:
                if due[chore.name] <= started and await self._do(chore) < chore.batch:
                    due[chore.name] = started + chore.every
            await asyncio.sleep(max(0.0, started + self._options.every - clock()))

    async def _do(self, chore: Chore) -> int:
        # A doorbell that is away must not keep leases from being swept, so each chore fails on its own.
        try:
            done = await chore.run()
        except AWAY as error:
            if chore.name not in self._failing:
                log.warning("a chore waits", extra={"chore": chore.name, "error": type(error).__name__})
            self._failing.add(chore.name)
            return 0
        self._failing.discard(chore.name)
        return done

    def _own_chores(self) -> list[Chore]:
        options, batch = self._options, self._options.batch
        return [
            Chore("expire", self._expire, options.every, batch),
            Chore("ring again", self._ring_again, options.ring_after / 10, AT_ONCE),
            Chore("sweep outbox", self._sweep_outbox, 10.0, batch),
            Chore("forget", self._forget, 60.0, batch),
            Chore("tidy", lambda: self._doorbell.tidy(self._queues), 60.0, batch),
            Chore("stuck", self._report_stuck, 60.0, batch + 1),
        ]

    async def _expire(self) -> int:
        rows = await self._database.fetch("expire", self._options.batch)
        for row in rows:
            state = row["state"]
            found = {"job": row["id"], "kind": row["kind"], "attempt": row["attempt"], "state": state}
            log.log(logging.ERROR if state == "dead" else logging.WARNING, "a lease ran out", extra=found)
        return len(rows)

    async def _ring_again(self) -> int:
        if self._doorbell.scheme == "postgres":
            return 0
        return max([await self._ring_queue(queue) for queue in self._queues], default=0)

    async def _ring_queue(self, queue: str) -> int:
        after, fetch = self._options.ring_after, self._database.fetch
        if await fetch("outbox_behind", queue, AT_ONCE):
            return 0  # more would only make the outbox longer
        overdue = (await fetch("overdue", queue, after, AT_ONCE))[0]["count"]
        if not overdue:
            return 0
        waiting = await self._doorbell.waiting(queue)
        if waiting is not None and waiting * self._doorbell.rings_each >= overdue:
            return 0  # a backlog: its rings are there
        rung = await fetch("ring_again", queue, after, AT_ONCE)
        if rung:
            log.warning("rang again", extra={"queue": queue, "jobs": len(rung), "overdue": overdue, "waiting": waiting})
        return len(rung)

    async def _sweep_outbox(self) -> int:
        return len(await self._database.fetch("sweep_outbox", self._options.batch))

    async def _forget(self) -> int:
        options = self._options
        return len(await self._database.fetch("forget", options.keep_done, options.keep_dead, options.batch))

    async def _report_stuck(self) -> int:
        rows = await self._database.fetch("stuck", self._options.stuck_after, self._options.batch)
        for row in rows:
            if (row["id"], row["attempt"]) in self._reported:
                continue
            found = {"job": row["id"], "kind": row["kind"], "worker": row["worker"], "seconds": round(row["seconds"])}
            log.warning("a job runs very long", extra=found)
            if self._options.cancel_stuck:
                await self._database.fetch("ask_cancel", row["id"])
        self._reported = {(row["id"], row["attempt"]) for row in rows}
        return len(rows)
