"""From the commit of a job to the start of its function, at 100 jobs a second, and what the worker costs meanwhile.

One API-like producer commits each job at its time, late or not (open loop); one worker process of 50 slots runs them,
a relay beside it where the doorbell needs one. All read the machine's monotonic clock. `nudge`: the producer nudges
after each commit; `look`: worker and relay find the jobs by looking. Then the same processes without any job. Shares of
a core are processor time over wall time. Postgres has fsync on.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import psutil
import uvloop

from figures import Goals, machine, table
from jobs import HERE, ROOT, DurablePostgres

sys.path.append(str(ROOT))

from tests.real_servers import Valkey, until

from towline_runtime.database import Database
from towline_runtime.migrations import migrate
from towline_runtime.outbox import Nudge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

EACH, SECONDS, IDLE = 0.01, 12.0, 10.0
WARM = 100
"""Seconds between two jobs, of one run and of the idle one; jobs at its start that are not counted."""


@dataclass(frozen=True)
class Worked:
    """Milliseconds that half and 99 of 100 jobs waited at most; shares of a core: worker busy and idle, relay busy."""

    median: float
    p99: float
    busy: float
    idle: float
    relay: float


@contextmanager
def role(name: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The relay or the sweeper as a process."""
    argv = [sys.executable, "-m", "towline_runtime", name, "--queues", "default"]
    with subprocess.Popen(argv, env=os.environ | {"LOG_LEVEL": "error"} | dict(environment)) as process:
        try:
            yield process
        finally:
            process.kill()


def worker(environment: Mapping[str, str], ran: Path, *more: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A worker process that has begun to work and notes starts in `ran`, ended with SIGKILL if it still runs."""
    return worker_of("job_sides.timed:jobs", environment, ran, *more)


@contextmanager
def worker_of(jobs: str, environment: Mapping[str, str], ran: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """The same with jobs of one's own."""
    argv = [sys.executable, "-m", "towline_runtime", "worker", jobs, *more]
    inherited = os.environ | {"RAN": str(ran), "PYTHONPATH": str(HERE)} | dict(environment)
    with (
        tempfile.NamedTemporaryFile(prefix="worker-") as log,
        subprocess.Popen(argv, env=inherited, cwd=HERE, stderr=log) as process,
    ):
        try:
            until(lambda: b"worker starts" in Path(log.name).read_bytes(), "the worker's first line")
            yield process
        finally:
            process.kill()


def starts(ran: Path) -> list[tuple[int, int, float]]:
    """Job, attempt and time of every start so far."""
    from job_sides.timed import LINE

    data = ran.read_bytes()
    return list(LINE.iter_unpack(data[: len(data) // LINE.size * LINE.size]))


async def produce(url: str, *, nudged: bool) -> dict[int, float]:
    """Commit a job every 10 ms and give the time of each commit."""
    from job_sides.timed import begin

    committed: dict[int, float] = {}
    clock = asyncio.get_running_loop().time
    async with Database.open(url, most=8) as database:
        nudge = Nudge(database)

        async def one(at: float) -> None:
            await asyncio.sleep(at - clock())
            async with database.transaction() as connection:
                row = await connection.fetchrow(*begin.enqueue().asyncpg())
            assert row is not None
            committed[row["id"]] = time.monotonic()
            if nudged:
                nudge("default")

        began = clock() + 0.1
        await asyncio.gather(*[one(began + number * EACH) for number in range(int(SECONDS / EACH))])
        await nudge.close()
    return committed


def measure(url: str, doorbell: str, *, nudged: bool) -> Worked:
    """One run with a worker of its own."""
    with tempfile.TemporaryDirectory() as folder:
        ran = Path(folder, "ran")
        ran.touch()
        environment = {"DATABASE_URL": url, "DOORBELL_URL": doorbell}
        with role("relay", environment) as beside, worker(environment, ran, "--with", "none") as process:
            warm = uvloop.run(produce_some(url))
            until(lambda: len(starts(ran)) >= warm, "the worker at work")
            seen, relay = psutil.Process(process.pid), psutil.Process(beside.pid)
            busy_from, relay_from = _processor(seen), _processor(relay)
            committed = uvloop.run(produce(url, nudged=nudged))
            busy, relayed = (
                (_processor(one) - since) / SECONDS for one, since in ((seen, busy_from), (relay, relay_from))
            )
            until(lambda: len(starts(ran)) >= warm + len(committed), "all jobs started")
            waits = sorted((at - committed[job]) * 1e3 for job, _, at in starts(ran) if job in committed)
            idle_from = _processor(seen)
            time.sleep(IDLE)
            idle = (_processor(seen) - idle_from) / IDLE
    return Worked(waits[len(waits) // 2], waits[int(0.99 * len(waits))], busy * 100, idle * 100, relayed * 100)


async def produce_some(url: str) -> int:
    """Some jobs to begin with, so that connections and code are warm."""
    from job_sides.timed import begin

    async with Database.open(url) as database, database.connection() as connection:
        for _ in range(WARM):
            await connection.fetchrow(*begin.enqueue().asyncpg())
    return WARM


def _processor(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


def main() -> int:
    """Both doorbells, with and without nudges."""
    goals = Goals("pickup")
    os.environ.setdefault("RAN", os.devnull)
    with (
        tempfile.TemporaryDirectory() as folder,
        DurablePostgres(Path(folder, "postgres")) as server,
        Valkey(Path(folder, "valkey")) as broker,
    ):
        machine(postgres="18 (fsync on)", valkey="9 (append-only)", asyncpg=asyncpg.__version__)
        rows = [
            _one(goals, server, bell, doorbell, nudged=nudged)
            for bell, doorbell in (("postgres", "postgres:"), ("redis", broker.url))
            for nudged in (True, False)
        ]
    table(["doorbell", "found by", "p50 ms", "p99 ms", "worker %", "idle %", "relay %"], rows)
    return goals.close()


def _one(goals: Goals, server: DurablePostgres, bell: str, doorbell: str, *, nudged: bool) -> list[str]:
    way, p50, p99 = ("nudge", 3, 10) if nudged else ("look", 10, 25)
    url = server.create(f"{bell}_{way}")
    asyncio.run(migrate(url))
    seen = measure(url, doorbell, nudged=nudged)
    goals.at_most(f"{bell}_{way}_p50", seen.median, "ms", p50)
    goals.at_most(f"{bell}_{way}_p99", seen.p99, "ms", p99)
    goals.at_most(f"{bell}_{way}_busy", seen.busy, "%", 10)
    goals.at_most(f"{bell}_{way}_idle", seen.idle, "%", 3)
    return [bell, way, *(f"{one:.1f}" for one in (seen.median, seen.p99, seen.busy, seen.idle, seen.relay))]


if __name__ == "__main__":
    sys.exit(main())
