"""What the doorbell suite runs on: each transport with real servers, and the few calls that all its tests make."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import boto3

from towline_runtime.claims import Claim, Claims
from towline_runtime.database import AWAY, Database
from towline_runtime.doorbell import open_doorbell
from towline_runtime.jobs import Jobs
from towline_runtime.outbox import enqueue_many
from towline_runtime.relay import Relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from tests.real_servers import Sqs

    from towline_runtime.doorbell import Doorbell
    from towline_runtime.outbox import Enqueue
    from towline_runtime.running import Running

DEADLINE = 45.0
KINDS = frozenset({"noop"})

jobs = Jobs()


@jobs.kind("noop")
async def noop(job: Running, number: int = 0) -> None:
    """Nothing: the suite claims and finishes by hand."""


@dataclass(frozen=True)
class Bench:
    """One transport, its addresses, and what it promises."""

    name: str
    database_url: str
    url: str
    queue: str = field(default_factory=lambda: f"q{uuid.uuid4().hex[:12]}")
    ordered: bool = True
    priorities: bool = True
    counts: bool = True

    def job(self, **options: object) -> Enqueue:
        """A job of this bench's queue."""
        return noop.with_(queue=self.queue, **options).enqueue(0)  # type: ignore[arg-type]


@dataclass(frozen=True)
class World:
    """A database, a doorbell, and a relay that carries from one to the other."""

    bench: Bench
    database: Database
    bell: Doorbell
    stack: AsyncExitStack

    async def add(self, *wanted: Enqueue) -> list[int]:
        """Enqueue in one transaction."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(*enqueue_many(wanted).asyncpg())
        return [row["id"] for row in rows]

    def claims(self, worker: str = "one") -> Claims:
        """The claims of one worker."""
        return Claims(self.database, worker, 30.0)

    async def another_bell(self) -> Doorbell:
        """As a second worker process has it."""
        bench = self.bench
        return await self.stack.enter_async_context(open_doorbell(bench.url, self.database, [bench.queue]))

    async def take(
        self, count: int, *, bell: Doorbell | None = None, kinds: Collection[str] = KINDS, most: int = 10
    ) -> list[Claim]:
        """Take until so many are claimed, whatever is away meanwhile."""
        taken: list[Claim] = []
        async with asyncio.timeout(DEADLINE):
            while len(taken) < count:
                try:
                    taken += await (bell or self.bell).take(self.claims(), kinds, most, 1.0)
                except AWAY:
                    await asyncio.sleep(0.05)
        return taken

    async def takes_nothing(self, kinds: Collection[str] = KINDS) -> None:
        """Two looks, each long enough for what is there to arrive."""
        for _ in range(2):
            assert await self.bell.take(self.claims(), kinds, 10, 1.0) == []

    async def until_waiting(self, count: int) -> None:
        """Wait until the transport holds so many rings, and the outbox none."""
        async with asyncio.timeout(DEADLINE):
            while self.bench.counts and not (await self._holds(count) and await self._all_published()):
                await asyncio.sleep(0.02)

    async def _holds(self, count: int) -> bool:
        """Exactly so many, as far as messages tell: how the relay's batches fell decides how many rings are in one."""
        waiting = await self.bell.waiting(self.bench.queue)
        assert waiting is not None
        return -(-count // self.bell.rings_each) <= waiting <= count

    async def _all_published(self) -> bool:
        async with self.database.connection() as connection:
            return not await connection.fetch("select from towline.outbox where queue = $1", self.bench.queue)

    async def pause(self, *, on: bool) -> None:
        """Pause the queue, or let it go on."""
        await self.database.fetch("pause_queue", self.bench.queue, on)

    async def column(self, name: str, ids: Sequence[int]) -> list[object]:
        """One column of jobs."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                f"select {name} from towline.job where id = any($1::bigint[]) order by id", ids
            )
        return [row[0] for row in rows]


@asynccontextmanager
async def world_of(bench: Bench) -> AsyncIterator[World]:
    """Open everything, and close it again."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(bench.database_url, most=6))
        bell = await stack.enter_async_context(open_doorbell(bench.url, database, [bench.queue]))
        relay = asyncio.create_task(Relay(database, bell, [bench.queue]).run())
        try:
            yield World(bench, database, bell, stack)
        finally:
            relay.cancel()
            await asyncio.gather(relay, return_exceptions=True)


def make_queues(sqs: Sqs, *names: str) -> list[str]:
    """SQS queues of these names, FIFO where the name says so; gives their addresses."""
    client = boto3.client("sqs", endpoint_url=sqs.url, region_name="us-east-1")
    made = []
    for name in names:
        attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        made.append(client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])
    return made
