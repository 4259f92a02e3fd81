"""What a worker does with jobs, on a real Postgres: each promise of the worker as one test."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.contract.worker_scene import Counts, now, working
from tests.job_scenes import in_a_loop, until

from towline_runtime.errors import GiveUp, LeaseLost
from towline_runtime.jobs import Jobs
from towline_runtime.logs import correlated, correlation
from towline_runtime.retry import Backoff

if TYPE_CHECKING:
    from towline_runtime.running import Running

SOON = Backoff(first=0.01)


@in_a_loop
async def test_a_job_runs_once_and_its_result_is_kept(database_url: str) -> None:
    """What the function returns is the result, and the job's number, attempt and correlation id are given to it."""
    jobs, seen = Jobs(), []

    @jobs.kind("greet")
    async def greet(job: Running, name: str, times: int = 1) -> dict[str, Any]:
        seen.append((job.id, job.kind, job.queue, job.attempt, job.attempts, job.correlation_id, correlation()))
        return {"said": f"hello {name}" * times}

    async with working(database_url, jobs) as scene:
        with correlated("request-7"):
            [job] = await scene.add(greet.enqueue("Ann", times=2))
        row = await scene.ended(job, "done")
    assert json.loads(row["result"]) == {"said": "hello Annhello Ann"}
    assert seen == [(job, "greet", "default", 1, 5, "request-7", "request-7")]
    assert (row["attempt"], row["error"], row["lease_until"]) == (1, None, None)


@in_a_loop
async def test_what_a_job_enqueues_carries_its_correlation_id(database_url: str) -> None:
    """The id of the first request goes on to the jobs that its job makes; a job beside it has its own."""
    jobs = Jobs()

    @jobs.kind("first")
    async def first(job: Running) -> None:
        await asyncio.sleep(0)
        await scene.add(second.enqueue())

    @jobs.kind("second")
    async def second(job: Running) -> str | None:
        return job.correlation_id

    async with working(database_url, jobs) as scene:
        with correlated("request-8"):
            await scene.add(first.enqueue())
        await scene.add(first.enqueue())

        async def both() -> Any:
            query = "select array_agg(result) from towline.job where kind = 'second' and state = 'done'"
            found = await scene.value(query)
            return found if found and len(found) == 2 else None

        assert sorted(await until(both, "both second jobs"), key=str) == ['"request-8"', None]


@in_a_loop
async def test_a_failed_attempt_is_followed_by_another_and_at_last_by_a_dead_letter(database_url: str) -> None:
    """Each attempt counts, the reason is kept, and after the last one nothing more is tried."""
    jobs, attempts = Jobs(), []

    @jobs.kind("break", attempts=3, backoff=SOON)
    async def broken(job: Running) -> None:
        attempts.append(job.attempt)
        raise ValueError(f"try {job.attempt}")

    counts = Counts()
    async with working(database_url, jobs, counts) as scene:
        [job] = await scene.add(broken.enqueue())
        row = await scene.ended(job, "dead")
    assert attempts == [1, 2, 3]
    assert (row["error"], row["attempt"]) == ("ValueError: try 3", 3)
    assert [outcome for _, outcome in counts.ended] == ["retry", "retry", "dead"]


@in_a_loop
async def test_give_up_buries_at_once_and_retry_after_is_heeded(database_url: str) -> None:
    """A job may say that nothing helps, and an error that it wants a longer wait."""
    jobs = Jobs()

    class Busy(Exception):
        retry_after = 900

    @jobs.kind("hopeless")
    async def hopeless(job: Running) -> None:
        raise GiveUp("the account is closed")

    @jobs.kind("busy", backoff=SOON)
    async def busy(job: Running) -> None:
        raise Busy

    async with working(database_url, jobs) as scene:
        first, second = await scene.add(hopeless.enqueue(), busy.enqueue())
        row = await scene.ended(first, "dead")
        assert (row["attempt"], row["error"]) == (1, "GiveUp: the account is closed")
        await until(lambda: scene.value("select error is not null from towline.job where id = $1", second), "it failed")
        waits = "select state = 'ready' and run_at > now() + interval '14 minutes' from towline.job where id = $1"
        assert await scene.value(waits, second)


@in_a_loop
async def test_a_limit_ends_an_attempt(database_url: str) -> None:
    """Coroutines are cancelled; a TimeoutError of the job's own is not taken for the limit."""
    jobs, ended = Jobs(), []

    @jobs.kind("slow", limit=0.1, attempts=1)
    async def slow(job: Running) -> None:
        try:
            await asyncio.sleep(600)
        finally:
            ended.append(job.id)

    @jobs.kind("own", limit=60, attempts=1)
    async def own(job: Running) -> None:
        raise TimeoutError("the printer does not answer")

    async with working(database_url, jobs) as scene:
        first, second = await scene.add(slow.enqueue(), own.enqueue())
        row = await scene.ended(first, "dead")
        assert row["error"] == "TimeoutError: the attempt took longer than its limit of 0.1 s"
        assert (await scene.ended(second, "dead"))["error"] == "TimeoutError: the printer does not answer"
    assert ended == [first]


