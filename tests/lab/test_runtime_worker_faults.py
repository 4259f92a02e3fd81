"""Workers that are killed, stopped or cut off: no job is lost, and no effect happens twice."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.contract.worker_scene import Counts, working
from tests.job_scenes import until as until_asked
from tests.lab.runtime_apps import fault_jobs
from tests.lab.worker_processes import Table, process, worker
from tests.real_servers import Postgres, until

from towline_runtime.jobs import Jobs
from towline_runtime.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from towline_runtime.running import Running

LEASE = 10.0


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[Postgres]:
    """A server that the test may stop."""
    with Postgres(tmp_path / "postgres") as server:
        asyncio.run(migrate(server.url))
        yield server


def test_jobs_of_killed_workers_run_again_soon_and_have_their_effect_once(database_url: str, tmp_path: Path) -> None:
    """SIGKILL with 200 jobs running, three times: all run again within the lease and two seconds."""
    table = Table(database_url)
    table.prepare()
    with process(database_url, tmp_path, "sweep", "--queues", "default"):
        for turn in range(3):
            jobs = table.add([fault_jobs.stay_once.enqueue() for _ in range(200)])
            with worker(database_url, tmp_path, 200, lease=LEASE) as first:
                table.wait("running", jobs)
                first.kill()
                killed = table.ask("select clock_timestamp() as at")[0]["at"]
                assert table.count("running", jobs) == 200
            with worker(database_url, tmp_path, 200, lease=LEASE) as second:
                table.wait("done", jobs)
                second.term()
                assert second.status() == 0
            rows = table.ask(
                "select attempt, started_at - %s as after from towline.job where id = any(%s)", killed, jobs
            )
            after = sorted(row["after"].total_seconds() for row in rows)
            effects = table.effects(jobs)
            print(  # noqa: T201  # the counts are what this is for
                f"round {turn + 1}: {sum(row['attempt'] == 2 for row in rows)} of 200 started again,"
                f" {after[0]:.1f} to {after[-1]:.1f} s after the kill (lease {LEASE:g} s);"
                f" effects of {len(effects)} jobs, {sum(effects.values()) - len(effects)} doubled"
            )
            assert {row["attempt"] for row in rows} == {2}
            assert after[-1] <= LEASE + 2
            assert (len(effects), set(effects.values())) == (200, {1})


def test_sigterm_finishes_what_runs_and_starts_nothing(database_url: str, tmp_path: Path) -> None:
    """Twenty of sixty are running: those twenty finish, forty wait untouched, and the exit status is 0."""
    table = Table(database_url)
    table.prepare()
    jobs = table.add([fault_jobs.note.enqueue(2.0) for _ in range(60)])
    with worker(database_url, tmp_path, 20) as one:
        table.wait("running", jobs, 20)
        one.term()
        assert one.status() == 0
    assert (table.count("done", jobs), table.count("ready", jobs)) == (20, 40)
    assert table.ask("select distinct attempt from towline.job where state = 'ready'") == [{"attempt": 0}]
    assert set(table.effects(jobs).values()) == {1}
    assert len(table.effects(jobs)) == 20


def test_a_second_sigterm_hands_back_what_runs(database_url: str, tmp_path: Path) -> None:
    """Also a job that blocks its thread for ever neither holds up the exit nor loses an attempt."""
    table = Table(database_url)
    jobs = table.add([fault_jobs.stay.enqueue() for _ in range(9)] + [fault_jobs.block.enqueue()])
    with worker(database_url, tmp_path, 10) as one:
        table.wait("running", jobs)
        one.term()
        until(lambda: "worker stops" in one.log.read_text(), "the first signal was heard")
        assert one.alive
        assert table.count("running", jobs) == 10
        one.term()
        assert one.status(20) == 0
    assert table.count("ready", jobs) == 10
    assert table.ask("select distinct attempt from towline.job") == [{"attempt": 0}]


def test_a_long_job_starts_once_though_two_workers_look(database_url: str, tmp_path: Path) -> None:
    """The lease is kept for two and a half of its lengths."""
    table = Table(database_url)
    table.prepare()
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with contextlib.ExitStack() as stack:
        for folder in folders:
            stack.enter_context(worker(database_url, folder, 10, lease=2.0, beside="sweeper"))
        jobs = table.add([fault_jobs.note.enqueue(5.0) for _ in range(5)])
        table.wait("done", jobs)
    assert table.effects(jobs) == dict.fromkeys(jobs, 1)
    assert table.ask("select distinct attempt from towline.job") == [{"attempt": 1}]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restart_of_postgres_loses_and_doubles_nothing(own_postgres: Postgres, tmp_path: Path, how: str) -> None:
    """Under load, in order or as by a power cut: every effect once, and the same worker goes on."""
    table = Table(own_postgres.url)
    table.prepare()
    jobs = table.add([fault_jobs.note.enqueue(0.2) for _ in range(400)])
    with worker(own_postgres.url, tmp_path, 20, beside="sweeper") as one:
        for done in (60, 200):
            until(lambda done=done: table.count("done", jobs) >= done, f"{done} are done")  # type: ignore[misc]
            getattr(own_postgres, how)()
            own_postgres.start()
        table.wait("done", jobs, seconds=90)
        assert one.alive
        one.term()
        assert one.status() == 0
    effects = table.effects(jobs)
    again = sum(row["attempt"] > 1 for row in table.ask("select attempt from towline.job"))
    doubled = sum(effects.values()) - len(effects)
    print(f"{how}: {len(effects)} of 400 had their effect, {doubled} doubled, {again} tried again")  # noqa: T201
    assert effects == dict.fromkeys(jobs, 1)


def test_results_wait_for_postgres(own_postgres: Postgres) -> None:
    """A job that ends while the server is away is done once it is back: it does not run again."""
    asyncio.run(_results_wait(own_postgres))


async def _results_wait(server: Postgres) -> None:
    jobs, go_on, ran = Jobs(), asyncio.Event(), list[int]()

    @jobs.kind("wait")
    async def wait(job: Running) -> str:
        ran.append(job.id)
        await go_on.wait()
        return "kept"

    counts = Counts()
    async with working(server.url, jobs, counts) as scene:
        found = await scene.add(*[wait.enqueue() for _ in range(10)])
        for job in found:
            await scene.begun(job)
        await asyncio.to_thread(server.kill)
        go_on.set()
        await until_asked(_truth(lambda: len(counts.ended) == 10), "all ended")
        await asyncio.to_thread(server.start)
        rows = [await scene.ended(job, "done") for job in found]
    assert {(row["attempt"], row["result"]) for row in rows} == {(1, '"kept"')}
    assert sorted(ran) == found


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_worker_that_is_cut_off_stops_its_jobs_before_another_starts_them(own_postgres: Postgres, how: str) -> None:
    """By its own clock: once the lease has surely run out the job is cancelled, and the worker waits for the server."""
    asyncio.run(_cut_off(own_postgres, how))


async def _cut_off(server: Postgres, how: str) -> None:
    jobs, ended = Jobs(), list[bool]()

    @jobs.kind("stay")
    async def stay(job: Running) -> None:
        try:
            await asyncio.sleep(600 if job.attempt == 1 else 0)
        finally:
            ended.append(job.cancelled)

    async with working(server.url, jobs, lease=3.0) as scene:
        [job] = await scene.add(stay.enqueue())
        await scene.begun(job)
        if how == "killed":
            await asyncio.to_thread(server.kill)
        else:
            _each_process(server, psutil.Process.suspend)
        try:
            await until_asked(_truth(lambda: bool(ended)), "the job was stopped while the server was away", 20)
        finally:
            if how == "killed":
                await asyncio.to_thread(server.start)
            else:
                _each_process(server, psutil.Process.resume)
        assert ended == [True]

        async def expired() -> bool:
            return bool(await scene.database.persist("expire", 100))

        await until_asked(expired, "the lease ran out by the database's clock")
        row = await scene.ended(job, "done", 60)
    assert (row["attempt"], ended) == (2, [True, False])


def test_a_worker_ends_though_postgres_is_silent(own_postgres: Postgres, tmp_path: Path) -> None:
    """A frozen server, as behind a cut cable: two signals and it is gone, with status 0 and a line for what it lost."""
    table = Table(own_postgres.url)
    jobs = table.add([fault_jobs.stay.enqueue() for _ in range(10)])
    with worker(own_postgres.url, tmp_path, 10) as one:
        table.wait("running", jobs)
        _each_process(own_postgres, psutil.Process.suspend)
        one.term()
        until(lambda: "worker stops" in one.log.read_text(), "the first signal was heard")
        one.term()
        assert one.status(60) == 0
        assert "the database is away: outcomes are lost" in one.log.read_text()
        assert "Traceback" not in one.log.read_text()


def _truth(ask: Callable[[], bool]) -> Callable[[], asyncio.Future[bool]]:
    async def answer() -> bool:
        return ask()

    return lambda: asyncio.ensure_future(answer())


def _each_process(server: Postgres, act: Callable[[psutil.Process], None]) -> None:
    assert server._process is not None
    first = psutil.Process(server._process.pid)
    for one in [first, *first.children(recursive=True)]:
        act(one)
