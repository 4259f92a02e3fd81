"""A worker on a real database, and ways to ask what has become of its jobs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.job_scenes import until

from towline_runtime.database import Database
from towline_runtime.doorbell import open_doorbell
from towline_runtime.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from towline_runtime.claims import Claim, Claims
    from towline_runtime.doorbell import Doorbell
    from towline_runtime.jobs import Jobs
    from towline_runtime.observer import Observer, Outcome
    from towline_runtime.outbox import Enqueue


@dataclass
class Counts:
    """An observer that keeps what it hears."""

    most_claimed: int = 0
    begun: list[str] = field(default_factory=list)
    ended: list[tuple[str, Outcome]] = field(default_factory=list)

    def claimed(self, jobs: int) -> None:
        self.most_claimed = max(self.most_claimed, jobs)

    def started(self, kind: str) -> None:
        self.begun.append(kind)

    def finished(self, kind: str, outcome: Outcome, seconds: float) -> None:
        assert seconds >= 0
        self.ended.append((kind, outcome))


@dataclass
class Scene:
    """A database and perhaps a worker on it."""

    database: Database
    worker: Worker
    running: asyncio.Task[None]

    async def add(self, *jobs: Enqueue) -> list[int]:
        """Commit these jobs; gives their numbers."""
        async with self.database.transaction() as connection:
            return [(await connection.fetch(*job.asyncpg()))[0]["id"] for job in jobs]

    async def row(self, job: int) -> Any:
        """The whole row of a job."""
        return await self.value("select j.*, j.state::text as state from towline.job j where id = $1", job)

    async def value(self, query: str, *arguments: Any) -> Any:
        """The first row of a query, or its only value."""
        async with self.database.connection() as connection:
            row = await connection.fetchrow(query, *arguments)
        return row[0] if row is not None and len(row) == 1 else row

    async def count(self, state: str, number: int) -> bool:
        """Whether exactly so many jobs are in a state."""
        query = "select count(*) = $2 from towline.job where state = $1::text::towline.job_state"
        return bool(await self.value(query, state, number))

    async def ended(self, job: int, state: str, seconds: float = 30) -> Any:
        """Wait for a state; gives the row."""

        async def there() -> Any:
            row = await self.row(job)
            return row if row["state"] == state else None

        return await until(there, f"job {job} is {state}, its row: {await self.row(job)}", seconds)

    async def begun(self, job: int) -> Any:
        """Wait until it runs."""
        return await self.ended(job, "running")

    async def steal(self, job: int) -> None:
        """Give the job to another worker, as a sweeper and a claim would after a lease ran out."""
        await self.value(
            "update towline.job set token = token + 1, attempt = attempt + 1, worker = 'another',"
            " lease_until = now() + interval '1 hour' where id = $1",
            job,
        )

    async def cancel(self, job: int) -> None:
        """Ask it to stop."""
        await self.database.fetch("ask_cancel", job)


async def now(answer: object) -> object:
    """What is known without asking, where something to await is wanted."""
    return answer


class Roomless:
    """A doorbell that claims whatever is there of the known kinds, as one with messages does."""

    def __init__(self, bell: Doorbell) -> None:
        self._bell = bell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bell, name)

    async def take(self, claims: Claims, kinds: Collection[str], most: int, wait: float) -> list[Claim]:
        """Forget the rooms."""
        return await self._bell.take(claims, list(kinds), most, wait)


@asynccontextmanager
async def working(
    url: str,
    jobs: Jobs,
    observer: Observer | None = None,
    bell: Callable[[Doorbell], Any] = lambda bell: bell,
    **options: Any,
) -> AsyncIterator[Scene]:
    """Run a worker until the end of the block; whatever ends it early fails the test."""
    async with (
        Database.open(url, most=10) as database,
        open_doorbell("postgres:", database, jobs.queues or ("default",)) as doorbell,
    ):
        worker = Worker(jobs, database, bell(doorbell), WorkerOptions(**options), observer)
        scene = Scene(database, worker, asyncio.create_task(worker.run()))
        try:
            yield scene
        finally:
            worker.stop()
            worker.stop()
            await scene.running
