"""Jobs added in the caller's own transaction, with each library that callers have, on a real Postgres."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.caller_libraries import LIBRARIES, Undo
from tests.job_scenes import a_job, ask, in_a_loop, until

from towline_runtime.database import Database
from towline_runtime.outbox import enqueue_many

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from tests.contract.caller_libraries import Execute

    Library = Callable[[str], AbstractAsyncContextManager[Execute]]

JOBS = "select * from towline.job order by id"
OUTBOX = "select job_id, queue, lane, topic, due = '-infinity' as at_once, due from towline.outbox order by due, id"

BLOCKING = {"psycopg", "sqlalchemy"}  # they would hold the loop in which the other transaction has to go on


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Library:
    """Each library of a caller in turn."""
    return LIBRARIES[request.param]


async def rows(url: str, sql: str) -> list[Any]:
    """What another connection sees."""
    async with Database.open(url) as database:
        return await ask(database, sql)


@in_a_loop
async def test_all_fields_arrive(database_url: str, library: Library) -> None:
    """One statement writes the job with all that was said of it, and its outbox row."""
    payload = json.dumps({"photo": "ünïcode 🌋", "n": 1})
    job = a_job(
        version=3, queue="images", priority=-1, payload=payload, key="k%s:1", lane="l", correlation_id="c", attempts=9
    )
    async with library(database_url) as execute:
        ((identity, added),) = await execute(job)
    assert added
    (row,) = await rows(database_url, JOBS)
    kept = {name: row[name] for name in ("id", "kind", "version", "queue", "priority", "key", "lane", "correlation_id")}
    assert kept == {
        "id": identity,
        "kind": "resize",
        "version": 3,
        "queue": "images",
        "priority": -1,
        "key": "k%s:1",
        "lane": "l",
        "correlation_id": "c",
    }
    assert (row["state"], row["attempt"], row["max_attempts"], json.loads(row["payload"])) == (
        "ready",
        0,
        9,
        json.loads(payload),
    )
    (rung,) = await rows(database_url, OUTBOX)
    assert (rung["job_id"], rung["queue"], rung["lane"], rung["topic"], rung["at_once"]) == (
        identity,
        "images",
        "l",
        "ring",
        True,
    )


@in_a_loop
async def test_rolled_back_with_the_caller(database_url: str, library: Library) -> None:
    """The caller's transaction fails after the job was added: neither job nor outbox row is there."""
    with contextlib.suppress(Undo):
        async with library(database_url) as execute:
            await execute(a_job())
            await execute(enqueue_many([a_job(), a_job(key="k")]))
            raise Undo
    assert await rows(database_url, JOBS) == []
    assert await rows(database_url, OUTBOX) == []


@in_a_loop
async def test_nothing_is_seen_before_the_commit(database_url: str, library: Library) -> None:
    """While the caller's transaction is open nobody can claim the job; afterwards it is there."""
    async with library(database_url) as execute:
        await execute(a_job())
        assert await rows(database_url, JOBS) == []
    assert len(await rows(database_url, JOBS)) == 1


@in_a_loop
async def test_a_key_adds_one_job(database_url: str, library: Library) -> None:
    """In the same transaction and in a later one the first job is given back, with one outbox row; another kind's key
    is another."""
    async with library(database_url) as execute:
        ((first, added),) = await execute(a_job(key="order-1"))
        ((again, added_again),) = await execute(a_job(key="order-1"))
    async with library(database_url) as execute:
        ((later, added_later),) = await execute(a_job(key="order-1", payload='{"other": 1}'))
        ((other, added_other),) = await execute(a_job("mail", key="order-1"))
    assert (first, first) == (again, later)
    assert (added, added_again, added_later, added_other) == (True, False, False, True)
    assert [row["payload"] for row in await rows(database_url, JOBS)] == ["{}", "{}"]
    assert [row["job_id"] for row in await rows(database_url, OUTBOX)] == [first, other]


