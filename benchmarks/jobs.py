"""Background jobs: no-op jobs a second of one worker process until they are settled, and how fast an API accepts work.

Every side has the same backlog of no-op jobs, each of which adds a byte to a file, and one freshly started worker of
50 slots (celery: four processes; PgQueuer: batches of 50 without a cap, its default). The clock runs from the first
job until the last one is settled: its end is durable and nothing is left to acknowledge. Processor seconds are those of
the worker's processes in that time. Servers are started for the benchmark: Postgres with fsync and its default
`synchronous_commit`, Valkey with an append-only file. Towline over Redis includes its relay, in the worker's process.

Accepting: transactions of an API, each an insert of the app's own and the enqueue of a job with its outbox row, over
16 connections at once.

Peers live in environments of their own below `.bench/`, made here from requirements/bench*.txt when missing.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import asyncpg
import psutil
import psycopg
import redis
import uvloop

from figures import Goals, machine, table

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from tests.real_servers import Postgres, Valkey, until  # noqa: E402  # the tests' servers are no installed package

from towline_runtime.migrations import migrate  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HERE = Path(__file__).resolve().parent
ROUNDS = 3
WITHIN = 300.0
"""Seconds that one backlog may take at most."""
CELERY = "-P prefork -c 4 -l ERROR --without-gossip --without-mingle"
CONNECTIONS, ACCEPTED = 16, 20_000


class DurablePostgres(Postgres):
    """As the tests have it, but every commit reaches the disk."""

    def argv(self) -> list[str]:
        """Without the option that turns fsync off."""
        return [*(one for one in super().argv() if one != "-F"), "-c", "shared_buffers=512MB"]


@dataclass(frozen=True)
class Side:
    """One engine: how a backlog is made, how its worker is started, and how many jobs are not settled yet."""

    name: str
    fill: tuple[str, ...]
    work: tuple[str, ...]
    environment: Mapping[str, str]
    left: Callable[[], int]
    jobs: int
    prepare: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Drained:
    """Jobs a second until all were executed, and until all were settled; processor seconds per 10,000 jobs."""

    executed: float
    settled: float
    processor: float


@dataclass
class Figures:
    """The rounds of every side."""

    rounds: dict[str, list[Drained]] = field(default_factory=dict)

    def settled(self, name: str) -> float | None:
        """The median rate of a side."""
        found = self.rounds.get(name)
        return statistics.median(one.settled for one in found) if found else None

    def over(self, name: str, peer: str) -> float | None:
        """How many times the rate of a peer."""
        mine, theirs = self.settled(name), self.settled(peer)
        return None if mine is None or theirs is None else mine / theirs

    def show(self) -> None:
        """Print them all."""
        head = ["worker", "settled/s", "min-max", "executed/s", "CPU s/10,000", "rounds"]
        rows = []
        for name, found in self.rounds.items():
            rates = [one.settled for one in found]
            executed, processor = (statistics.median(values) for values in zip(*_pairs(found), strict=True))
            spread = f"{min(rates):.0f}-{max(rates):.0f}"
            median = f"{statistics.median(rates):.0f}"
            rows.append([name, median, spread, f"{executed:.0f}", f"{processor:.2f}", str(len(found))])
        table(head, rows)


def peers(name: str) -> Path | None:
    """The scripts of an environment with the peers of `requirements/NAME.txt`, made when it is missing or old.

    None, with pip's own words on stderr, when it cannot be made: then the goals against these peers fail.
    """
    wanted, home = ROOT / "requirements" / f"{name}.txt", ROOT / ".bench" / name
    stamp = home / "installed"
    if not stamp.exists() or stamp.read_text() != wanted.read_text():
        sys.stderr.write(f"installing {wanted.name} into {home.relative_to(ROOT)} ...\n")
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        if subprocess.run([*pip, "-r", str(wanted)], check=False).returncode:
            return None
        stamp.write_text(wanted.read_text())
    return home / "bin"


def drain(side: Side) -> Drained:
    """Fill, start one worker, and time it from its first job."""
    side.prepare()
    with tempfile.TemporaryDirectory() as folder:
        ran, log = Path(folder, "ran"), Path(folder, "log")
        ran.touch()
        environment = os.environ | dict(side.environment) | {"RAN": str(ran), "PYTHONPATH": str(HERE)}
        with log.open("wb") as output:
            try:
                subprocess.run(side.fill, env=environment, cwd=HERE, stderr=output, check=True)
                with _worker(side.work, environment, output) as worker:
                    return _timed(side, worker, ran)
            except (AssertionError, subprocess.CalledProcessError) as error:
                raise SystemExit(f"{side.name}: {error}\n{log.read_text('utf-8', 'replace')[-2000:]}") from None


def _timed(side: Side, worker: psutil.Process, ran: Path) -> Drained:
    until(lambda: ran.stat().st_size, "the first job")
    began, used = time.monotonic(), _processor(worker)
    until(lambda: ran.stat().st_size >= side.jobs, f"{side.jobs} executed jobs", WITHIN)
    executed = time.monotonic()
    until(lambda: not side.left(), "all jobs settled", WITHIN)
    settled = time.monotonic()
    per_ten_thousand = (_processor(worker) - used) / side.jobs * 10_000
    return Drained(side.jobs / (executed - began), side.jobs / (settled - began), per_ten_thousand)


@contextmanager
def _worker(argv: Sequence[str], environment: Mapping[str, str], output: IO[bytes]) -> Iterator[psutil.Process]:
    process = subprocess.Popen(argv, env=environment, cwd=HERE, stdout=output, stderr=output)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _processor(worker: psutil.Process) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in [worker, *worker.children(recursive=True)])


def _pairs(found: Sequence[Drained]) -> list[tuple[float, float]]:
    return [(one.executed, one.processor) for one in found]


def _number(url: str, query: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def postgres_sides(server: Postgres) -> list[Side]:
    """Towline and its peers on Postgres, each in a database of its own."""
    scripts = peers("bench")
    python = "" if scripts is None else str(scripts / "python")
    url = server.url_of("sides")

    def fresh() -> None:
        server.drop("sides")
        asyncio.run(migrate(server.create("sides")))

    def side(name: str, script: str, query: str, jobs: int) -> Side:
        command = (python, "-m", f"job_sides.{script}")
        environment = {"DATABASE_URL": url}
        left = lambda: _number(url, query)  # noqa: E731
        return Side(name, (*command, "fill", str(jobs)), (*command, "work"), environment, left, jobs, fresh)

    ours = _ours("towline on Postgres", url, "postgres:", "none", fresh)
    if not python:
        return [ours]
    return [
        ours,
        side("pgqueuer 1.6.0", "with_pgqueuer", "select count(*) from pgqueuer", 30_000),
        side(
            "procrastinate 3.10.0",
            "with_procrastinate",
            "select count(*) from procrastinate_jobs where status <> 'succeeded'",
            5_000,
        ),
    ]


def redis_sides(server: Postgres, broker: Valkey) -> list[Side]:
    """Towline with its doorbell on Redis, and peers there; everything is flushed before each round."""
    scripts = peers("bench-redis")
    url, address = server.url_of("sides"), {"REDIS_URL": broker.url}
    client = redis.Redis.from_url(broker.url)

    def fresh() -> None:
        client.flushall()
        server.drop("sides")
        asyncio.run(migrate(server.create("sides")))

    def unacknowledged() -> int:
        return int(client.llen("celery")) + int(client.hlen("unacked"))

    ours = _ours("towline on Redis", url, broker.url, "relay", fresh)
    if scripts is None:
        return [ours]
    bullmq, celery = (str(scripts / "python"), "-m", "job_sides.with_bullmq"), "job_sides.with_celery"
    fill = (str(scripts / "python"), "-m", celery, "fill", "5000")
    work = (str(scripts / "celery"), "-A", celery, "worker", *CELERY.split())
    completed = lambda: 10_000 - int(client.zcard("bull:noop:completed"))  # noqa: E731
    return [
        ours,
        Side("bullmq 3.4.4 (Python)", (*bullmq, "fill", "10000"), (*bullmq, "work"), address, completed, 10_000, fresh),
        Side("celery 5.7.0", fill, work, address, unacknowledged, 5_000, fresh),
    ]


def _ours(name: str, url: str, doorbell: str, beside: str, fresh: Callable[[], None]) -> Side:
    jobs = 100_000
    command = ("-m", "towline_runtime", "worker", "job_sides.ours:jobs", "--concurrency", "50", "--with", beside)
    return Side(
        name,
        (sys.executable, "-m", "job_sides.ours", str(jobs)),
        (sys.executable, *command),
        {"DATABASE_URL": url, "DOORBELL_URL": doorbell, "LOG_LEVEL": "error"},
        lambda: _number(url, "select count(*) from towline.job where state <> 'done'"),
        jobs,
        fresh,
    )


@dataclass(frozen=True)
class Accepted:
    """Transactions a second, and the milliseconds that 50 and 99 of 100 took at most."""

    rate: float
    median: float
    p99: float


async def accept(url: str) -> Accepted:
    """Accept work over all connections at once."""
    os.environ.setdefault("RAN", os.devnull)
    from job_sides.ours import noop

    left, took = iter(range(ACCEPTED)), list[float]()

    async def one(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        for number in left:
            began = time.perf_counter()
            async with connection.transaction():
                await connection.execute("insert into card (text) values ($1)", f"card {number}")
                await connection.fetchrow(*noop.enqueue().asyncpg())
            took.append(time.perf_counter() - began)

    connections = [await asyncpg.connect(url) for _ in range(CONNECTIONS)]
    await connections[0].execute("create table card (id bigint generated always as identity primary key, text text)")
    started = time.perf_counter()
    await asyncio.gather(*[one(connection) for connection in connections])
    seconds = time.perf_counter() - started
    rows = await connections[0].fetchval("select count(*) from towline.outbox")
    assert rows == ACCEPTED, "every accepted job has its outbox row"
    await asyncio.gather(*[connection.close() for connection in connections])
    took.sort()
    return Accepted(ACCEPTED / seconds, statistics.median(took) * 1e3, took[int(0.99 * len(took))] * 1e3)


def accepting(server: Postgres) -> list[Accepted]:
    """Some rounds, each in a new database."""
    found = []
    for _ in range(ROUNDS):
        server.drop("accept")
        url = server.create("accept")
        asyncio.run(migrate(url))
        found.append(uvloop.run(accept(url)))
    return found


def main() -> int:
    """Measure every side in turn, round by round."""
    goals, figures = Goals("jobs"), Figures()
    with (
        tempfile.TemporaryDirectory() as folder,
        DurablePostgres(Path(folder, "postgres")) as server,
        Valkey(Path(folder, "valkey")) as broker,
    ):
        machine(postgres="18 (fsync on)", valkey="9 (append-only)", asyncpg=asyncpg.__version__)
        accepted = accepting(server)
        sides = [*postgres_sides(server), *redis_sides(server, broker)]
        for _ in range(ROUNDS):
            for side in sides:
                figures.rounds.setdefault(side.name, []).append(drain(side))
    figures.show()
    rows = [[f"{one.rate:.0f}", f"{one.median:.1f}", f"{one.p99:.1f}"] for one in accepted]
    table(["accepted/s", "p50 ms", "p99 ms"], rows)
    _judge(goals, figures, accepted)
    return goals.close()


def _judge(goals: Goals, figures: Figures, accepted: Sequence[Accepted]) -> None:
    goals.at_least("postgres", figures.settled("towline on Postgres"), "/s", 20_000)
    goals.at_least("postgres_over_pgqueuer", figures.over("towline on Postgres", "pgqueuer 1.6.0"), "x", 1)
    goals.at_least("redis", figures.settled("towline on Redis"), "/s", 10_000)
    for peer in ("bullmq 3.4.4 (Python)", "celery 5.7.0", "procrastinate 3.10.0"):
        goals.at_least(f"redis_over_{peer.split()[0]}", figures.over("towline on Redis", peer), "x", 1)
    goals.at_least("accept", statistics.median(one.rate for one in accepted), "/s", 4_000)
    goals.at_most("accept_p99", statistics.median(one.p99 for one in accepted), "ms", 10)


if __name__ == "__main__":
    sys.exit(main())
