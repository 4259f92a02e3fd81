"""`python -m towline_runtime` as a person and a supervisor use it: output, exit codes, and mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest
from tests.real_servers import PASSWORD, Postgres, Valkey, free_port, until

from towline_runtime.jobs import Jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline_runtime.outbox import Enqueue
    from towline_runtime.running import Running

APPS = Path(__file__).parent.parent / "lab" / "runtime_apps"
FINAL = {"done", "dead", "cancelled"}

jobs = Jobs()


@jobs.kind("good", queue="mixed")
async def good(job: Running, word: str = "yes") -> None:
    """As the app declares it: here it is only enqueued."""


@jobs.kind("bad", queue="mixed")
async def bad(job: Running) -> None:
    """As above."""


@jobs.kind("long", queue="mixed")
async def long(job: Running) -> None:
    """As above."""


@dataclass(frozen=True)
class Console:
    """A shell in the app's folder with its environment."""

    environment: dict[str, str]

    def run(self, *arguments: str, code: int = 0) -> str:
        """Give what one command prints: data, or with another exit code the mistake, never a traceback."""
        command = [sys.executable, "-m", "towline_runtime", *arguments]
        ended = subprocess.run(
            command,
            cwd=APPS,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
        assert PASSWORD not in ended.stdout + ended.stderr
        if code:
            assert ended.stdout == ""
        return ended.stderr if code else ended.stdout

    def add(self, job: Enqueue) -> int:
        """Enqueue one job."""
        with psycopg.connect(self.environment["DATABASE_URL"]) as connection:
            row = connection.execute(*job.psycopg()).fetchone()
        assert row is not None
        return int(row[0])

    def view(self, job: int) -> dict[str, Any]:
        """One job as JSON."""
        return dict(json.loads(self.run("view", str(job), "--json")))

    def until_state(self, job: int, *states: str) -> dict[str, Any]:
        """Wait until the job has come to one of these states."""
        return until(lambda: found if (found := self.view(job))["state"] in states else None, f"job {job} {states}")

    @contextmanager
    def worker(self, *options: str) -> Iterator[None]:
        """A worker that must end with 0 when it is told to, and print no data."""
        command = [sys.executable, "-m", "towline_runtime", "worker", "fickle_jobs:jobs", *options]
        process = subprocess.Popen(
            command, cwd=APPS, env=os.environ | self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            yield
            process.terminate()
            data, talk = process.communicate(timeout=60)
            assert (process.returncode, data) == (0, b""), talk.decode()[-2000:]
            assert all("message" in json.loads(line) for line in talk.splitlines())
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def console(database_url: str) -> Console:
    """With a database of its own and the postgres doorbell."""
    return Console({"DATABASE_URL": database_url, "DOORBELL_URL": "postgres:"})


def test_migrate_names_what_it_applied(postgres: Postgres) -> None:
    """The first run prints the migrations, the second nothing; before the first, other commands say what to do."""
    name = f"fresh_{uuid.uuid4().hex}"
    console = Console({"DATABASE_URL": postgres.create(name)})
    assert "hint: python -m towline_runtime migrate" in console.run("status", code=1)
    assert console.run("migrate").splitlines()[0] == "0001_jobs.sql"
    assert console.run("migrate") == ""
    assert console.run("status") == "no queue yet\n\nno lease is held\n"
    postgres.drop(name)


def test_a_worker_runs_jobs_until_it_is_told_to_stop(console: Console) -> None:
    """One process is enough; done and dead jobs show what came of them, and a dead one can be replayed."""
    fine, failed = console.add(good.enqueue("hello")), console.add(bad.enqueue())
    with console.worker("--concurrency", "2", "--name", "here"):
        assert console.until_state(fine, *FINAL)["result"] == {"word": "hello"}
        assert console.until_state(failed, *FINAL)["error"] == "GiveUp: the photo is empty"
        (letter,) = json.loads(console.run("dead", "--queue", "mixed", "--json"))
        assert (letter["id"], letter["error"]) == (failed, "GiveUp: the photo is empty")
        first = console.view(failed)["finished_at"]
        assert console.run("replay", str(failed)) == f"{failed}\n"
        until(lambda: console.view(failed)["finished_at"] not in {None, first}, "dead again")
        assert "the photo is empty" in console.run("dead")
        leases = json.loads(console.run("status", "--json"))["leases"]
        assert [lease["name"] for lease in leases] == ["sweeper:mixed"]
    assert console.run("replay", "--queue", "mixed") == f"{failed}\n"
    assert console.run("dead") == "no dead letters\n"


def test_a_running_and_a_waiting_job_are_cancelled(console: Console) -> None:
    """The one that runs is asked to stop and does, the one that waits ends at once."""
    running = console.add(long.enqueue())
    with console.worker():
        console.until_state(running, "running")
        assert console.run("cancel", str(running)) == "asked to stop\n"
        console.until_state(running, "cancelled")
    waiting = console.add(good.enqueue())
    assert console.run("cancel", str(waiting)) == "cancelled\n"
    assert "neither waits nor runs" in console.run("cancel", str(waiting), code=1)
    assert "state           cancelled" in console.run("view", str(waiting))


def test_a_paused_queue_rests(console: Console) -> None:
    """Its jobs wait until it goes on, and the status says so."""
    console.run("pause", "mixed")
    job = console.add(good.enqueue())
    with console.worker("--with", "none"):
        other = json.loads(console.run("status", "--json"))
        assert [(one["queue"], one["paused"], one["ready"]) for one in other["queues"]] == [("mixed", True, 1)]
        assert "yes" in console.run("status")
        assert console.view(job)["state"] == "ready"
        console.run("resume", "mixed")
        console.until_state(job, "done")
        assert json.loads(console.run("status", "--json"))["leases"] == []


def test_relay_and_sweeper_run_beside_the_worker_unless_told_otherwise(database_url: str, valkey: Valkey) -> None:
    """With a doorbell that needs a relay, one worker process takes both leases and its jobs arrive."""
    console = Console({"DATABASE_URL": database_url, "DOORBELL_URL": valkey.url})
    job = console.add(good.enqueue())
    with console.worker():
        console.until_state(job, "done")
        leases = json.loads(console.run("status", "--json"))["leases"]
        assert [lease["name"] for lease in leases] == ["relay:mixed", "sweeper:mixed"]
    assert json.loads(console.run("status", "--json"))["leases"] == []


def test_a_worker_answers_probes_on_its_port(console: Console) -> None:
    """Alive, ready, and figures of its own jobs and of the database; a port that is taken is named."""
    port = free_port()
    served = Console(console.environment | {"HEALTH_PORT": str(port)})
    with served.worker():
        address = f"http://127.0.0.1:{port}"
        until(lambda: _status(f"{address}/livez") == 200, "alive")
        until(lambda: _status(f"{address}/readyz") == 200, "ready")
        job = served.add(good.enqueue())
        served.until_state(job, "done")
        figures = httpx.get(f"{address}/metrics").text
        assert 'towline_attempts_total{kind="good",outcome="done"} 1.0' in figures
        assert "towline_database_up 1.0" in figures
        assert f"Port {port} cannot be used" in served.run("worker", "fickle_jobs:jobs", code=1)


def _status(address: str) -> int:
    try:
        return httpx.get(address).status_code
    except httpx.TransportError:
        return 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["worker"], "the following arguments are required: MODULE:JOBS"),
        (["worker", "no_such_app:jobs"], "There is no module `no_such_app`"),
        (["worker", "broken_jobs:jobs"], "Importing `broken_jobs` failed: NameError"),
        (["worker", "fickle_jobs:not_jobs"], "`fickle_jobs:not_jobs` is no Jobs"),
        (["worker", ":jobs"], "Empty module name"),
        (["worker", "fickle_jobs", "--concurrency", "0"], "'0' is not a whole number above 0"),
        (["worker", "fickle_jobs", "--with", "rely"], "'rely' is neither relay, sweeper"),
        (["worker", "fickle_jobs", "--queues", ","], "names no queue"),
        (["relay"], "one of the arguments MODULE:JOBS --queues is required"),
        (["view", "seven"], "invalid int value: 'seven'"),
        (["replay"], "Name either jobs or a queue"),
        (["replay", "7", "--queue", "mixed"], "Name either jobs or a queue"),
    ],
)
def test_wrong_arguments_end_with_2(console: Console, arguments: list[str], sentence: str) -> None:
    """A sentence that names the mistake."""
    assert sentence in console.run(*arguments, code=2)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"DOORBELL_URL": "amqp://broker"}, "DOORBELL_URL"),
        ({"DOORBELL_URL": "sqs://eu-central-1/a-?endpiont=x"}, "which is none"),
    ],
)
def test_wrong_settings_end_with_2(console: Console, changes: dict[str, str], sentence: str) -> None:
    """Before anything is connected."""
    wrong = Console(console.environment | changes)
    assert sentence in wrong.run("worker", "fickle_jobs:jobs", code=2)


def test_a_database_that_does_not_answer_ends_a_short_command_with_1() -> None:
    """With a hint, and without the password of the address."""
    console = Console({"DATABASE_URL": f"postgresql://app:{PASSWORD}@127.0.0.1:1/app"})
    assert "hint: check DATABASE_URL" in console.run("status", code=1)


def test_what_is_not_there_ends_with_1(console: Console) -> None:
    """Jobs that are unknown, or cannot be replayed."""
    assert "There is no job 7" in console.run("view", "7", code=1)
    assert "neither waits nor runs" in console.run("cancel", "7", code=1)
    job = console.add(good.enqueue())
    assert f"Neither dead nor cancelled: {job}" in console.run("replay", str(job), code=1)
