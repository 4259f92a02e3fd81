"""Progress on a real Postgres: quick by notifications, right without them."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.job_scenes import a_job, add, ask, claim_one, claims_of, in_a_loop, until
from tests.real_servers import Postgres

from towline_runtime.database import AWAY, Database
from towline_runtime.errors import SchemaMissing
from towline_runtime.migrations import migrate
from towline_runtime.progress import Progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from towline_runtime.progress import JobView

NEVER = 3600.0  # a poll that does not come while a test runs: what is seen then was notified
LISTENERS = (
    "select pid from pg_stat_activity where query ilike 'listen%towline_progress%' and datname = current_database()"
)


@asynccontextmanager
async def following(url: str, poll: float) -> AsyncIterator[tuple[Database, Progress]]:
    """A database and a Progress over it."""
    async with Database.open(url) as database, Progress(database, poll) as progress:
        yield database, progress


async def seen(progress: Progress, job: int, into: list[JobView]) -> list[JobView]:
    """Follow a job to its end."""
    async for view in progress.follow(job):
        into.append(view)  # noqa: PERF401  # one by one, for those who look meanwhile
    return into


async def told(database: Database, job: int) -> None:
    """Notify as a worker does after its write."""
    await ask(database, "select pg_notify('towline_progress', $1::bigint::text)", job)


async def listening(database: Database) -> Any:
    """Wait for the LISTEN connection and give the server's process of it."""
    return (await until(lambda: ask(database, LISTENERS), "a LISTEN connection"))[0]["pid"]


@in_a_loop
async def test_each_change_is_told_until_the_end(database_url: str) -> None:
    """Waiting, running, progress and result come in order, by notifications alone."""
    async with following(database_url, NEVER) as (database, progress):
        (job,) = await add(database, a_job())
        views: list[JobView] = []
        follower = asyncio.create_task(seen(progress, job, views))
        await listening(database)
        await until(lambda: _count(views, 1), "the job as it is at first")
        claims = claims_of(database)
        claim = await claim_one(claims)
        await claims.report([(claim, json.dumps({"done": 0.5, "note": "half"}))])
        await told(database, job)
        await until(lambda: _count(views, 2), "the progress")
        await claims.finish([(claim, json.dumps({"url": "a.png"}))])
        await told(database, job)
        await asyncio.wait_for(follower, 30)
    assert [view.state for view in views] == ["ready", "running", "done"]
    assert views[1].progress == {"done": 0.5, "note": "half"}
    assert views[2].result == {"url": "a.png"}
    assert views[2].final
    assert (views[1].attempt, views[1].attempts) == (1, 5)


@in_a_loop
async def test_polling_alone_is_right(database_url: str) -> None:
    """Nobody notifies: the same end is seen."""
    async with following(database_url, 0.05) as (database, progress):
        (job,) = await add(database, a_job())
        follower = asyncio.create_task(seen(progress, job, []))
        claims = claims_of(database)
        await claims.bury([(await claim_one(claims), "it broke")])
        views = await asyncio.wait_for(follower, 30)
    assert views[-1].state == "dead"
    assert views[-1].error == "it broke"


@in_a_loop
async def test_all_followers_share_one_connection_and_one_query(database_url: str) -> None:
    """Two hundred follow a hundred jobs: one listens, and the looks are a few, not one for each."""
    async with following(database_url, NEVER) as (database, progress):
        looks = _count_looks(database)
        jobs = await add(database, *(a_job() for _ in range(100)))
        views: dict[int, list[JobView]] = {n: [] for n in range(200)}
        followers = [asyncio.create_task(seen(progress, jobs[n % 100], views[n])) for n in views]
        await listening(database)
        await until(lambda: _all_seen(views), "everybody's first view")
        claims = claims_of(database)
        taken = await claims.claim([("default", 0)], ["resize"], 100)
        await claims.finish([(claim, None) for claim in taken])
        await ask(database, "select pg_notify('towline_progress', id::text) from unnest($1::bigint[]) id", jobs)
        await asyncio.wait_for(asyncio.gather(*followers), 30)
        assert len(await ask(database, LISTENERS)) == 1
    assert {view[-1].state for view in views.values()} == {"done"}
    assert len(looks) < 20


@in_a_loop
async def test_a_killed_listener_costs_time_only(database_url: str) -> None:
    """The LISTEN connection is killed for good: polling goes on to the right end."""
    async with following(database_url, 0.05) as (database, progress):
        (job,) = await add(database, a_job())
        follower = asyncio.create_task(seen(progress, job, []))
        await ask(database, "select pg_terminate_backend($1)", await listening(database))
        claims = claims_of(database)
        await claims.finish([(await claim_one(claims), "1")])
        views = await asyncio.wait_for(follower, 30)
    assert views[-1].result == 1


