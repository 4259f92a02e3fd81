"""What claims cost on a full table, and what a worker waits out, on a real Postgres."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from tests.job_scenes import a_job, add, ask, claim_one, claims_of, in_a_loop, until

from towline_runtime.database import AWAY, Database, queries
from towline_runtime.errors import RuntimeFault


@in_a_loop
async def test_a_look_reads_little_however_much_waits(database_url: str) -> None:
    """With 100,000 delayed jobs and 100,000 waiting, claiming ten uses the index and reads a few pages.

    An empty look over the delayed ones alone does as well, and draining an outbox full of rings that are not due.
    """
    async with Database.open(database_url) as database:
        await _fill(database, "100000", "interval '1 day'")
        await ask(database, "vacuum analyze towline.job")
        await ask(database, "vacuum analyze towline.outbox")
        empty = await _explain(database, "claim", ["default"], [0], ["resize"], 10, "w", 30.0)
        drained = await _explain(database, "outbox_rows", ["default"], 500)
        await _fill(database, "100000", "interval '-1 second'")
        await ask(database, "vacuum analyze towline.job")
        full = await _explain(database, "claim", ["default"], [0], ["resize"], 10, "w", 30.0)
        third = await _explain(database, "claim", ["none", "other", "default"], [0, 0, 0], ["resize"], 10, "w", 30.0)
        for plan, most in ((empty, 20), (drained, 20), (full, 300), (third, 300)):
            assert "Seq Scan" not in {
                node["Node Type"] for node in _nodes(plan) if node.get("Relation Name") != "queue"
            }
            assert _pages(plan) < most, json.dumps(plan, indent=1)
        assert "job_ready" in {node.get("Index Name") for node in _nodes(full)}


async def _fill(database: Database, count: str, after: str) -> None:
    added = f"insert into towline.job (kind, run_at) select 'resize', now() + {after} from generate_series(1, {count})"
    await ask(
        database,
        f"with j as ({added} returning id, queue, run_at)"
        " insert into towline.outbox (job_id, queue, due) select id, queue, run_at from j where run_at > now()",
    )


async def _explain(database: Database, name: str, *arguments: Any) -> dict[str, Any]:
    async with database.transaction() as connection:
        sql = f"explain (analyze, buffers, format json) {queries()[name]}"
        plan = json.loads((await connection.fetch(sql, *arguments))[0][0])
    return dict(plan[0]["Plan"])


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in _nodes(child))]


def _pages(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@in_a_loop
async def test_a_closed_database_is_not_waited_for(database_url: str) -> None:
    """A write after the pool was closed is an error, not a wait without end."""
    async with Database.open(database_url) as database:
        await add(database, a_job())
        claims = claims_of(database)
        claim = await claim_one(claims)
    with pytest.raises(RuntimeFault, match="was closed"):
        await asyncio.wait_for(claims.finish([(claim, None)]), 20)


@in_a_loop
async def test_an_address_that_cannot_be_used(database_url: str) -> None:
    """A misspelt option of the address is an error, not a server that is away."""
    async with Database.open(f"{database_url}?sslmode=perhaps") as database:
        with pytest.raises(RuntimeFault, match="address of the database"):
            await asyncio.wait_for(database.persist("depth"), 20)


@in_a_loop
async def test_what_passes_by_itself_is_asked_again(database_url: str) -> None:
    """A write that is cancelled by an administrator, or whose connection is ended, comes through."""
    async with Database.open(database_url) as database:
        (job,) = await add(database, a_job())
        claims = claims_of(database)
        claim = await claim_one(claims)
        for stop in ("pg_cancel_backend", "pg_terminate_backend"):
            async with database.transaction() as connection:
                await connection.execute("select 1 from towline.job where id = $1 for update", job)
                writing = asyncio.create_task(claims.remember(claim, json.dumps({"stop": stop})))
                blocked = f"select {stop}(pid) from pg_stat_activity where wait_event_type = 'Lock'"
                await until(lambda: ask(database, blocked), "the write waits for the row")  # noqa: B023
            assert await asyncio.wait_for(writing, 30)
        ((kept,),) = await ask(database, "select remembered from towline.job where id = $1", job)
        assert json.loads(kept) == {"stop": "pg_terminate_backend"}


def test_what_is_away_is_not_what_is_wrong() -> None:
    """Errors of data and of statements are never waited out."""
    assert not issubclass(asyncpg.DataError, AWAY)
    assert not issubclass(asyncpg.SyntaxOrAccessError, AWAY)
    assert not issubclass(asyncpg.IntegrityConstraintViolationError, AWAY)
    assert issubclass(asyncpg.DiskFullError, AWAY)
