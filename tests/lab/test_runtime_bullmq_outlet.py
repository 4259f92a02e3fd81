"""Jobs of ours that a Node worker does, by BullMQ from npm over a real Valkey."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from tests.job_scenes import ask, in_a_loop, until
from tests.lab.bullmq_outlet_program import jobs, paint
from tests.lab.bullmq_programs import node_worker
from tests.real_servers import Valkey

from towline_runtime.bridges.bullmq import BullmqOutlet
from towline_runtime.bridges.bullmq_outlet import OutletOptions
from towline_runtime.database import Database
from towline_runtime.outbox import enqueue_many
from towline_runtime.progress import Progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.needs("node", "npm")

PROGRAM = Path(__file__).with_name("bullmq_outlet_program.py")
QUICK = OutletOptions(lease=1.0, look=0.05)


@pytest.fixture
def queue() -> str:
    """A queue of the test's own."""
    return f"paint-{uuid.uuid4().hex}"


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A server that the test may stop and empty."""
    with Valkey(tmp_path / "valkey") as server:
        yield server


@asynccontextmanager
async def outlet(database: Database, redis_url: str, queue: str) -> AsyncIterator[None]:
    """An outlet at work."""
    working = asyncio.create_task(BullmqOutlet(redis_url, queue, jobs, database, QUICK).run())
    try:
        yield
        assert not working.done(), working
    finally:
        working.cancel()
        await asyncio.wait({working})


async def add(database: Database, queue: str, *given: dict[str, Any], attempts: int = 3) -> list[int]:
    """Add jobs for Node's worker."""
    kind = paint.with_(queue=queue, attempts=attempts)
    async with database.transaction() as connection:
        rows = await connection.fetch(*enqueue_many([kind.enqueue(**one) for one in given]).asyncpg())
    return [row["id"] for row in rows]


async def ended(database: Database, ids: list[int]) -> list[Any]:
    """Wait for the end of jobs and give their rows; leases that ran out are given back meanwhile, as by a sweeper."""

    async def look() -> list[Any]:
        await database.fetch("expire", 100)
        rows = await database.fetch("view", ids)
        return [*rows] if all(row["state"] in {"done", "dead", "cancelled"} for row in rows) else []

    return sorted(await until(look, f"the end of {ids}", 60), key=lambda row: ids.index(row["id"]))


@in_a_loop
async def test_each_end(database_url: str, valkey: Valkey, queue: str, tmp_path: Path) -> None:
    """Done with its value, done after two failures, dead after the last attempt, dead at once: with BullMQ's reasons,
    and nothing is left in BullMQ."""
    async with Database.open(database_url) as database:
        given: list[dict[str, Any]] = [
            {"value": {"url": "ü.png"}},
            {"failures": 2, "value": "third time"},
            {"failures": 99},
            {"fatal": "not a photo"},
            {},
        ]
        with node_worker(valkey.url, queue, tmp_path / "worker") as worker:
            async with outlet(database, valkey.url, queue):
                rows = await ended(database, ids := await add(database, queue, *given))
                with redis.Redis.from_url(valkey.url) as client:
                    await until(lambda: _gone(client, queue), "no job is left in BullMQ")
    assert [row["state"] for row in rows] == ["done", "done", "dead", "dead", "done"]
    assert [row["result"] and json.loads(row["result"]) for row in rows] == [
        {"url": "ü.png"},
        "third time",
        None,
        None,
        None,
    ]
    assert [row["error"] for row in rows] == [None, None, "attempt 3 failed", "not a photo", None]
    began = worker.began()
    assert [began.count(f"towline-{job}") for job in ids] == [1, 3, 3, 1, 1]


@in_a_loop
async def test_what_postgres_cannot_keep(database_url: str, valkey: Valkey, queue: str, tmp_path: Path) -> None:
    """A value with NUL or half a character, as JavaScript has them, does not hold up the others' end."""
    async with Database.open(database_url) as database:
        with node_worker(valkey.url, queue, tmp_path / "worker"):
            odd, good = await add(database, queue, {"milliseconds": 300}, {"milliseconds": 300})
            async with outlet(database, valkey.url, queue):
                with redis.Redis.from_url(valkey.url) as client:
                    await until(lambda: _there(client, queue, odd), "the job is with BullMQ")
                    client.hset(f"bull:{queue}:towline-{odd}", "progress", '{"note": "a\\u0000b", "half": "\\ud800"}')
                    one, two = await ended(database, [odd, good])
    assert json.loads(one["progress"]) == {"note": "ab", "half": "?"}
    assert [one["state"], two["state"]] == ["done", "done"]


