"""How long jobs wait for the real worker, against what the planner says before: 5 slots, jobs of 50 ms.

One worker process works through jobs that a producer commits at random instants of a fixed seed (Poisson), each at its
time, late or not (open loop). The wait of a job is from its commit to the start of its function; all clocks are the
machine's monotonic one. The planner's formulas know slots, rate and unevenness of the arrivals (the seed fixes both),
and the time that a job holds a slot. So two things are measured before: that time, with the claim that fills a slot
again, on a backlog that keeps all slots busy; and the pickup, the wait of a job that finds the worker with nothing to
do. Then the prediction is printed, and only then come the jobs. A job that waits for a slot is picked up within the
time of the job before it, any other waits for the pickup: mean wait = W (Erlang C, Allen-Cunneen) + (1 - C) x pickup.

`same arrivals` is what five perfect slots would have made of the very arrivals that came, without any pickup. Where it
lies far from `W ms`, the machine was busy with other things and the commits came in heaps.

JOBS=2000 in the environment makes it shorter; the first 2 % of each run are not counted, since it begins empty.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import uvloop

from figures import Goals, machine, table
from jobs import ROOT, DurablePostgres
from pickup import worker_of
from towline.planner.queueing import Queue

sys.path.append(str(ROOT))

from tests.real_servers import until

from towline_runtime.database import Database
from towline_runtime.migrations import migrate
from towline_runtime.outbox import Nudge, enqueue_many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JOBS = int(os.environ.get("JOBS", "20000"))
SLOTS, SECONDS = 5, 0.05
LOADS = (0.5, 0.7, 0.8)
SEED = 20_261_122
WITHIN = 20.0
"""Per cent of the prediction by which the mean wait may be off."""

BACKLOG, ALONE, APART = 1000, 300, 0.15
"""Jobs that keep all slots busy; jobs that each find the worker idle, and the seconds between two of these."""

PATIENCE = 120.0
"""Seconds that the last jobs of a run may take."""


@dataclass(frozen=True)
class Ran:
    """One job: when it was committed, when it began and when it ended."""

    committed: float
    began: float
    ended: float

    @property
    def wait(self) -> float:
        """Seconds from the commit to the start; the clocks of two processes may differ by some microseconds."""
        return max(0.0, self.began - self.committed)


@dataclass(frozen=True)
class Known:
    """What was measured before: seconds that a job holds a slot, their cv, and the pickup of a job alone."""

    service: float
    cv: float
    pickup: float

    def queue(self, instants: Sequence[float]) -> Queue:
        """The queue that the worker is for jobs that come at these instants."""
        gaps = [after - before for before, after in pairwise(instants)]
        mean = statistics.fmean(gaps)
        return Queue(SLOTS, 1 / mean, self.service, self.cv, statistics.pstdev(gaps) / mean)

    def wait(self, instants: Sequence[float]) -> float:
        """The mean wait that is to be expected."""
        queue = self.queue(instants)
        return queue.mean_wait + (1 - queue.waiting) * self.pickup


def perfect(found: Sequence[Ran], service: float) -> list[float]:
    """The waits of the same arrivals at slots that lose no time between two jobs."""
    free, waits = [0.0] * SLOTS, []
    for one in found:
        begins = max(one.committed, heapq.heappop(free))
        heapq.heappush(free, begins + service)
        waits.append(begins - one.committed)
    return waits


@dataclass(frozen=True)
class Bench:
    """A database, and the file in which its worker notes what it ran."""

    url: str
    ran: Path

    def noted(self) -> int:
        """Jobs that have ended so far."""
        from job_sides.slept import LINE

        return self.ran.stat().st_size // LINE.size

    def result(self, committed: dict[int, float]) -> list[Ran]:
        """The jobs in the order of their commits."""
        from job_sides.slept import LINE

        times = {job: (began, ended) for job, began, ended in LINE.iter_unpack(self.ran.read_bytes())}
        assert committed.keys() <= times.keys(), "every job ran"
        return [Ran(at, *times[job]) for job, at in sorted(committed.items(), key=lambda one: one[1])]

    def run(self, instants: Sequence[float]) -> list[Ran]:
        """Commit a job at each of these instants, and give what became of them."""
        there = self.noted()
        committed = uvloop.run(produce(self.url, instants))
        until(lambda: self.noted() >= there + len(instants), "all jobs have ended", PATIENCE)
        return self.result(committed)


async def produce(url: str, instants: Sequence[float]) -> dict[int, float]:
    """Commit a job at each instant, in seconds from now, and nudge; gives the time of each commit by job."""
    from job_sides.slept import slept

    committed: dict[int, float] = {}
    clock = asyncio.get_running_loop().time
    async with Database.open(url, most=8) as database, asyncio.TaskGroup() as group:
        nudge = Nudge(database)

        async def one() -> None:
            async with database.transaction() as connection:
                row = await connection.fetchrow(*slept.enqueue().asyncpg())
            assert row is not None
            committed[row["id"]] = time.monotonic()
            nudge("default")

        began = clock() + 0.2
        for instant in instants:
            await asyncio.sleep(max(0.0, began + instant - clock()))
            group.create_task(one())
        while len(committed) < len(instants):
            await asyncio.sleep(0.05)
        await nudge.close()
    return committed


def arrivals(rate: float, count: int, seed: int) -> list[float]:
    """So many instants, at random as of many people who know nothing of each other."""
    chance, now, found = random.Random(seed), 0.0, []
    for _ in range(count):
        now += chance.expovariate(rate)
        found.append(now)
    return found


async def fill(url: str) -> dict[int, float]:
    """Commit a backlog at once."""
    from job_sides.slept import slept

    async with Database.open(url) as database, database.connection() as connection:
        rows = await connection.fetch(*enqueue_many([slept.enqueue() for _ in range(BACKLOG)]).asyncpg())
    return dict.fromkeys((row["id"] for row in rows), time.monotonic())


def calibrate(bench: Bench) -> Known:
    """The time that a job holds a slot, by what all slots together get through; and the wait of jobs that are alone."""
    there = bench.noted()
    committed = uvloop.run(fill(bench.url))
    until(lambda: bench.noted() >= there + BACKLOG, "the backlog is done", PATIENCE)
    backlog = bench.result(committed)
    # The first and the last jobs do not find all slots busy.
    ends = sorted(one.ended for one in backlog)[SLOTS:-SLOTS]
    service = SLOTS * (ends[-1] - ends[0]) / (len(ends) - 1)
    lengths = [one.ended - one.began for one in backlog]
    alone = bench.run([number * APART for number in range(ALONE)])[10:]
    pickup = statistics.fmean(one.wait for one in alone)
    return Known(service, statistics.pstdev(lengths) / statistics.fmean(lengths), pickup)


def predict(known: Known, coming: Mapping[float, Sequence[float]]) -> dict[float, float]:
    """The mean waits to be expected by load, printed before any of the jobs they are about is made."""
    held, cv, pickup = known.service * 1e3, known.cv, known.pickup * 1e3
    print(
        f"a job holds a slot for {held:.2f} ms (cv {cv:.3f}); alone it is picked up within {pickup:.2f} ms on average"
    )
    said = {load: known.wait(instants) for load, instants in coming.items()}
    for load, wait in said.items():
        rate = known.queue(coming[load]).rate
        print(f"predicted at {load:.0%}: {JOBS} jobs, {rate:.2f} a second, wait {wait * 1e3:.2f} ms on average")
    sys.stdout.flush()
    return said


def main() -> int:
    """Calibrate, predict, run, compare."""
    goals = Goals("capacity")
    os.environ.setdefault("RAN", os.devnull)
    with (
        tempfile.TemporaryDirectory() as folder,
        DurablePostgres(Path(folder, "postgres")) as server,
    ):
        machine(postgres="18 (fsync on)", asyncpg=asyncpg.__version__)
        url, ran = server.create("capacity"), Path(folder, "ran")
        ran.touch()
        asyncio.run(migrate(url))
        bench = Bench(url, ran)
        environment = {"DATABASE_URL": url, "DOORBELL_URL": "postgres:"}
        with worker_of("job_sides.slept:jobs", environment, ran, "--concurrency", str(SLOTS)):
            known = calibrate(bench)
            coming = {load: arrivals(load * SLOTS / SECONDS, JOBS, SEED + round(load * 100)) for load in LOADS}
            said = predict(known, coming)
            rows = [_one(goals, bench, load, (known, coming[load], said[load])) for load in LOADS]
    head = (
        "load",
        "jobs",
        "arrivals/s",
        "cv",
        "predicted ms",
        "measured ms",
        "off",
        "95 of 100 ms",
        "W ms",
        "same arrivals",
    )
    table(head, rows)
    return goals.close()


def _one(goals: Goals, bench: Bench, load: float, asked: tuple[Known, Sequence[float], float]) -> tuple[str, ...]:
    known, instants, said = asked
    found = bench.run(instants)
    counted = found[JOBS // 50 :]
    gaps = [after.committed - before.committed for before, after in pairwise(found)]
    mean = statistics.fmean(one.wait for one in counted)
    off = 100 * (mean - said) / said
    goals.at_most(f"mean_wait_at_{load * 100:.0f}", abs(off), "%", WITHIN)
    return (
        f"{load:.0%}",
        str(len(counted)),
        f"{1 / statistics.fmean(gaps):.1f}",
        f"{statistics.pstdev(gaps) / statistics.fmean(gaps):.2f}",
        f"{said * 1e3:.2f}",
        f"{mean * 1e3:.2f}",
        f"{off:+.1f} %",
        f"{statistics.quantiles((one.wait for one in counted), n=20)[-1] * 1e3:.1f}",
        f"{known.queue(instants).mean_wait * 1e3:.2f}",
        f"{statistics.fmean(perfect(found, known.service)[JOBS // 50 :]) * 1e3:.2f}",
    )


if __name__ == "__main__":
    sys.exit(main())