@in_a_loop
async def test_a_killed_listener_comes_back(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the connection was killed another one hears."""
    monkeypatch.setattr("towline_runtime.listener.AGAIN", 0.05)
    async with following(database_url, NEVER) as (database, progress):
        (job,) = await add(database, a_job())
        follower = asyncio.create_task(seen(progress, job, []))
        first = await listening(database)
        await ask(database, "select pg_terminate_backend($1)", first)
        await until(lambda: _other(database, first), "another LISTEN connection")
        claims = claims_of(database)
        await claims.finish([(await claim_one(claims), None)])
        await told(database, job)
        assert (await asyncio.wait_for(follower, 30))[-1].state == "done"


@in_a_loop
async def test_a_job_that_is_not_there(database_url: str) -> None:
    """No view, and no harm to those who follow another; also for numbers that Postgres does not have."""
    async with following(database_url, 0.05) as (database, progress):
        (job,) = await add(database, a_job())
        follower = asyncio.create_task(seen(progress, job, []))
        for unknown in (job + 1, 0, -1, 2**63, 10**40):
            assert await asyncio.wait_for(seen(progress, unknown, []), 30) == []
            assert await progress.view(unknown) is None
        claims = claims_of(database)
        await claims.end_cancelled([await claim_one(claims)])
        assert (await asyncio.wait_for(follower, 30))[-1].state == "cancelled"


@in_a_loop
async def test_a_job_that_ended_before(database_url: str) -> None:
    """One view, and the end."""
    async with following(database_url, NEVER) as (database, progress):
        (job,) = await add(database, a_job())
        await database.fetch("ask_cancel", job)
        views = await asyncio.wait_for(seen(progress, job, []), 30)
        assert [view.state for view in views] == ["cancelled"]
        assert await progress.view(job) == views[0]


@in_a_loop
async def test_nobody_follows_nothing_is_asked(database_url: str) -> None:
    """After the last follower has gone the database is left in peace, and a later one is served again."""
    async with following(database_url, 0.02) as (database, progress):
        looks = _count_looks(database)
        first, second = await add(database, a_job(), a_job())
        stream = progress.follow(first)
        await anext(stream)
        await until(lambda: _count(looks, 3), "polls")
        await stream.aclose()
        await asyncio.sleep(0.1)  # one poll may be under way
        before = len(looks)
        await asyncio.sleep(0.2)
        assert len(looks) == before
        await database.fetch("ask_cancel", second)
        assert (await asyncio.wait_for(seen(progress, second, []), 30))[-1].state == "cancelled"


@in_a_loop
async def test_the_end_of_the_app_ends_the_streams(database_url: str) -> None:
    """Closing lets a follower's loop end, so that a server can shut down."""
    async with Database.open(database_url) as database:
        progress = Progress(database)
        (job,) = await add(database, a_job())
        views: list[JobView] = []
        follower = asyncio.create_task(seen(progress, job, views))
        await until(lambda: _count(views, 1), "the first view")
        await progress.close()
        assert [view.state for view in await asyncio.wait_for(follower, 30)] == ["ready"]


@in_a_loop
async def test_a_missing_schema_reaches_the_follower(postgres: Postgres) -> None:
    """An error that does not pass by itself is raised to who follows, with what to do."""
    async with following(postgres.url, NEVER) as (_, progress):
        with pytest.raises(SchemaMissing, match="migrate"):
            await asyncio.wait_for(seen(progress, 1, []), 30)


@in_a_loop
async def test_a_restart_of_the_server_is_waited_out(tmp_path: Path) -> None:
    """Postgres is killed and comes back: the follower sees the end of its job and no error."""
    with Postgres(tmp_path) as server:
        await migrate(url := server.create("app"))
        async with following(url, 0.1) as (database, progress):
            (job,) = await add(database, a_job())
            views: list[JobView] = []
            follower = asyncio.create_task(seen(progress, job, views))
            await until(lambda: _count(views, 1), "the first view")
            server.kill()
            await asyncio.sleep(0.3)  # some polls find nobody
            await asyncio.to_thread(server.start)
            claims = claims_of(database)
            claim = await until(lambda: _claimed(database), "a claim after the restart")
            await claims.finish([(claim, None)])
            assert (await asyncio.wait_for(follower, 60))[-1].state == "done"


async def _claimed(database: Database) -> Any:
    try:
        return await claim_one(claims_of(database))
    except AWAY:
        return None


async def _count(things: list[Any], least: int) -> bool:
    return len(things) >= least


async def _all_seen(views: dict[int, list[JobView]]) -> bool:
    return all(views.values())


async def _other(database: Database, first: int) -> bool:
    rows = await ask(database, LISTENERS)
    return bool(rows) and rows[0]["pid"] != first


def _count_looks(database: Database) -> list[str]:
    looks: list[str] = []
    fetch = database.fetch

    async def counted(name: str, *arguments: Any) -> Any:
        looks.append(name)
        return await fetch(name, *arguments)

    database.fetch = counted  # type: ignore[method-assign]  # a count beside the real call
    return looks
