"""How many jobs a worker takes, and what it does with them when it is told to stop, on a real Postgres."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from tests.contract.worker_scene import Counts, Roomless, now, working
from tests.job_scenes import in_a_loop, until

from towline_runtime.jobs import Jobs

if TYPE_CHECKING:
    from towline_runtime.running import Running


@in_a_loop
async def test_nothing_is_claimed_without_a_free_slot(database_url: str) -> None:
    """Slow jobs: exactly as many are running as there are slots, and those of a kind not beyond its cap."""
    jobs, go_on, running, most = Jobs(), asyncio.Event(), dict.fromkeys(("wide", "narrow"), 0), dict[str, int]()

    async def _run(kind: str) -> None:
        running[kind] += 1
        most[kind] = max(most.get(kind, 0), running[kind])
        most["all"] = max(most.get("all", 0), sum(running.values()))
        await go_on.wait()
        running[kind] -= 1

    @jobs.kind("wide")
    async def wide(job: Running) -> None:
        await _run("wide")

    @jobs.kind("narrow", concurrency=2)
    async def narrow(job: Running) -> None:
        await _run("narrow")

    async with working(database_url, jobs, concurrency=8) as scene:
        both = await scene.add(*[one.enqueue() for _ in range(20) for one in (wide, narrow)])
        await until(lambda: now(sum(running.values()) == 8), "all slots taken")
        await until(lambda: scene.count("running", 8), "no more claimed than run")
        assert most["narrow"] <= 2
        go_on.set()
        for job in both:
            await scene.ended(job, "done")
        assert await scene.value("select max(attempt) from towline.job") == 1
    assert most == {"wide": most["wide"], "narrow": 2, "all": 8}


@in_a_loop
async def test_a_doorbell_that_knows_no_rooms_is_put_right(database_url: str) -> None:
    """Jobs beyond the cap of their kind go back uncounted, and run when there is room."""
    jobs, running, most = Jobs(), [0], [0]

    @jobs.kind("narrow", concurrency=2)
    async def narrow(job: Running) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0)
        running[0] -= 1

    counts = Counts()
    async with working(database_url, jobs, counts, bell=Roomless) as scene:
        for job in await scene.add(*[narrow.enqueue() for _ in range(12)]):
            assert (await scene.ended(job, "done"))["attempt"] == 1
        assert await scene.value("select max(token) from towline.job") > 1
    assert (most, counts.begun) == ([2], ["narrow"] * 12)


@in_a_loop
async def test_what_was_claimed_ahead_goes_back_when_the_slots_stay_taken(database_url: str) -> None:
    """After many quick jobs come slow ones: those without a slot are soon free for other workers again."""
    jobs = Jobs()

    @jobs.kind("job")
    async def one(job: Running, seconds: float) -> None:
        if seconds:
            await asyncio.sleep(seconds)

    async with working(database_url, jobs, concurrency=5) as scene:
        await scene.add(*[one.enqueue(0) for _ in range(600)], *[one.enqueue(600) for _ in range(300)])
        await until(lambda: scene.count("done", 600), "the quick ones are done")
        await until(lambda: scene.count("running", 5), "only five are kept")
        assert await scene.value("select max(attempt) from towline.job where state = 'ready'") == 0


@in_a_loop
async def test_a_job_that_blocks_the_loop_is_complained_about(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The line says where such work belongs."""
    jobs = Jobs()

    @jobs.kind("rude")
    async def rude(job: Running) -> None:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            pass

    async with working(database_url, jobs) as scene:
        [job] = await scene.add(rude.enqueue())
        await scene.ended(job, "done")
        await until(lambda: now("the event loop was blocked" in caplog.text), "the line")


@in_a_loop
async def test_many_quick_jobs_are_each_done_once(database_url: str) -> None:
    """Claimed ahead, settled in batches, and no more than the slots at once."""
    jobs, ran, running = Jobs(), dict[int, int](), [0, 0]

    @jobs.kind("quick")
    async def quick(job: Running) -> None:
        ran[job.id] = ran.get(job.id, 0) + 1
        running[0] += 1
        running[1] = max(running)
        await asyncio.sleep(0)
        running[0] -= 1

    async with working(database_url, jobs, concurrency=20) as scene:
        await scene.add(*[quick.enqueue() for _ in range(3000)])
        await until(lambda: scene.count("done", 3000), "all done", 60)
        assert await scene.value("select max(attempt) from towline.job") == 1
    assert (len(ran), set(ran.values()), running[1]) == (3000, {1}, 20)


@in_a_loop
async def test_a_stop_finishes_what_runs_and_hands_back_the_rest(database_url: str) -> None:
    """Those that run come to their end, no other begins, and a job beyond its `max_job` goes back uncounted."""
    jobs, go_on, begun = Jobs(), asyncio.Event(), []

    @jobs.kind("steady")
    async def steady(job: Running) -> None:
        begun.append(job.id)
        await go_on.wait()

    @jobs.kind("endless", max_job=0.2)
    async def endless(job: Running) -> None:
        begun.append(job.id)
        await asyncio.sleep(600)

    async with working(database_url, jobs, concurrency=6) as scene:
        [beyond] = await scene.add(endless.enqueue())
        await scene.begun(beyond)
        await scene.add(*[steady.enqueue() for _ in range(20)])
        await until(lambda: now(len(begun) == 6), "all slots taken")
        scene.worker.stop()
        await scene.ended(beyond, "ready")
        assert await scene.count("running", 5)
        go_on.set()
        await scene.running
        assert (await scene.row(beyond))["attempt"] == 0
        assert await scene.count("done", 5)
        assert await scene.count("ready", 16)
    assert len(begun) == 6


@in_a_loop
async def test_a_second_stop_hands_back_what_runs(database_url: str) -> None:
    """At once, and the attempt does not count."""
    jobs = Jobs()

    @jobs.kind("endless", max_job=600)
    async def endless(job: Running) -> None:
        await asyncio.sleep(600)

    async with working(database_url, jobs, concurrency=3) as scene:
        found = await scene.add(*[endless.enqueue() for _ in range(3)])
        for job in found:
            await scene.begun(job)
        scene.worker.stop()
        scene.worker.stop()
        await scene.running
        rows = [await scene.row(job) for job in found]
    assert [(row["state"], row["attempt"], row["worker"]) for row in rows] == [("ready", 0, None)] * 3


@in_a_loop
async def test_a_cancelled_worker_hands_back_too(database_url: str) -> None:
    """A program that runs a worker in a task of its own may end it by cancelling the task."""
    jobs = Jobs()

    @jobs.kind("endless")
    async def endless(job: Running) -> None:
        await asyncio.sleep(600)

    async with working(database_url, jobs) as scene:
        [job] = await scene.add(endless.enqueue())
        await scene.begun(job)
        scene.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scene.running
        assert (await scene.row(job))["state"] == "ready"
        scene.running = asyncio.create_task(asyncio.sleep(0))
