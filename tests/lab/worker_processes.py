"""Workers of the command line as processes that tests may signal, and the table of what their jobs did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row
from tests.lab.runtime_apps import fault_jobs
from tests.real_servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline_runtime.outbox import Enqueue

JOBS = "tests.lab.runtime_apps.fault_jobs:jobs"


class Process:
    """One role of the command line, in a session of its own."""

    def __init__(self, url: str, log: Path, role: str, *arguments: str, lease: float = 10.0) -> None:
        settings = {
            "DATABASE_URL": url,
            "JOB_LEASE_SECONDS": str(lease),
            "LOG_LEVEL": "info",
            "DATABASE_POOL_SIZE": "20",
        }
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "towline_runtime", role, *arguments],
                env=os.environ | settings,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def term(self) -> None:
        """Ask it to stop."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait(30)

    def status(self, seconds: float = 60) -> int:
        """Wait for its end and give its exit status."""
        return self._process.wait(seconds)


@contextmanager
def process(url: str, folder: Path, role: str, *arguments: str, lease: float = 10.0) -> Iterator[Process]:
    """A role that is gone at the end of the block."""
    one = Process(url, folder / f"{role}.log", role, *arguments, lease=lease)
    try:
        yield one
    finally:
        if one.alive:
            one.kill()


@contextmanager
def worker(url: str, folder: Path, concurrency: int, *, lease: float = 10.0, beside: str = "none") -> Iterator[Process]:
    """A worker of fault_jobs."""
    arguments = (JOBS, "--concurrency", str(concurrency), "--with", beside)
    with process(url, folder, "worker", *arguments, lease=lease) as one:
        yield one


class Table:
    """The job table as a bystander sees it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Rows, over a connection of their own."""
        with psycopg.connect(self._url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def prepare(self) -> None:
        """Make the table of effects."""
        self.ask(fault_jobs.TABLE)

    def add(self, jobs: list[Enqueue]) -> list[int]:
        """Commit jobs and give their numbers."""
        with psycopg.connect(self._url) as connection:
            rows = [connection.execute(*_bytes(job.psycopg())).fetchone() for job in jobs]
        return [row[0] for row in rows if row is not None]

    def count(self, state: str, jobs: list[int]) -> int:
        """How many of these are in a state."""
        query = "select count(*) as n from towline.job where state = %s::towline.job_state and id = any(%s)"
        return int(self.ask(query, state, jobs)[0]["n"])

    def wait(self, state: str, jobs: list[int], number: int | None = None, seconds: float = 60) -> None:
        """Wait until so many of these (all of them) are in a state."""
        wanted = len(jobs) if number is None else number
        until(lambda: self.count(state, jobs) == wanted, f"{wanted} {state}", seconds)

    def effects(self, jobs: list[int]) -> dict[int, int]:
        """How often each job had its effect, for those that had any."""
        rows = self.ask("select job, count(*) as n from effect where job = any(%s) group by job", jobs)
        return {row["job"]: row["n"] for row in rows}


def _bytes(statement: tuple[str, dict[str, Any]]) -> tuple[bytes, dict[str, Any]]:
    return statement[0].encode(), statement[1]
