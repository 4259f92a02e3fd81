"""Where the jobs of a worker hand in what they have to say."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from towline_runtime.attempt import Attempt
from towline_runtime.database import again_and_again, queries
from towline_runtime.running import lease_lost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from towline_runtime.claims import Claims
    from towline_runtime.reports import Reports
    from towline_runtime.running import Running, Transaction


class WorkerDesk:
    """Writes with the token of the attempt.

    At most `transactions` of `Running.finish` are open at once: those are as slow as the jobs make them, and the
    worker's own statements must always find a connection.
    """

    def __init__(self, claims: Claims, reports: Reports, transactions: int) -> None:
        self.loop = asyncio.get_running_loop()
        self._claims = claims
        self._reports = reports
        self._turns = asyncio.Semaphore(transactions)

    def report(self, job: Running, progress: str) -> None:
        """Note it for the next write."""
        assert isinstance(job, Attempt)  # noqa: S101  # this desk is given to attempts
        self._reports.note(job, progress)

    async def remember(self, job: Running, value: str) -> bool:
        """Write it now, for as long as that takes."""
        return await self._claims.remember(job.claim, value)

    @asynccontextmanager
    async def finish(self, job: Running, result: str | None) -> AsyncIterator[Transaction]:
        """Mark the job done as the last statement of the transaction."""
        if job.reported:
            await self._reports.flush()  # progress is refused once the job is done
        database, claim = self._claims.database, job.claim
        async with self._turns, AsyncExitStack() as stack:
            transaction = await again_and_again(
                lambda: stack.enter_async_context(database.transaction()), what="finish a job"
            )
            yield transaction
            if not await transaction.fetch(queries()["finish"], [claim.id], [claim.token], [result]):
                raise lease_lost(job)
        if job.reported:
            await self._reports.tell([claim.id])
