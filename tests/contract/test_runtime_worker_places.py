"""Jobs in threads and in processes of their own: bounded, stopped, and survived when they die."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.contract.worker_scene import Counts, working
from tests.job_scenes import in_a_loop, until
from tests.lab.runtime_apps import process_jobs as remote

from towline_runtime.children import where
from towline_runtime.errors import KindInvalid
from towline_runtime.jobs import Jobs
from towline_runtime.logs import correlated, correlation
from towline_runtime.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from towline_runtime.running import Running


@in_a_loop
async def test_a_thread_reports_remembers_and_keeps_the_correlation_id(database_url: str) -> None:
    """A plain function has the same handle; what it awaits goes through the worker's loop."""
    jobs = Jobs()

    @jobs.kind("plain")
    def plain(job: Running, number: int) -> list[Any]:
        job.progress(0.5, "half")
        job.from_thread(job.remember({"number": number}))
        return [threading.current_thread() is threading.main_thread(), correlation()]

    async with working(database_url, jobs) as scene:
        with correlated("request-9"):
            [job] = await scene.add(plain.enqueue(3))
        row = await scene.ended(job, "done")
    assert json.loads(row["result"]) == [False, "request-9"]
    assert json.loads(row["remembered"]) == {"number": 3}
    assert json.loads(row["progress"]) == {"done": 0.5, "note": "half"}


@in_a_loop
async def test_a_thread_that_was_stopped_is_told_and_its_result_is_thrown_away(database_url: str) -> None:
    """Cancel and limit end the attempt though the thread goes on; its place stays taken until it returns."""
    jobs, go_on, flags = Jobs(), threading.Event(), dict[str, bool]()

    @jobs.kind("blocking")
    def blocking(job: Running) -> str:
        go_on.wait(60)
        flags["asked"] = job.cancelled
        return "too late"

    @jobs.kind("limited", limit=0.1, attempts=1)
    def limited(job: Running) -> str:
        go_on.wait(60)
        flags["limited"] = job.cancelled
        return "too late"

    @jobs.kind("next")
    def following(job: Running) -> str:
        return "here"

    async with working(database_url, jobs, threads=2) as scene:
        asked, over = await scene.add(blocking.enqueue(), limited.enqueue())
        await scene.begun(asked)
        await scene.cancel(asked)
        rows = [await scene.ended(asked, "cancelled"), await scene.ended(over, "dead")]
        [waits] = await scene.add(following.enqueue())
        beats = 0
        while beats < 20:  # other jobs' threads are taken: it is not even claimed
            beats += 1
            assert (await scene.row(waits))["state"] == "ready"
        go_on.set()
        assert (await scene.ended(waits, "done"))["result"] == '"here"'
        rows += [await scene.row(asked), await scene.row(over)]
    assert [row["result"] for row in rows] == [None] * 4
    assert flags == {"asked": True, "limited": True}


@in_a_loop
async def test_threads_are_bounded_and_do_not_hold_up_the_loop(database_url: str) -> None:
    """Blocking jobs take all threads and no more, while async jobs go on beside them."""
    jobs, go_on, now, most, lock = Jobs(), threading.Event(), [0], [0], threading.Lock()

    @jobs.kind("blocking")
    def blocking(job: Running) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        go_on.wait(60)
        with lock:
            now[0] -= 1

    @jobs.kind("light")
    async def light(job: Running) -> None:
        """Do nothing."""

    async with working(database_url, jobs, threads=3) as scene:
        blocked = await scene.add(*[blocking.enqueue() for _ in range(10)])
        beside = await scene.add(*[light.enqueue() for _ in range(20)])
        for job in beside:
            await scene.ended(job, "done")
        assert await scene.value("select count(*) from towline.job where state = 'running'") == 3
        go_on.set()
        for job in blocked:
            await scene.ended(job, "done")
        assert await scene.value("select max(attempt) from towline.job") == 1
    assert most == [3]


@in_a_loop
async def test_an_exit_of_a_library_fails_only_its_job(database_url: str) -> None:
    """SystemExit in a coroutine, in a thread and in a process ends that attempt and nothing else."""
    jobs = Jobs()

    @jobs.kind("coroutine", attempts=1)
    async def coroutine(job: Running) -> None:
        raise SystemExit(3)

    @jobs.kind("thread", attempts=1)
    def thread(job: Running) -> None:
        raise SystemExit(3)

    async with working(database_url, jobs) as scene:
        for kind in (coroutine, thread):
            [job] = await scene.add(kind.enqueue())
            assert (await scene.ended(job, "dead"))["error"] == "SystemExit: 3"


