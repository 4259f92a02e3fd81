"""What the function of a job is given: which job it is, and what may be written while it runs."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from towline_runtime.errors import LeaseLost, RuntimeFault
from towline_runtime.payload import result_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    import asyncpg

    from towline_runtime.claims import Claim

    Transaction = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

T = TypeVar("T")


class Desk(Protocol):
    """Where a running job hands in what it has to say: the worker's, a child process's or a test's."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of `remember` and `finish`."""

    def report(self, job: Running, progress: str) -> None:
        """Take note of JSON text, from any thread, at once."""

    async def remember(self, job: Running, value: str) -> bool:
        """Keep JSON text for the next attempt; false when the lease is lost."""

    def finish(self, job: Running, result: str | None) -> AbstractAsyncContextManager[Transaction]:
        """A transaction at whose end the job is done; LeaseLost rolls it back."""


class Running:
    """One attempt at one job, as its function sees it.

    In a thread `progress` and `cancelled` work as they are, `remember` by `job.from_thread(job.remember(...))`, and
    `finish` not at all, for its connection belongs to the event loop. In a process only `progress` works.
    """

    __slots__ = ("_remembered", "claim", "desk", "finished", "reported", "stopped")

    def __init__(self, claim: Claim, desk: Desk) -> None:
        self.claim = claim
        self.desk = desk
        self.stopped = False
        self.finished = False
        self.reported = False
        self._remembered = claim.remembered

    @property
    def id(self) -> int:
        """The job's number."""
        return self.claim.id

    @property
    def kind(self) -> str:
        """The name of its kind."""
        return self.claim.kind

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self.claim.queue

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.claim.attempt

    @property
    def attempts(self) -> int:
        """The most attempts it has."""
        return self.claim.attempts

    @property
    def correlation_id(self) -> str | None:
        """What ties it to the request that asked for it."""
        return self.claim.correlation_id

    @property
    def created_at(self) -> datetime:
        """When it was added, by the database's clock."""
        return self.claim.created_at

    @property
    def remembered(self) -> dict[str, Any] | None:
        """What this or an earlier attempt gave to `remember` last."""
        return None if self._remembered is None else dict(json.loads(self._remembered))

    @property
    def cancelled(self) -> bool:
        """Whether to stop: somebody asked, the lease is lost, the time is up, or the worker ends.

        An async function is cancelled anyway. A thread cannot be: it should look here now and then, for whatever it
        does from now on is thrown away.
        """
        return self.stopped

    def progress(self, done: float, note: str = "", **more: Any) -> None:
        """Say how far the job is, `done` from 0 to 1; cheap enough to call often, from any thread.

        Only the latest is written, at most every 200 ms. Raises PayloadInvalid for what is not JSON.
        """
        self.reported = True
        self.desk.report(self, _text(self, {"done": done, "note": note, **more}))

    async def remember(self, value: dict[str, Any]) -> None:
        """Keep a value with the job, for its next attempt: it is in the database when this returns.

        Remember the number that a paid service gave to a request before you wait for its answer, and the next attempt
        asks for that answer rather than paying again. Raises LeaseLost, and PayloadInvalid for what is not JSON.
        """
        text = _text(self, value)
        if self.stopped or not await self.desk.remember(self, text):
            raise lease_lost(self)
        self._remembered = text

    @asynccontextmanager
    async def finish(self, result: Any = None) -> AsyncIterator[Transaction]:
        """Lend a transaction at whose end the job is done: what is written in it happens exactly once.

        `async with job.finish({"url": url}) as tx: await tx.execute("insert ...")`. Return soon afterwards. Raises
        LeaseLost, with nothing written, when the job is no longer ours.
        """
        if self.stopped:
            raise lease_lost(self)
        async with self.desk.finish(self, result_text(self.kind, result)) as transaction:
            yield transaction
        self.finished = True

    def from_thread(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait in a thread for something of the event loop: `job.from_thread(job.remember({"request": 7}))`."""
        try:
            loop = self.desk.loop
        except RuntimeFault:
            coroutine.close()
            raise
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()


def lease_lost(job: Running) -> LeaseLost:
    """The error for a write of an attempt that no longer counts."""
    return LeaseLost(f"Attempt {job.attempt} no longer owns job {job.id}: nothing of it is written")


def _text(job: Running, value: dict[str, Any]) -> str:
    return result_text(job.kind, value) or "null"
