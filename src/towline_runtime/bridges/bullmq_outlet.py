"""Jobs of a queue of this app are worked on by a Node program, as jobs of a BullMQ queue of the same name."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bullmq import Queue  # type: ignore[import-untyped]

from towline_runtime.bridges.bullmq_connection import REDIS_AWAY, connect
from towline_runtime.claims import Claim, Claims
from towline_runtime.database import AWAY, queries
from towline_runtime.doorbell import Pace
from towline_runtime.doorbells.postgres import PostgresDoorbell
from towline_runtime.payload import foreign_text
from towline_runtime.progress import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from towline_runtime.database import Database
    from towline_runtime.jobs import Kind

log = logging.getLogger(__name__)
KEPT = 7 * 24 * 3600  # seconds: what BullMQ keeps of a job that nobody here came back to record


@dataclass(frozen=True)
class OutletOptions:
    """`most` jobs are with BullMQ at once; `lease` is in seconds; every `look` seconds all of them are looked at."""

    name: str = "bullmq-outlet"
    most: int = 100
    lease: float = 30.0
    look: float = 0.25


@dataclass(frozen=True)
class _Seen:
    """What BullMQ says of a job: its state when it has ended, else whether it is there at all."""

    there: bool
    completed: bool
    failed: bool
    progress: str | None
    value: str | None
    reason: str | None


class BullmqOutlet:
    """Claims jobs as a worker does, hands them to BullMQ, and records how they end there.

    The BullMQ job is `towline-<id>`, so that handing it over twice adds it once; its attempts and backoff are the
    kind's, and BullMQ counts them. An outlet that is killed is followed by another, which finds the same jobs. Whoever
    removes one of them from BullMQ has it handed over again: to end it, cancel it here.
    """

    def __init__(
        self,
        redis_url: str,
        queue: str,
        kinds: Iterable[Kind[..., Any]],
        database: Database,
        options: OutletOptions | None = None,
    ) -> None:
        self._url = redis_url
        self._queue = queue
        self._kinds = {kind.name: kind for kind in kinds}
        self._database = database
        self._options = options or OutletOptions()
        self._claims = _Entrusted(database, self._options.name, self._options.lease)
        self._held: dict[int, Claim] = {}
        self._unwanted: set[int] = set()
        self._progress: dict[int, str] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled; then what BullMQ has stays there and is claimed by the next outlet."""
        await self._database.persist("serve_queues", [self._queue], "postgres")
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in (self._take, self._beat, self._watch):
                    tasks.create_task(work())
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self._claims.release([(claim, 0.0) for claim in self._held.values()])

    async def _take(self) -> None:
        bell = PostgresDoorbell(self._database, [self._queue], Pace())
        try:
            while True:
                room = self._options.most - len(self._held)
                taken: list[Claim] = []
                if room:
                    with contextlib.suppress(*AWAY):
                        taken = await bell.take(self._claims, tuple(self._kinds), room, wait=5)
                self._held |= {claim.id: claim for claim in taken}
                if taken:
                    self._changed.set()
                else:
                    await asyncio.sleep(self._options.look)
        finally:
            await bell.close()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._options.lease / 3)
            with contextlib.suppress(*AWAY):
                for beat in await self._claims.beat(list(self._held.values())):
                    if not beat.held:
                        self._forget([beat.id])
                    elif beat.cancel_asked:
                        self._unwanted.add(beat.id)

    async def _watch(self) -> None:
        client = connect(self._url, tries=1)
        queue = Queue(self._queue, {"connection": client})
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._options.look):
                        await self._changed.wait()
                self._changed.clear()
                try:
                    await self._look(client, queue)
                except (*REDIS_AWAY, *AWAY) as error:
                    log.warning("bullmq away, trying again", extra={"error": type(error).__name__})
                    await asyncio.sleep(1)
        finally:
            await queue.close()

    async def _look(self, client: Any, queue: Any) -> None:
        held = dict(self._held)
        if not held:
            return
        seen = await _seen(client, queue, list(held))
        await self._end(queue, held, seen)
        await self._report({job: one.progress for job, one in seen.items() if one.progress not in {None, "0"}})
        for job in self._unwanted & held.keys():
            await self._withdraw(queue, held[job])
        missing = [held[job] for job, one in seen.items() if not one.there and job in self._held]
        if missing:
            await self._hand_over(queue, missing)

    async def _hand_over(self, queue: Any, missing: Sequence[Claim]) -> None:
        # A job that another outlet has recorded, while this process stood still, is missing too.
        held = {beat.id: beat.held for beat in await self._claims.beat(missing)}
        self._forget([job for job, ours in held.items() if not ours])
        handed = [self._handed(claim) for claim in missing if held[claim.id]]
        if handed:
            await queue.addBulk(handed)

    async def _end(self, queue: Any, held: dict[int, Claim], seen: dict[int, _Seen]) -> None:
        done = {job: one.value for job, one in seen.items() if one.completed}
        failed = {job: _reason(one.reason) for job, one in seen.items() if one.failed}
        if not done and not failed:
            return
        await self._claims.finish([(held[job], _result(value)) for job, value in done.items()])
        await self._claims.bury([(held[job], reason) for job, reason in failed.items()])
        ended = [*done, *failed]
        self._forget(ended)
        await self._tell(ended)
        # After the record: killed in between, the next look of anybody finds the end still there.
        for job in ended:
            await queue.remove(_name(job))

    async def _report(self, told: dict[int, str | None]) -> None:
        changed = {job: text for job, text in told.items() if text and self._progress.get(job) != text}
        news = [(self._held[job], text) for job, text in changed.items() if job in self._held]
        if news:
            with contextlib.suppress(*AWAY):
                await self._claims.report([(claim, _progress(text)) for claim, text in news])
                self._progress |= {claim.id: text for claim, text in news}
                await self._tell([claim.id for claim, _ in news])

    async def _withdraw(self, queue: Any, claim: Claim) -> None:
        """End a job that nobody has begun; one that a Node worker holds goes on to its end."""
        self._unwanted.discard(claim.id)  # the next heartbeat asks again
        if await queue.remove(_name(claim.id)) == 1:
            await self._claims.end_cancelled([claim])
            self._forget([claim.id])

    def _handed(self, claim: Claim) -> dict[str, Any]:
        backoff = self._kinds[claim.kind].options.backoff
        options = {
            "jobId": _name(claim.id),
            "attempts": claim.attempts,
            "backoff": {"type": "exponential", "delay": round(backoff.first * 1000)},
            "removeOnComplete": {"age": KEPT},
            "removeOnFail": {"age": KEPT},
        }
        return {"name": claim.kind, "data": json.loads(claim.payload), "opts": options}

    def _forget(self, jobs: Iterable[int]) -> None:
        for job in jobs:
            self._held.pop(job, None)
            self._progress.pop(job, None)
            self._unwanted.discard(job)

    async def _tell(self, jobs: Sequence[int]) -> None:
        with contextlib.suppress(*AWAY):
            async with self._database.connection() as connection:
                await connection.execute("select pg_notify($1, id::text) from unnest($2::bigint[]) id", CHANNEL, jobs)