@in_a_loop
async def test_processes_run_in_parallel_and_are_kept(database_url: str) -> None:
    """Results, progress and the correlation id come back; ten jobs need no more processes than there are places."""
    async with working(database_url, remote.jobs, processes=2) as scene:
        with correlated("request-10"):
            found = await scene.add(*[remote.square.enqueue(number) for number in range(10)])
        rows = [await scene.ended(job, "done", 60) for job in found]
    results = [json.loads(row["result"]) for row in rows]
    assert [result["square"] for result in results] == [number * number for number in range(10)]
    assert {result["correlation"] for result in results} == {"request-10"}
    assert json.loads(rows[0]["progress"]) == {"done": 0.5, "note": "half"}
    processes = {result["process"] for result in results}
    assert 1 <= len(processes) <= 2
    assert os.getpid() not in processes
    assert not [one for one in processes if psutil.pid_exists(one) and psutil.Process(one).status() != "zombie"]


@in_a_loop
async def test_a_process_that_dies_is_a_failed_attempt_with_a_reason(database_url: str) -> None:
    """Killed as by a lack of memory, or gone by itself: the reason says so and the next job has a process again."""
    counts = Counts()
    async with working(database_url, remote.jobs, counts, processes=1) as scene:
        killed, left = await scene.add(remote.crash.enqueue(), remote.leave.enqueue())
        assert (await scene.ended(killed, "done", 60))["result"] == '"survived"'
        assert (await scene.ended(left, "dead", 60))["error"] == "ChildEnded: the job's process ended with status 3"
        [after] = await scene.add(remote.square.enqueue(2))
        await scene.ended(after, "done", 60)
    assert ("crash", "retry") in counts.ended


@in_a_loop
async def test_the_reason_of_a_killed_process_names_the_signal(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator who reads the dead letter knows that it was not the function."""
    async with working(database_url, remote.jobs, processes=1) as scene:
        [job] = await scene.add(remote.crash.with_(attempts=1).enqueue())
        row = await scene.ended(job, "dead", 60)
    assert row["error"] == "ChildEnded: the job's process was ended by SIGKILL (out of memory?)"


@in_a_loop
async def test_errors_of_a_process_keep_their_name(database_url: str) -> None:
    """Also those that cannot travel, GiveUp still buries at once, and a write that needs the loop says what to do."""
    async with working(database_url, remote.jobs, processes=1) as scene:
        odd, left, hopeless, writes = await scene.add(
            remote.fail.enqueue("odd"),
            remote.fail.enqueue("exit"),
            remote.fail.with_(attempts=9).enqueue("give up"),
            remote.write.enqueue(),
        )
        assert (await scene.ended(odd, "dead", 60))["error"] == "RuntimeFault: Odd: firstsecond"
        assert (await scene.ended(left, "dead", 60))["error"] == "SystemExit: 7"
        row = await scene.ended(hopeless, "dead", 60)
        assert (row["attempt"], row["error"]) == (1, "GiveUp: no further attempt can help")
        assert "has no `from_thread`" in (await scene.ended(writes, "dead", 60))["error"]


@in_a_loop
async def test_limit_cancel_and_stop_kill_the_process(database_url: str, tmp_path: Path) -> None:
    """It is gone when the outcome is written, however long it would have gone on."""
    async with working(database_url, remote.jobs, processes=3) as scene:
        places = [tmp_path / name for name in ("limit", "cancel", "stop")]
        limited, asked, stopped = await scene.add(
            remote.linger.enqueue(str(places[0])), *[remote.patient.enqueue(str(place)) for place in places[1:]]
        )

        async def all_begun() -> bool:
            return all(place.exists() and place.read_text() for place in places)

        await until(all_begun, "three processes", 60)
        processes = [psutil.Process(int(place.read_text())) for place in places]
        row = await scene.ended(limited, "dead")
        assert row["error"] == "TimeoutError: the attempt took longer than its limit of 6 s"
        await scene.cancel(asked)
        await scene.ended(asked, "cancelled")
        scene.worker.stop()
        scene.worker.stop()
        await scene.running
        row = await scene.row(stopped)
        assert (row["state"], row["attempt"]) == ("ready", 0)

        async def all_gone() -> bool:
            return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)

        await until(all_gone, "the processes are gone")


def test_a_function_that_no_process_finds_is_refused_at_once() -> None:
    """A process cannot reach into a function: said when the worker is made, not when a job comes."""
    jobs = Jobs()

    @jobs.kind("hidden", runs="process")
    def hidden(job: Running) -> None:
        """Stand inside a function."""

    with pytest.raises(KindInvalid, match="cannot find its function"):
        Worker(jobs, None, None)  # type: ignore[arg-type]  # refused before either is needed
    assert where(remote.square) == ("tests.lab.runtime_apps.process_jobs", "square")
