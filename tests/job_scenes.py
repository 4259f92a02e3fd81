"""What the tests of jobs share: coroutines as tests, a database opened for one test, and jobs made in one line."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, TypeVar

from towline_runtime.claims import Claims
from towline_runtime.outbox import Enqueue, enqueue_many

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from towline_runtime.claims import Claim
    from towline_runtime.database import Database

T = TypeVar("T")


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine function in an event loop of its own; its fixtures stay."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def until(ask: Callable[[], Awaitable[T]], what: str, seconds: float = 30) -> T:
    """Ask again and again until the answer is true; fail with `what` after `seconds`."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while not (answer := await ask()):
        assert clock() < end, f"not seen within {seconds} s: {what}"
        await asyncio.sleep(0.01)
    return answer


def a_job(kind: str = "resize", **given: Any) -> Enqueue:
    """One job to add; every field may be given."""
    fields: dict[str, Any] = {
        "kind": kind,
        "version": 1,
        "queue": "default",
        "priority": 0,
        "payload": "{}",
        "key": None,
        "lane": None,
        "correlation_id": None,
        "attempts": 5,
        "delay": 0.0,
    }
    return Enqueue(**(fields | given))


async def add(database: Database, *jobs: Enqueue) -> list[int]:
    """Add jobs in a transaction of their own and give their ids."""
    async with database.transaction() as connection:
        return [row["id"] for row in await connection.fetch(*enqueue_many(jobs).asyncpg())]


def claims_of(database: Database, worker: str = "w1", lease: float = 30) -> Claims:
    """The claims of one worker."""
    return Claims(database, worker, lease)


async def claim_one(claims: Claims, *, kind: str = "resize", queue: str = "default") -> Claim:
    """Claim the only job that is there."""
    (claim,) = await claims.claim([(queue, 0)], [kind], 10)
    return claim


async def ask(database: Database, sql: str, *arguments: Any) -> list[Any]:
    """Rows of a statement of the test's own."""
    async with database.connection() as connection:
        return list(await connection.fetch(sql, *arguments))


async def state_of(database: Database, job: int) -> str:
    """The state that a job's row has."""
    ((state,),) = await ask(database, "select state::text from towline.job where id = $1", job)
    return str(state)
