"""What a worker may do to jobs, on a real Postgres."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.job_scenes import a_job, add, ask, claim_one, claims_of, in_a_loop, state_of, until

from towline_runtime.database import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from towline_runtime.claims import Claim, Claims

NORMAL = [("default", 0)]
ROW = "select * from towline.job where id = $1"


async def row_of(database: Database, job: int) -> dict[str, Any]:
    """The whole row of a job."""
    ((row),) = await ask(database, ROW, job)
    return dict(row)


async def rung(database: Database) -> list[tuple[int, str]]:
    """Job and topic of each outbox row."""
    return [(row[0], row[1]) for row in await ask(database, "select job_id, topic from towline.outbox order by id")]


@in_a_loop
async def test_pairs_are_served_in_their_order(database_url: str) -> None:
    """First the first pair, whatever its queue or age; in a pair the job that was due first."""
    async with Database.open(database_url) as database:
        jobs = [a_job(queue=queue, priority=priority) for queue in ("a", "b") for priority in (-1, 0, 1) for _ in "xy"]
        ids = await add(database, *jobs)
        wanted = [("b", 1), ("a", 1), ("b", 0), ("a", 0)]
        claims = claims_of(database)
        batches = [{claim.id for claim in await claims.claim(wanted, ["resize"], 3)} for _ in range(3)]
        assert batches == [{ids[10], ids[11], ids[4]}, {ids[5], ids[8], ids[9]}, {ids[2], ids[3]}]
        assert await state_of(database, ids[0]) == "ready"


@in_a_loop
async def test_what_is_not_to_be_claimed(database_url: str) -> None:
    """Delayed, of another kind, of another queue or priority, running, ended, or of a paused queue: all stay."""
    async with Database.open(database_url) as database:
        await add(
            database, a_job(delay=60), a_job("mail"), a_job(queue="other"), a_job(priority=1), a_job(queue="paused")
        )
        claims = claims_of(database)
        (ended,) = await add(database, a_job())
        await claims.finish([(await claim_one(claims), None)])
        (running,) = await add(database, a_job())
        await claim_one(claims)
        await database.fetch("pause_queue", *("paused", True))
        assert await claims.claim([*NORMAL, ("paused", 0)], ["resize"], 10) == []
        everything = [row["id"] for row in await ask(database, "select id from towline.job")]
        rung_claims = await claims.claim_rung([*everything, 12345678], ["resize"])
        assert {(claim.queue, claim.kind) for claim in rung_claims} == {("other", "resize"), ("default", "resize")}
        assert not {ended, running} & {claim.id for claim in rung_claims}
        await database.fetch("pause_queue", *("paused", False))
        assert len(await claims.claim([("paused", 0)], ["resize"], 10)) == 1


@in_a_loop
async def test_a_delayed_job_comes_when_it_is_due(database_url: str) -> None:
    """Not before, and then without anybody doing anything."""
    async with Database.open(database_url) as database:
        (job,) = await add(database, a_job(delay=0.3))
        claims = claims_of(database)
        assert await claims.claim(NORMAL, ["resize"], 1) == []
        (claim,) = await until(lambda: claims.claim(NORMAL, ["resize"], 1), "the job is due")
        row = await row_of(database, job)
        assert claim.id == job
        assert row["started_at"] >= row["run_at"]


@in_a_loop
async def test_a_claim_knows_its_job(database_url: str) -> None:
    """All that the worker needs comes with the claim; the row says who has it, and until when."""
    async with Database.open(database_url) as database:
        (job,) = await add(database, a_job(version=2, payload='{"a": 1}', correlation_id="c", attempts=3))
        claim = await claim_one(claims_of(database, "worker-1", lease=60))
        assert (claim.id, claim.kind, claim.version, claim.queue) == (job, "resize", 2, "default")
        assert (claim.attempt, claim.attempts, json.loads(claim.payload)) == (1, 3, {"a": 1})
        assert (claim.remembered, claim.correlation_id) == (None, "c")
        row = await row_of(database, job)
        assert row["worker"] == "worker-1"
        assert claim.created_at == row["created_at"]
        assert 59 < (row["lease_until"] - row["started_at"]).total_seconds() < 61


@in_a_loop
async def test_two_claimers_never_get_the_same(database_url: str) -> None:
    """Eight claimers, by look and by ring, over 2,000 jobs: each job is claimed once, and all are."""
    async with Database.open(database_url, most=8) as database:
        ids = await add(database, *(a_job() for _ in range(2000)))
        taken: list[int] = []

        async def look(claims: Claims) -> None:
            while got := await claims.claim(NORMAL, ["resize"], 7):
                taken.extend(claim.id for claim in got)

        async def answer(claims: Claims) -> None:
            for start in range(0, len(ids), 11):
                got = await claims.claim_rung(ids[start : start + 11], ["resize"])
                taken.extend(claim.id for claim in got)

        work: list[Callable[[Claims], Awaitable[None]]] = [look, answer] * 4
        await asyncio.gather(*(each(claims_of(database, f"w{n}")) for n, each in enumerate(work)))
        taken.extend(claim.id for claim in await claims_of(database).claim(NORMAL, ["resize"], 2000))
        assert sorted(taken) == sorted(ids)


WRITES: dict[str, Callable[[Claims, Claim], Awaitable[object]]] = {
    "finish": lambda claims, claim: claims.finish([(claim, '{"late": 1}')]),
    "retry": lambda claims, claim: claims.retry([(claim, "late", 1.0)]),
    "bury": lambda claims, claim: claims.bury([(claim, "late")]),
    "release": lambda claims, claim: claims.release([(claim, 1.0)]),
    "end_cancelled": lambda claims, claim: claims.end_cancelled([claim]),
    "remember": lambda claims, claim: claims.remember(claim, '{"late": 1}'),
    "report": lambda claims, claim: claims.report([(claim, '{"late": 1}')]),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("now", ["running again", "waiting again", "done", "dead", "cancelled"])
@in_a_loop
async def test_a_stale_token_changes_nothing(database_url: str, write: str, now: str) -> None:
    """Whatever became of the job since, a worker that lost its lease changes no byte of it and rings nobody."""
    async with Database.open(database_url) as database:
        (job,) = await add(database, a_job())
        late, other = claims_of(database, "late", lease=0), claims_of(database, "other")
        stale = await claim_one(late)
        await database.fetch("expire", 10)
        if now != "waiting again":
            fresh = await claim_one(other)
        match now:
            case "done":
                await other.finish([(fresh, "1")])
            case "dead":
                await other.bury([(fresh, "broken")])
            case "cancelled":
                await other.end_cancelled([fresh])
        before, rings = await row_of(database, job), await rung(database)
        answer = await WRITES[write](late, stale)
        assert not answer
        assert await row_of(database, job) == before
        assert await rung(database) == rings
        (beat,) = await late.beat([stale])
        assert not beat.held
        assert await row_of(database, job) == before


@in_a_loop
async def test_each_end_of_an_attempt(database_url: str) -> None:
    """Done with its result, again later with its reason, dead with its reason, handed back, cancelled."""
    async with Database.open(database_url) as database:
        ids = await add(database, *(a_job() for _ in range(5)))
        claims = claims_of(database)
        one, two, three, four, five = sorted(await claims.claim(NORMAL, ["resize"], 5), key=lambda claim: claim.id)
        assert await claims.finish([(one, '{"url": "a"}')]) == {ids[0]}
        assert await claims.retry([(two, "no luck", 60.0)]) == {ids[1]}
        assert await claims.bury([(three, "no hope")]) == {ids[2]}
        assert await claims.release([(four, 0.0)]) == {ids[3]}
        assert await claims.end_cancelled([five]) == {ids[4]}
        rows = [await row_of(database, job) for job in ids]
        assert [row["state"] for row in rows] == ["done", "ready", "dead", "ready", "cancelled"]
        assert [row["attempt"] for row in rows] == [1, 1, 1, 0, 1]
        assert [row["error"] for row in rows] == [None, "no luck", "no hope", None, "cancelled on request"]
        assert [row["finished_at"] is None for row in rows] == [False, True, False, True, False]
        assert all(row["lease_until"] is None for row in rows)
        assert json.loads(rows[0]["result"]) == {"url": "a"}
        again = await claims.claim(NORMAL, ["resize"], 5)
        assert [(claim.id, claim.attempt) for claim in again] == [(ids[3], 1)]
        first_rings = [(job, "ring") for job in ids]
        assert await rung(database) == [*first_rings, (ids[1], "ring"), (ids[2], "dead"), (ids[3], "ring")]


@in_a_loop
async def test_a_batch_with_one_stale_claim(database_url: str) -> None:
    """The others of the batch are written; the answer says which were ours."""
    async with Database.open(database_url) as database:
        ids = await add(database, *(a_job() for _ in range(3)))
        claims = claims_of(database)
        batch = await claims.claim(NORMAL, ["resize"], 3)
        await claims.release([(batch[1], 60.0)])
        assert await claims.finish([(claim, None) for claim in batch]) == {*ids} - {batch[1].id}


@in_a_loop
async def test_memory_reaches_the_next_attempt(database_url: str) -> None:
    """What an attempt remembered is there for the next, also after its worker died."""
    async with Database.open(database_url) as database:
        await add(database, a_job())
        claims = claims_of(database, lease=0)
        assert await claims.remember(await claim_one(claims), '{"request": "r-1"}')
        await database.fetch("expire", 10)
        assert json.loads((await claim_one(claims)).remembered or "") == {"request": "r-1"}


@in_a_loop
async def test_a_heartbeat_keeps_leases(database_url: str) -> None:
    """Renewed leases are passed over by the sweeper, the others are not; who was asked to stop learns it."""
    async with Database.open(database_url) as database:
        ids = await add(database, *(a_job() for _ in range(3)))
        short, long = claims_of(database, lease=0), claims_of(database, lease=60)
        one, two, three = sorted(await short.claim(NORMAL, ["resize"], 3), key=lambda claim: claim.id)
        await database.fetch("ask_cancel", two.id)
        beats = {beat.id: (beat.held, beat.cancel_asked) for beat in await long.beat([one, two])}
        assert beats == {one.id: (True, False), two.id: (True, True)}
        assert [row["id"] for row in await database.fetch("expire", 10)] == [ids[2]]
        assert [beat.held for beat in await long.beat([three])] == [False]
        assert await long.beat([]) == []


@in_a_loop
async def test_a_heartbeat_passes_over_a_locked_row(database_url: str) -> None:
    """While somebody's transaction holds the row (a job finishing with its own writes), the beat neither waits for it
    nor takes it for lost; the others are renewed; the sweeper passes over it too."""
    async with Database.open(database_url) as database:
        await add(database, a_job(), a_job())
        claims = claims_of(database, lease=0)
        locked, free = sorted(await claims.claim(NORMAL, ["resize"], 2), key=lambda claim: claim.id)
        async with database.transaction() as connection:
            await connection.execute("update towline.job set progress = '{}' where id = $1", locked.id)
            beats = await asyncio.wait_for(claims_of(database, lease=60).beat([locked, free]), 20)
            assert {beat.id: beat.held for beat in beats} == {locked.id: True, free.id: True}
            assert await asyncio.wait_for(database.fetch("expire", 10), 20) == []
        assert [row["id"] for row in await database.fetch("expire", 10)] == [locked.id]


@in_a_loop
async def test_the_last_attempt_of_a_dead_worker(database_url: str) -> None:
    """A job that takes its worker down with it becomes a dead letter after as many attempts as it has."""
    async with Database.open(database_url) as database:
        (job,) = await add(database, a_job(attempts=2))
        claims = claims_of(database, "fragile", lease=0)
        await claim_one(claims)
        assert [tuple(row) for row in await database.fetch("expire", 10)] == [(job, "resize", "ready", 1)]
        await claim_one(claims)
        assert [tuple(row) for row in await database.fetch("expire", 10)] == [(job, "resize", "dead", 2)]
        row = await row_of(database, job)
        assert "fragile" in row["error"]
        assert row["finished_at"] is not None
        assert await rung(database) == [(job, "ring"), (job, "ring"), (job, "dead")]


@in_a_loop
async def test_handing_back_counts_no_attempt(database_url: str) -> None:
    """However often a worker hands a job back, it keeps all its attempts."""
    async with Database.open(database_url) as database:
        (job,) = await add(database, a_job(attempts=1))
        claims = claims_of(database)
        for _ in range(5):
            claim = await claim_one(claims)
            assert claim.attempt == 1
            await claims.release([(claim, 0.0)])
        assert (await row_of(database, job))["attempt"] == 0


@in_a_loop
async def test_replay(database_url: str) -> None:
    """Dead and cancelled jobs start again with all attempts and are rung; others are left alone."""
    async with Database.open(database_url) as database:
        dead, cancelled, done, waiting = await add(database, *(a_job(attempts=1) for _ in range(4)))
        claims = claims_of(database)
        taken = {claim.id: claim for claim in await claims.claim(NORMAL, ["resize"], 3)}
        await claims.bury([(taken[dead], "broken")])
        await claims.end_cancelled([taken[cancelled]])
        await claims.finish([(taken[done], None)])
        await ask(database, "delete from towline.outbox")
        replayed = await database.fetch("replay", [dead, cancelled, done, waiting, 99999])
        assert {row["id"] for row in replayed} == {dead, cancelled}
        assert {job for job, _ in await rung(database)} == {dead, cancelled}
        again = {claim.id: claim.attempt for claim in await claims.claim(NORMAL, ["resize"], 10)}
        assert again == {dead: 1, cancelled: 1, waiting: 1}
        assert not await claims.finish([(taken[dead], None)])


@in_a_loop
async def test_cancel(database_url: str) -> None:
    """A waiting job ends at once and is never claimed; a running one is told; an ended one is not there to cancel."""
    async with Database.open(database_url) as database:
        waiting, delayed = await add(database, a_job(), a_job(delay=60))
        for job in (waiting, delayed):
            assert [row["state"] for row in await database.fetch("ask_cancel", job)] == ["cancelled"]
            assert (await row_of(database, job))["finished_at"] is not None
        claims = claims_of(database)
        assert await claims.claim(NORMAL, ["resize"], 10) == []
        (running,) = await add(database, a_job())
        claim = await claim_one(claims)
        assert [row["state"] for row in await database.fetch("ask_cancel", running)] == ["running"]
        assert [beat.cancel_asked for beat in await claims.beat([claim])] == [True]
        assert await claims.finish([(claim, None)]) == {running}
        assert await database.fetch("ask_cancel", running) == []


@in_a_loop
async def test_two_batches_over_the_same_rows(database_url: str) -> None:
    """Progress and heartbeats of hundreds of jobs, at once and in any order, never block each other for good."""
    async with Database.open(database_url, most=8) as database:
        await add(database, *(a_job() for _ in range(300)))
        claims = claims_of(database)
        running = await claims.claim(NORMAL, ["resize"], 300)

        async def write(direction: int) -> None:
            for n in range(30):
                await claims.report([(claim, f'{{"done": {n}}}') for claim in running[::direction]])
                assert all(beat.held for beat in await claims.beat(running[::-direction]))

        await asyncio.gather(*(write(direction) for direction in (1, -1, 1, -1)))
        assert len(await claims.finish([(claim, None) for claim in running])) == 300