@in_a_loop
async def test_what_does_not_fit_is_buried_at_once(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a payload nor a result that cannot be will ever be: no retries, a reason, and no payload in the log."""
    jobs = Jobs()

    @jobs.kind("count")
    async def count(job: Running, number: int) -> Any:
        return "\0" if number == 1 else object() if number == 2 else 10**200_000 if number == 3 else number

    async with working(database_url, jobs) as scene:
        wrong = await scene.value(
            """insert into towline.job (kind, payload) values ('count', '{"number": "secret words"}') returning id"""
        )
        bad = await scene.add(*[count.enqueue(number) for number in (1, 2, 3)])
        good = await scene.add(*[count.enqueue(number) for number in range(10, 20)])
        rows = [await scene.ended(job, "dead") for job in [wrong, *bad]]
        assert [json.loads((await scene.ended(job, "done"))["result"]) for job in good] == list(range(10, 20))
    assert [row["attempt"] for row in rows] == [1, 1, 1, 1]
    assert "does not fit" in rows[0]["error"]
    assert "NUL" in rows[1]["error"]
    assert "written as JSON" in rows[2]["error"]
    assert rows[3]["error"] == "what the job gave back cannot be stored: NumericValueOutOfRangeError"
    assert "secret words" not in caplog.text


@in_a_loop
async def test_newer_versions_and_unknown_kinds_are_left_to_others(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They are not failed, their attempts are not counted, and the log says so once and not for each."""
    jobs, newer = Jobs(), Jobs()

    @jobs.kind("draw")
    async def draw(job: Running) -> None:
        """Know version 1."""

    @newer.kind("draw", version=2)
    async def draw_better(job: Running) -> None:
        """Know version 2."""

    @newer.kind("paint")
    async def paint(job: Running) -> None:
        """Not known to the old worker."""

    counts = Counts()
    async with working(database_url, jobs, counts) as scene:
        many = await scene.add(*[draw_better.enqueue() for _ in range(5)], paint.enqueue())
        [old] = await scene.add(draw.enqueue())
        await scene.ended(old, "done")
        handed_back = "select count(*) = 5 from towline.job where state = 'ready' and token > 0 and run_at > now()"
        await until(lambda: scene.value(handed_back), "all five handed back")
        assert await scene.value("select max(attempt) from towline.job where id = any($1)", many) == 0
    assert [record.message for record in caplog.records].count("left to a newer worker") == 1
    assert counts.begun == ["draw"]


@in_a_loop
async def test_cancel_ends_a_waiting_job_at_once_and_a_running_one_soon(database_url: str) -> None:
    """The function is cancelled, the state is `cancelled`, and what it does afterwards changes nothing."""
    jobs, told = Jobs(), []

    @jobs.kind("long")
    async def long(job: Running) -> None:
        try:
            await asyncio.sleep(600)
        finally:
            told.append(job.cancelled)

    async with working(database_url, jobs) as scene:
        running, waiting = await scene.add(long.enqueue(), long.with_(delay=600).enqueue())
        await scene.begun(running)
        await scene.cancel(waiting)
        assert (await scene.row(waiting))["state"] == "cancelled"
        await scene.cancel(running)
        row = await scene.ended(running, "cancelled")
    assert (row["error"], told) == ("cancelled on request", [True])


@in_a_loop
async def test_a_job_whose_lease_is_lost_is_stopped_and_nothing_of_it_is_written(database_url: str) -> None:
    """Another worker has the job: neither an error nor a result of this one reaches the row."""
    jobs, ended = Jobs(), []

    @jobs.kind("long")
    async def long(job: Running, stubborn: bool) -> str:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            ended.append((job.id, job.cancelled))
            if not stubborn:
                raise
            with pytest.raises(LeaseLost):
                await job.remember({"too": "late"})
            with pytest.raises(LeaseLost):
                await _finish(job)
        return "too late"

    counts = Counts()
    async with working(database_url, jobs, counts, lease=3.0) as scene:
        both = await scene.add(long.enqueue(stubborn=False), long.enqueue(stubborn=True))
        for job in both:
            await scene.begun(job)
            await scene.steal(job)
        await until(lambda: now(len(counts.ended) == 2), "both ended")
        rows = [await scene.row(job) for job in both]
    assert sorted(ended) == [(job, True) for job in both]
    assert [outcome for _, outcome in counts.ended] == ["lost", "lost"]
    assert [(row["state"], row["worker"], row["result"], row["remembered"]) for row in rows] == [
        ("running", "another", None, None)
    ] * 2


@in_a_loop
async def test_progress_is_written_a_few_times_a_second_and_told(database_url: str) -> None:
    """Of many reports the latest are written, the last one stays on the finished job, and followers are woken."""
    jobs, heard, go_on = Jobs(), [], asyncio.Event()

    @jobs.kind("steps")
    async def steps(job: Running) -> None:
        for step in range(1000):
            job.progress(step / 1000, "on the way", step=step)
        await go_on.wait()
        job.progress(1.0, "there", step=1000)

    async with working(database_url, jobs) as scene:
        listener = await asyncpg.connect(database_url)
        await listener.add_listener("towline_progress", lambda *said: heard.append(int(said[3])))
        [job] = await scene.add(steps.enqueue())
        await until(lambda: scene.value("select progress is not null from towline.job where id = $1", job), "progress")
        assert json.loads((await scene.row(job))["progress"]) == {"done": 0.999, "note": "on the way", "step": 999}
        await until(lambda: now(heard == [job]), "one word for a thousand reports")
        go_on.set()
        row = await scene.ended(job, "done")
        assert json.loads(row["progress"]) == {"done": 1.0, "note": "there", "step": 1000}
        await until(lambda: now(len(heard) == 3), "a word for the last progress, and one for the end")
        await listener.close()


@in_a_loop
async def test_what_is_remembered_is_there_for_the_next_attempt(database_url: str) -> None:
    """It is in the database before the function goes on."""
    jobs, seen = Jobs(), []

    @jobs.kind("pay", attempts=2, backoff=SOON)
    async def pay(job: Running) -> None:
        seen.append(job.remembered)
        if job.attempt == 1:
            await job.remember({"request": "r-1"})
            seen.append(json.loads((await scene.row(job.id))["remembered"]))
            seen.append(job.remembered)
            raise ValueError

    async with working(database_url, jobs) as scene:
        [job] = await scene.add(pay.enqueue())
        await scene.ended(job, "done")
    assert seen == [None, {"request": "r-1"}, {"request": "r-1"}, {"request": "r-1"}]


@in_a_loop
async def test_finish_commits_the_effect_with_the_end_of_the_job(database_url: str) -> None:
    """Both or neither: an error inside undoes both, and one after the commit changes nothing."""
    jobs = Jobs()

    @jobs.kind("order", attempts=2, backoff=SOON)
    async def order(job: Running, name: str, fails: str = "") -> None:
        async with job.finish({"attempt": job.attempt}) as tx:
            await tx.execute("insert into effect values ($1)", name)
            if fails == "inside" and job.attempt == 1:
                raise ValueError(fails)
        assert job.finished
        if fails == "after":
            raise ValueError(fails)

    async with working(database_url, jobs) as scene:
        await scene.value("create table effect (name text)")
        names = ["plain", "inside", "after"]
        found = await scene.add(order.enqueue("plain"), *[order.enqueue(name, fails=name) for name in names[1:]])
        rows = [await scene.ended(job, "done") for job in found]
        assert await scene.value("select array_agg(name order by name) from effect") == sorted(names)
    assert [json.loads(row["result"])["attempt"] for row in rows] == [1, 2, 1]
    assert [row["error"] for row in rows] == [None, None, None]


@in_a_loop
async def test_finish_undoes_everything_when_the_lease_is_lost_inside(database_url: str) -> None:
    """The effect of an attempt that no longer owns its job is rolled back."""
    jobs, raised = Jobs(), list[LeaseLost]()

    @jobs.kind("order")
    async def order(job: Running) -> None:
        try:
            async with job.finish() as tx:
                await tx.execute("insert into effect values ('late')")
                await scene.steal(job.id)
        except LeaseLost as error:
            raised.append(error)
            raise

    counts = Counts()
    async with working(database_url, jobs, counts) as scene:
        await scene.value("create table effect (name text)")
        [job] = await scene.add(order.enqueue())
        await until(lambda: now(counts.ended), "the attempt ended")
        assert await scene.value("select count(*) from effect") == 0
        assert (await scene.row(job))["worker"] == "another"
    assert (len(raised), counts.ended) == (1, [("order", "lost")])


@in_a_loop
async def test_log_lines_have_the_job_and_never_its_payload(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed attempt is a warning, a dead letter an error, start and end are for debugging."""
    jobs = Jobs()
    caplog.set_level(logging.DEBUG, "towline_runtime.crew")

    @jobs.kind("break", attempts=2, backoff=SOON)
    async def broken(job: Running, word: str) -> None:
        raise ValueError("it broke")

    async with working(database_url, jobs) as scene:
        [job] = await scene.add(broken.enqueue("swordfish"))
        await scene.ended(job, "dead")
    lines: list[Any] = [record for record in caplog.records if record.name == "towline_runtime.crew"]
    assert [(line.levelname, line.message, line.job, line.attempt) for line in lines] == [
        ("DEBUG", "started", job, 1),
        ("WARNING", "attempt failed", job, 1),
        ("DEBUG", "ended", job, 1),
        ("DEBUG", "started", job, 2),
        ("ERROR", "job is dead", job, 2),
        ("DEBUG", "ended", job, 2),
    ]
    assert lines[1].exc_info[1].args == ("it broke",)
    assert "swordfish" not in caplog.text


async def _finish(job: Running) -> None:
    async with job.finish():
        raise AssertionError("there is no transaction")