@in_a_loop
async def test_progress_comes_back(database_url: str, valkey: Valkey, queue: str, tmp_path: Path) -> None:
    """Per cent and objects reach those who follow the job, before its end."""
    async with Database.open(database_url) as database, Progress(database) as progress:
        (job,) = await add(
            database, queue, {"milliseconds": 1500, "progress": [25, {"done": 0.5, "step": "b"}, "soon"]}
        )
        seen: list[Any] = []

        async def follow() -> None:
            async for view in progress.follow(job):
                seen.append(view)  # noqa: PERF401  # as they come

        with node_worker(valkey.url, queue, tmp_path / "worker"):
            async with outlet(database, valkey.url, queue):
                await asyncio.wait_for(follow(), 60)
    told = [view.progress for view in seen if view.progress]
    for one in ({"done": 0.25, "note": ""}, {"done": 0.5, "step": "b"}, {"done": 0, "note": "soon"}):
        assert one in told
    assert seen[-1].state == "done"


@in_a_loop
async def test_a_killed_outlet_neither_doubles_nor_loses(
    database_url: str, valkey: Valkey, queue: str, tmp_path: Path
) -> None:
    """The outlet is killed three times while Node works: each job begins once, also those with a single attempt, and
    each end is recorded, also of jobs that ended while no outlet was there."""
    async with Database.open(database_url) as database:
        with node_worker(valkey.url, queue, tmp_path / "worker") as worker:
            ids = await add(
                database, queue, *({"milliseconds": 400 * (n % 8), "value": n} for n in range(60)), attempts=1
            )
            for round_ in range(4):
                with subprocess.Popen([sys.executable, PROGRAM, database_url, valkey.url, queue]) as process:
                    before = len(worker.began())
                    if round_ < 3:
                        await until(lambda: _more(worker, before), "some jobs begin")  # noqa: B023
                        process.kill()
                    else:
                        rows = await ended(database, ids)
                        process.kill()
        began = worker.began()
    assert [row["state"] for row in rows] == ["done"] * 60
    assert [json.loads(row["result"]) for row in rows] == [*range(60)]
    assert sorted(began) == sorted(f"towline-{job}" for job in ids)


@in_a_loop
async def test_a_frozen_outlet_hands_over_nothing_twice(
    database_url: str, valkey: Valkey, queue: str, tmp_path: Path
) -> None:
    """An outlet stands still, another records the end of its jobs, and it wakes: no job begins again."""
    async with Database.open(database_url) as database:
        with (
            node_worker(valkey.url, queue, tmp_path / "worker") as worker,
            subprocess.Popen([sys.executable, PROGRAM, database_url, valkey.url, queue]) as frozen,
        ):
            try:
                ids = await add(database, queue, *({"milliseconds": 500} for _ in range(10)))
                await until(lambda: _more(worker, 9), "all begin")
                frozen.send_signal(signal.SIGSTOP)
                async with outlet(database, valkey.url, queue):
                    await ended(database, ids)
                    with redis.Redis.from_url(valkey.url) as client:
                        await until(lambda: _gone(client, queue), "no job is left in BullMQ")
                frozen.send_signal(signal.SIGCONT)
                ids += await add(database, queue, {})
                await ended(database, ids)  # the woken one has done a whole round
            finally:
                frozen.kill()
        assert sorted(worker.began()) == sorted(f"towline-{job}" for job in ids)


@in_a_loop
async def test_leases_are_kept_and_given_back(database_url: str, valkey: Valkey, queue: str, tmp_path: Path) -> None:
    """A job of three leases stays the outlet's; one that is stopped in order gives its jobs to the next."""
    async with Database.open(database_url) as database:
        with node_worker(valkey.url, queue, tmp_path / "worker") as worker:
            async with outlet(database, valkey.url, queue):
                (job,) = await add(database, queue, {"milliseconds": 3000, "value": 1})
                await until(lambda: _more(worker, 0), "the job begins")
                for _ in range(20):
                    assert await database.fetch("expire", 10) == []
                    await asyncio.sleep(0.1)
            ((state, attempt),) = await ask(database, "select state::text, attempt from towline.job where id = $1", job)
            assert (state, attempt) == ("ready", 0)
            async with outlet(database, valkey.url, queue):
                (row,) = await ended(database, [job])
    assert (row["state"], worker.began()) == ("done", [f"towline-{job}"])


