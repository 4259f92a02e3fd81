"""How attempts ended, on its way to the database: while one batch is written the next one gathers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from towline_runtime.attempt import Attempt
    from towline_runtime.claims import Claims
    from towline_runtime.reports import Reports

log = logging.getLogger(__name__)
MOST = 1000  # jobs in one statement
AGAIN = 1.0  # seconds until a refused write is tried again
Entry = TypeVar("Entry", bound="tuple[Any, ...]")  # an attempt first


@dataclass
class Batch:
    """Attempts by how they ended, with what is written of each."""

    done: list[tuple[Attempt, str | None]] = field(default_factory=list)
    retry: list[tuple[Attempt, str, float]] = field(default_factory=list)
    dead: list[tuple[Attempt, str]] = field(default_factory=list)
    back: list[tuple[Attempt, float]] = field(default_factory=list)
    cancelled: list[tuple[Attempt]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.done) + len(self.retry) + len(self.dead) + len(self.back) + len(self.cancelled)


class Settlement:
    """Gathers outcomes and writes them, for as long as the server is away too; `settled` hears of each one written.

    It holds no more than the worker has claimed: nothing new is claimed while the server is away.
    """

    def __init__(self, claims: Claims, reports: Reports, settled: Callable[[Attempt], None]) -> None:
        self._claims = claims
        self._reports = reports
        self._settled = settled
        self._next = Batch()
        self._under_way = 0
        self._wanted = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def unwritten(self) -> int:
        """Attempts whose outcome is not in the database yet."""
        return len(self._next) + self._under_way

    def done(self, attempt: Attempt, result: str | None) -> None:
        """It succeeded, with a result as JSON text."""
        self._next.done.append((attempt, result))
        self._wanted.set()

    def retry(self, attempt: Attempt, reason: str, delay: float) -> None:
        """It failed, and another attempt follows after so many seconds."""
        self._next.retry.append((attempt, reason, delay))
        self._wanted.set()

    def bury(self, attempt: Attempt, reason: str) -> None:
        """It failed for good."""
        self._next.dead.append((attempt, reason))
        self._wanted.set()

    def hand_back(self, attempt: Attempt, delay: float) -> None:
        """It does not count, and anybody may have the job after so many seconds."""
        self._next.back.append((attempt, delay))
        self._wanted.set()

    def cancelled(self, attempt: Attempt) -> None:
        """It ended because somebody asked."""
        self._next.cancelled.append((attempt,))
        self._wanted.set()

    async def run(self) -> None:
        """Write batch after batch, for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._empty.clear()
            while len(self._next):
                batch, self._next = self._next, Batch()
                self._under_way = len(batch)
                await self._write(batch)
                self._under_way = 0
            self._empty.set()

    async def written(self, within: float) -> bool:
        """Wait until everything is written, at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.unwritten:
                    self._empty.clear()
                    self._wanted.set()
                    await self._empty.wait()
        return not self.unwritten

    async def _write(self, batch: Batch) -> None:
        if any(attempt.reported for attempt, _ in batch.done):
            await self._reports.flush()  # the last progress is refused once the job is done
        claims = self._claims
        await self._each(batch.done, lambda some: claims.finish([(one.claim, result) for one, result in some]))
        await self._each(batch.retry, lambda some: claims.retry([(one.claim, why, wait) for one, why, wait in some]))
        await self._each(batch.dead, lambda some: claims.bury([(one.claim, why) for one, why in some]))
        await self._each(batch.back, lambda some: claims.release([(one.claim, wait) for one, wait in some]))
        await self._each(batch.cancelled, lambda some: claims.end_cancelled([one.claim for (one,) in some]))

    async def _each(self, entries: list[Entry], write: Callable[[list[Entry]], Awaitable[set[int]]]) -> None:
        for start in range(0, len(entries), MOST):
            await self._until_written(entries[start : start + MOST], write)

    async def _until_written(self, entries: list[Entry], write: Callable[[list[Entry]], Awaitable[set[int]]]) -> None:
        while True:
            try:
                ours = await write(entries)
            except asyncpg.DataError as error:
                await self._one_by_one(entries, write, error)
                return
            except asyncpg.PostgresError as error:
                log.error("outcomes refused, trying again", extra={"error": type(error).__name__, "jobs": len(entries)})  # noqa: TRY400  # the name says it
                await asyncio.sleep(AGAIN)
            else:
                await self._let_go(entries, ours)
                return

    async def _one_by_one(
        self, entries: list[Entry], write: Callable[[list[Entry]], Awaitable[set[int]]], error: asyncpg.DataError
    ) -> None:
        """What Postgres cannot store must not take others with it: alone, it becomes a dead letter."""
        if len(entries) > 1:
            for entry in entries:
                await self._until_written([entry], write)
            return
        attempt = entries[0][0]
        log.error("a result cannot be stored", extra={"job": attempt.id, "kind": attempt.kind})
        reason = f"what the job gave back cannot be stored: {type(error).__name__}"
        await self._each([(attempt, reason)], lambda some: self._claims.bury([(one.claim, why) for one, why in some]))

    async def _let_go(self, entries: list[Entry], ours: set[int]) -> None:
        for entry in entries:
            self._settled(entry[0])
        if len(ours) < len(entries):
            lost = [entry[0].id for entry in entries if entry[0].id not in ours and not entry[0].finished]
            log.warning("outcomes of lost leases thrown away", extra={"jobs": lost[:20], "count": len(lost)})
        if told := [entry[0].id for entry in entries if entry[0].reported]:
            await self._reports.tell(told)
