"""Jobs that a Node program adds to a BullMQ queue become jobs of this app."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

from bullmq import Worker  # type: ignore[import-untyped]
from bullmq.custom_errors import UnrecoverableError  # type: ignore[import-untyped]

from towline_runtime.bridges.bullmq_connection import REDIS_AWAY, connect
from towline_runtime.database import again_and_again
from towline_runtime.errors import KindInvalid, PayloadInvalid
from towline_runtime.outbox import Nudge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline_runtime.database import Database
    from towline_runtime.jobs import Kind
    from towline_runtime.outbox import Enqueue

log = logging.getLogger(__name__)
CONCURRENCY = 10  # each free slot of the package's worker costs some CPU for every job that comes
GRACE = 20.0  # seconds
TRIES = 300  # seconds, about, that a finished hand-over waits for Redis before BullMQ hands the job over again


class BullmqIntake:
    """Takes the jobs of a BullMQ queue: each BullMQ name is a kind, its data the arguments by name.

    A BullMQ job is completed, with `{"job": id}` as its return value, once the job is committed here; what then
    becomes of it is not BullMQ's concern. However often BullMQ hands the same one over it is added once. One whose name
    is not known or whose data do not fit fails at once, with the reason, and is not tried again.
    """

    def __init__(self, redis_url: str, queue: str, kinds: Mapping[str, Kind[..., Any]], database: Database) -> None:
        self._url = redis_url
        self._queue = queue
        self._kinds = dict(kinds)
        self._database = database
        self._nudge = Nudge(database)

    async def run(self) -> None:
        """Take jobs until cancelled; then those under way are committed and completed first. Redis may be away."""
        try:
            while True:
                client = connect(self._url, TRIES)
                try:
                    await self._work(client)
                except REDIS_AWAY as error:
                    log.warning("redis away, trying again", extra={"error": type(error).__name__})
                    await asyncio.sleep(1)
                finally:
                    await client.aclose()
        finally:
            await self._nudge.close()

    async def _work(self, client: Any) -> None:
        options = {
            "connection": client,
            "concurrency": CONCURRENCY,
            "autorun": False,
            "runRetryDelay": 1000,
            "maxStalledCount": 1_000_000,  # handed over again for as long as it takes: the key makes that harmless
        }
        worker = Worker(self._queue, self._take, options)
        worker.on("error", _say)
        working = asyncio.ensure_future(worker.run())
        try:
            await asyncio.shield(working)
        finally:
            await _close(worker, working)

    async def _take(self, job: Any, token: str) -> dict[str, int]:
        del token
        enqueue = self._enqueue(job)

        async def add() -> int:
            async with self._database.transaction() as connection:
                (row,) = await connection.fetch(*enqueue.asyncpg())
                return int(row["id"])

        added = await again_and_again(add, what="bullmq intake")
        self._nudge(enqueue.queue)
        return {"job": added}

    def _enqueue(self, job: Any) -> Enqueue:
        kind = self._kinds.get(job.name)
        if kind is None:
            known = ", ".join(sorted(self._kinds))
            raise UnrecoverableError(f"No kind of job is known here as {job.name!r}; known: {known}")
        try:
            # Redis that was emptied counts from 1 again: the time of adding tells the new job 1 from the old one.
            named = kind.with_(key=f"bullmq:{self._queue}:{job.id}:{job.timestamp}")
            return named.enqueue(**kind.unpack(json.dumps(job.data)))
        except (PayloadInvalid, KindInvalid) as error:
            raise UnrecoverableError(error.sentence) from None


async def _close(worker: Any, working: asyncio.Future[None]) -> None:
    """Let what is under way end; after GRACE (Redis may be away) BullMQ hands it over again to the next intake."""
    closing = asyncio.ensure_future(worker.close())
    _, unfinished = await asyncio.wait({closing, working}, timeout=GRACE)
    if unfinished:
        forced = asyncio.ensure_future(worker.close(force=True))
        working.cancel()
        await asyncio.wait({forced, closing, working}, timeout=GRACE)


def _say(error: Exception, *more: object) -> None:
    del more
    log.warning("bullmq intake", extra={"error": type(error).__name__})