@in_a_loop
async def test_it_ends_whenever_it_is_told(database_url: str, valkey: Valkey, queue: str) -> None:
    """Cancelled at sixty moments of its work, it ends each time at once: no library on the way swallows that."""
    restless = OutletOptions(lease=0.03, look=0.01)
    async with Database.open(database_url) as database:
        await add(database, queue, {}, {}, {})
        for moment in range(60):
            working = asyncio.create_task(BullmqOutlet(valkey.url, queue, jobs, database, restless).run())
            await asyncio.sleep(moment / 500)
            working.cancel()
            await asyncio.wait({working}, timeout=20)
            assert working.cancelled()
            await database.fetch("expire", 10)


@in_a_loop
async def test_cancel(database_url: str, valkey: Valkey, queue: str, tmp_path: Path) -> None:
    """One that no Node worker has begun ends; one that is under way goes on to its end."""
    async with Database.open(database_url) as database, outlet(database, valkey.url, queue):
        (waiting,) = await add(database, queue, {})
        with redis.Redis.from_url(valkey.url) as client:
            await until(lambda: _there(client, queue, waiting), "the job is with BullMQ")
        await database.fetch("ask_cancel", waiting)
        (row,) = await ended(database, [waiting])
        assert row["state"] == "cancelled"
        with node_worker(valkey.url, queue, tmp_path / "worker") as worker:
            (running,) = await add(database, queue, {"milliseconds": 1500})
            await until(lambda: _more(worker, 0), "the job begins")
            await database.fetch("ask_cancel", running)
            (row,) = await ended(database, [running])
            assert row["state"] == "done"
            assert worker.began() == [f"towline-{running}"]


@in_a_loop
async def test_redis_that_goes_and_comes_back_empty(
    database_url: str, own_valkey: Valkey, queue: str, tmp_path: Path
) -> None:
    """Redis stops under way and comes back: the jobs end. It is emptied: what had not begun is handed over again."""
    async with Database.open(database_url) as database, outlet(database, own_valkey.url, queue):
        with node_worker(own_valkey.url, queue, tmp_path / "worker") as worker:
            ids = await add(database, queue, *({"milliseconds": 500, "value": n} for n in range(10)))
            await until(lambda: _more(worker, 0), "some jobs begin")
            own_valkey.stop()
            ids += await add(database, queue, {"value": 10})
            await asyncio.to_thread(own_valkey.start)
            rows = await ended(database, ids)
            assert [row["state"] for row in rows] == ["done"] * 11
        (job,) = await add(database, queue, {"value": 11})
        with redis.Redis.from_url(own_valkey.url) as client:
            await until(lambda: _there(client, queue, job), "the job is with BullMQ")
            client.flushall()
        with node_worker(own_valkey.url, queue, tmp_path / "second"):
            (row,) = await ended(database, [job])
            assert json.loads(row["result"]) == 11


@in_a_loop
async def test_replayed(database_url: str, valkey: Valkey, queue: str, tmp_path: Path) -> None:
    """A dead letter that is replayed is worked on again."""
    async with Database.open(database_url) as database, outlet(database, valkey.url, queue):
        with node_worker(valkey.url, queue, tmp_path / "worker") as worker:
            (job,) = await add(database, queue, {"fatal": "no"})
            await ended(database, [job])
            with redis.Redis.from_url(valkey.url) as client:
                await until(lambda: _gone(client, queue), "no job is left in BullMQ")
            await database.fetch("replay", [job])
            (row,) = await ended(database, [job])
            assert row["state"] == "dead"
            assert worker.began() == [f"towline-{job}"] * 2


async def _more(worker: Any, before: int) -> bool:
    return len(worker.began()) > before


async def _there(client: Any, queue: str, job: int) -> bool:
    return bool(client.exists(f"bull:{queue}:towline-{job}"))


async def _gone(client: Any, queue: str) -> bool:
    return not client.keys(f"bull:{queue}:towline-*")
