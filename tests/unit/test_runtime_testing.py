"""The doubles for job functions: arguments as a worker would give them, and all that the function said."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from towline_runtime.errors import GiveUp, LeaseLost, PayloadInvalid, RuntimeFault
from towline_runtime.jobs import Jobs
from towline_runtime.testing import Attempt, MemoryRateLimit, MemorySessions, MemoryStorage, run_job

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from towline_runtime.rate_limit import RateLimit
    from towline_runtime.running import Running
    from towline_runtime.sessions import Sessions
    from towline_runtime.storage import Storage

jobs = Jobs()


@jobs.kind("resize")
async def resize(job: Running, photo: str, width: int = 100) -> dict[str, Any]:
    job.progress(0.5, "half", preview="p.jpg")
    await job.remember({"request": photo})
    return {"width": width, "attempt": job.attempt, "before": job.remembered}


@jobs.kind("thread")
def in_a_thread(job: Running, number: int) -> int:
    job.progress(1)
    job.from_thread(job.remember({"number": number}))
    return number + 1


@jobs.kind("bill")
async def bill(job: Running) -> None:
    async with job.finish({"paid": True}) as transaction:
        await transaction.execute("insert")


@jobs.kind("fail")
async def fail(job: Running) -> None:
    raise GiveUp("it cannot work")


class Connection:
    """A connection that notes what became of its transaction."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def execute(self, statement: str) -> None:
        self.done.append(statement)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            self.done.append("rollback")
            raise
        self.done.append("commit")


def test_an_async_job_is_recorded() -> None:
    """Result, progress and what was remembered; defaults are filled in and values converted, as from the database."""
    run = asyncio.run(run_job(resize, "a.jpg", width=7))
    assert run.result == {"width": 7, "attempt": 1, "before": {"request": "a.jpg"}}
    assert run.progress == [{"done": 0.5, "note": "half", "preview": "p.jpg"}]
    assert run.remembered == [{"request": "a.jpg"}]
    assert run.error is None


def test_a_later_attempt_finds_what_was_remembered() -> None:
    """As after a worker that died."""
    seen: list[Any] = []
    others = Jobs()

    @others.kind("resume")
    async def resume(job: Running) -> None:
        seen.append((job.attempt, job.attempts, job.remembered, job.correlation_id))

    asyncio.run(run_job(resume, attempt=Attempt(2, 3, {"request": 5}, correlation_id="abc")))
    assert seen == [(2, 3, {"request": 5}, "abc")]


def test_a_job_in_a_thread_is_recorded() -> None:
    """With the event loop beside it."""
    run = asyncio.run(run_job(in_a_thread, 1))
    assert (run.result, run.remembered) == (2, [{"number": 1}])
    assert run.progress == [{"done": 1, "note": ""}]


def test_finishing_needs_a_connection_and_commits() -> None:
    """The result is that of `finish`."""
    connection = Connection()
    run = asyncio.run(run_job(bill, attempt=Attempt(transaction=connection)))
    assert (run.finished, run.result, connection.done) == (True, {"paid": True}, ["insert", "commit"])
    without = asyncio.run(run_job(bill))
    assert isinstance(without.error, RuntimeFault)
    assert "transaction=" in str(without.error)


def test_a_lost_lease_is_played_too() -> None:
    """Remembering and finishing raise LeaseLost, and what was written is rolled back."""
    connection = Connection()
    run = asyncio.run(run_job(bill, attempt=Attempt(transaction=connection, lease_lost=True)))
    assert isinstance(run.error, LeaseLost)
    assert (run.finished, connection.done) == (False, ["insert", "rollback"])
    other = asyncio.run(run_job(resize, "a", attempt=Attempt(lease_lost=True)))
    assert isinstance(other.error, LeaseLost)


def test_errors_are_kept_and_bad_arguments_raised() -> None:
    """The test asks what the function raised; arguments that fit no worker fail at once."""
    assert isinstance(asyncio.run(run_job(fail)).error, GiveUp)
    with pytest.raises(PayloadInvalid):
        asyncio.run(run_job(resize, "a", height=1))


def test_doubles_have_the_protocols_types() -> None:
    """Checked by mypy: each may stand where the app takes the protocol."""
    storage: Storage = MemoryStorage()
    sessions: Sessions = MemorySessions()
    limit: RateLimit = MemoryRateLimit()
    assert storage
    assert sessions
    assert limit
