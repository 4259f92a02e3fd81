"""An app of jobs on real servers, whose processes the tests kill, freeze and let go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from tests.real_servers import until

from towline_runtime.jobs import Jobs
from towline_runtime.outbox import enqueue_many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline_runtime.running import Running

APPS = Path(__file__).parent / "runtime_apps"
WORKER = ("-m", "towline_runtime", "worker", "bell_jobs:jobs")

jobs = Jobs()


@jobs.kind("mark", queue="marks")
async def mark(job: Running) -> None:
    """As the app declares it: here it is only enqueued."""


@dataclass(frozen=True)
class Lab:
    """The addresses of one app, and the folder of its processes' logs."""

    database_url: str
    doorbell_url: str
    folder: Path

    def prepare(self) -> None:
        """Make the table of effects."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute("create table effect (job bigint not null)")

    def add(self, count: int, lane: str | None = None) -> list[int]:
        """Enqueue in one transaction."""
        statement = enqueue_many([mark.with_(lane=lane).enqueue() for _ in range(count)])
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute(*statement.psycopg()).fetchall()
        return [row[0] for row in rows]

    def number(self, query: str) -> int:
        """The one number that a query gives."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    def until_effects(self, count: int, seconds: float = 60) -> None:
        """Wait for so many effects, and see that each is of another job."""
        try:
            until(lambda: self.number("select count(*) from effect") >= count, f"{count} effects", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.state()}\n{self.log()}") from None
        assert self.number("select count(*) from effect") == count
        assert self.number("select count(distinct job) from effect") == count
        until(lambda: not self.number("select count(*) from towline.job where state <> 'done'"), "all done")

    def state(self) -> list[tuple[object, ...]]:
        """Jobs by state, with what was rung again, and the outbox."""
        with psycopg.connect(self.database_url) as connection:
            found = connection.execute("select state, attempt, count(*) from towline.job group by 1, 2").fetchall()
            outbox = connection.execute("select topic, count(*) from towline.outbox group by 1").fetchall()
            return [*found, *outbox, *connection.execute("select * from towline.lease").fetchall()]

    def log(self) -> str:
        """The end of what its processes said."""
        return (self.folder / "processes.log").read_text("utf-8")[-3000:]

    @contextmanager
    def process(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A Python process in the folder of the apps, killed at the end if it still runs."""
        environment = os.environ | {"DATABASE_URL": self.database_url, "DOORBELL_URL": self.doorbell_url}
        with (self.folder / "processes.log").open("ab") as output:
            process = subprocess.Popen([sys.executable, *arguments], cwd=APPS, env=environment, stderr=output)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(30)

    @contextmanager
    def worker(self, beside: str = "relay,sweeper") -> Iterator[subprocess.Popen[bytes]]:
        """A worker that must end well when it is told to."""
        with self.process(*WORKER, "--with", beside) as process:
            yield process
            assert process.poll() is None, self.log()
            process.terminate()
            assert process.wait(60) == 0