@in_a_loop
async def test_many_at_once(database_url: str, library: Library) -> None:
    """Rows come for those added, in their order; doubled keys, among themselves and with jobs before, are left out."""
    async with library(database_url) as execute:
        ((before, _),) = await execute(a_job(key="a"))
        many = [
            a_job(key="a"),
            a_job(key="b", lane="l"),
            a_job(delay=60),
            a_job(key="b"),
            a_job(),
            a_job("mail", key="b"),
        ]
        added = await execute(enqueue_many(many))
    assert len(added) == 4
    assert all(was_added for _, was_added in added)
    assert [identity for identity, _ in added] == sorted(identity for identity, _ in added)
    by_id = {row["id"]: row for row in await rows(database_url, JOBS)}
    assert [(by_id[one]["kind"], by_id[one]["key"], by_id[one]["lane"]) for one, _ in added] == [
        ("resize", "b", "l"),
        ("resize", None, None),
        ("resize", None, None),
        ("mail", "b", None),
    ]
    ids = [identity for identity, _ in added]
    assert [row["job_id"] for row in await rows(database_url, OUTBOX)] == [before, ids[0], ids[2], ids[3], ids[1]]


@in_a_loop
async def test_none_at_all(database_url: str, library: Library) -> None:
    """An empty list is a list."""
    async with library(database_url) as execute:
        assert await execute(enqueue_many([])) == []


@in_a_loop
async def test_a_delay_counts_from_the_transaction(database_url: str, library: Library) -> None:
    """The job and its ring are due then, by the database's clock, and not at once."""
    async with library(database_url) as execute:
        await execute(a_job(delay=90.5))
        await execute(enqueue_many([a_job(delay=90.5)]))
    for job in await rows(database_url, JOBS):
        assert (job["run_at"] - job["created_at"]).total_seconds() == 90.5
    for rung, job in zip(await rows(database_url, OUTBOX), await rows(database_url, JOBS), strict=True):
        assert rung["due"] == job["run_at"]
        assert not rung["at_once"]


@in_a_loop
async def test_only_queues_without_a_server_need_no_outbox(database_url: str, library: Library) -> None:
    """A queue known as `postgres` gets no outbox rows; one known as another, or not known at all, does."""
    async with Database.open(database_url) as database:
        await database.fetch("serve_queues", ["own"], "postgres")
        await database.fetch("serve_queues", ["bell"], "redis")
    async with library(database_url) as execute:
        for queue in ("own", "bell", "unknown"):
            await execute(a_job(queue=queue))
        await execute(enqueue_many([a_job(queue=queue) for queue in ("own", "bell", "unknown")]))
    rung = await rows(database_url, OUTBOX)
    assert [row["queue"] for row in rung] == ["bell", "unknown", "bell", "unknown"]
    assert len(await rows(database_url, JOBS)) == 6


@pytest.mark.parametrize("library", sorted(set(LIBRARIES) - BLOCKING), indirect=True)
@in_a_loop
async def test_two_transactions_with_one_key_at_once(database_url: str, library: Library) -> None:
    """The second waits for the first: it gets the same job if the first commits, and adds its own if not."""
    for fails in (False, True):
        job = a_job(key=f"fails-{fails}")
        async with Database.open(database_url) as database:
            first, second = await _both(database, library, database_url, job, fails=fails)
        assert (first[0] == second[0]) is not fails
        assert second[1] is fails
    assert len(await rows(database_url, JOBS)) == 2
    assert len(await rows(database_url, OUTBOX)) == 2


async def _both(
    database: Database, library: Library, url: str, job: Any, *, fails: bool
) -> tuple[tuple[int, bool], tuple[int, bool]]:
    async def later() -> tuple[int, bool]:
        async with library(url) as execute:
            return (await execute(job))[0]

    with contextlib.suppress(Undo):
        async with library(url) as execute:
            first = (await execute(job))[0]
            waiting = asyncio.create_task(later())
            blocked = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            await until(lambda: ask(database, blocked), "the second transaction waits for the first")
            if fails:
                raise Undo
    return first, await waiting


@in_a_loop
async def test_concurrent_callers_with_few_keys(database_url: str) -> None:
    """Twenty callers add with five keys, each a hundred times: five jobs, five outbox rows, and nobody fails."""
    async with Database.open(database_url, most=20) as database:

        async def caller() -> None:
            for n in range(100):
                async with database.transaction() as connection:
                    await connection.fetch(*a_job(key=str(n % 5)).asyncpg())

        await asyncio.gather(*(caller() for _ in range(20)))
        assert len(await ask(database, JOBS)) == 5
        assert len(await ask(database, OUTBOX)) == 5