@dataclass(frozen=True)
class _Entrusted(Claims):
    """Claims whose attempts are counted elsewhere, so that no number of killed outlets makes a job a dead letter."""

    async def claim(self, wanted: Sequence[tuple[str, int]], kinds: Collection[str], most: int) -> list[Claim]:
        """As of any worker, with the count of attempts put back in the same transaction."""
        queues, priorities = [queue for queue, _ in wanted], [priority for _, priority in wanted]
        async with self.database.transaction() as connection:
            given = (queues, priorities, list(kinds), most, self.worker, self.lease)
            claims = [Claim(*row) for row in await connection.fetch(queries()["claim"], *given)]
            await connection.execute(queries()["entrust"], [claim.id for claim in claims])
        return claims


async def _seen(client: Any, queue: Any, jobs: Sequence[int]) -> dict[int, _Seen]:
    async with client.pipeline(transaction=True) as pipeline:
        for job in jobs:
            name = _name(job)
            pipeline.zscore(queue.toKey("completed"), name)
            pipeline.zscore(queue.toKey("failed"), name)
            pipeline.hmget(queue.toKey(name), "name", "progress", "returnvalue", "failedReason")
        answers = await pipeline.execute()
    seen = {}
    for job, completed, failed, fields in zip(jobs, answers[0::3], answers[1::3], answers[2::3], strict=True):
        name, progress, value, reason = fields
        seen[job] = _Seen(name is not None, completed is not None, failed is not None, progress, value, reason)
    return seen


def _name(job: int) -> str:
    return f"towline-{job}"


def _reason(text: str | None) -> str:
    return (text or "failed without a reason").replace("\0", "").encode("utf-8", "replace").decode()[:2000]


def _value(text: str | None) -> Any:
    """What BullMQ keeps is JSON, unless another hand wrote it."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


def _result(text: str | None) -> str | None:
    value = _value(text)
    return None if value is None else foreign_text(value)


def _progress(text: str) -> str:
    """A number is per cent, as BullMQ's users give it; an object is taken as it is; all else is a note."""
    said = _value(text)
    if isinstance(said, int | float):
        said = {"done": said / 100, "note": ""}
    return foreign_text(said if isinstance(said, dict) else {"done": 0, "note": str(said)})
