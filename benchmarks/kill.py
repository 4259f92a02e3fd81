"""A worker with 200 running jobs is killed, 30 times for each doorbell: how long until all of them run again.

The lease is 2 s. Relay and sweeper run as processes of their own, the next worker is there before the other is killed.
An effect is an INSERT into a table without any unique constraint, in the transaction of `job.finish()`: they are
counted. Nothing may be lost, and no effect may be there twice.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import boto3
import psycopg

from figures import Goals, machine, table
from jobs import ROOT, DurablePostgres
from pickup import role, starts, worker

sys.path.append(str(ROOT))

from tests.real_servers import Sqs, Valkey, until

from towline_runtime.migrations import migrate
from towline_runtime.outbox import enqueue_many

ROUNDS, RUNNING, LEASE = 30, 200, 2.0
WITHIN = LEASE + 2.0
"""Seconds by which all must be back."""


def fill(url: str) -> set[int]:
    """Enough jobs for one worker."""
    from job_sides.timed import hold

    with psycopg.connect(url) as connection:
        rows = connection.execute(*enqueue_many([hold.enqueue() for _ in range(RUNNING)]).psycopg())
        return {int(row[0]) for row in rows}


def rounds(url: str, doorbell: str, ran: Path) -> list[float]:
    """Seconds from each kill until the last job ran again."""
    took = list[float]()
    ran.touch()
    with ExitStack() as stack:
        environment = {"DATABASE_URL": url, "DOORBELL_URL": doorbell, "JOB_LEASE_SECONDS": str(LEASE)}
        for name in ("relay", "sweep"):
            stack.enter_context(role(name, environment))
        options = ("--concurrency", str(RUNNING), "--with", "none")
        old = stack.enter_context(worker(environment, ran, *options))
        for number in range(ROUNDS):
            wanted = fill(url)
            _until_begun(ran, wanted, 1, f"{RUNNING} running in round {number}")
            new = stack.enter_context(worker(environment, ran, *options))
            old.kill()
            killed = time.monotonic()
            _until_begun(ran, wanted, 2, f"all back in round {number}")
            took.append(max(at for job, attempt, at in starts(ran) if job in wanted and attempt == 2) - killed)
            _until_done(url, number)
            old.wait()
            old = new
    return took


def _until_begun(ran: Path, wanted: set[int], attempt: int, what: str) -> None:
    until(lambda: wanted <= _begun(ran, attempt), what)


def _until_done(url: str, number: int) -> None:
    until(lambda: not _open(url), f"all done in round {number}")


def _begun(ran: Path, attempt: int) -> set[int]:
    return {job for job, number, _ in starts(ran) if number == attempt}


def _ask(url: str, query: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    return 0 if row is None else int(row[0])


def _open(url: str) -> int:
    return _ask(url, "select count(*) from towline.job where state <> 'done'")


def effects(url: str) -> Counter[int]:
    """How many effects each job has left."""
    with psycopg.connect(url) as connection:
        return Counter(int(row[0]) for row in connection.execute("select job from effect"))


def main() -> int:
    """Every doorbell in turn."""
    goals, rows = Goals("kill"), []
    os.environ.setdefault("RAN", os.devnull)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = stack.enter_context(DurablePostgres(Path(folder, "postgres")))
        broker = stack.enter_context(Valkey(Path(folder, "valkey")))
        sqs = stack.enter_context(Sqs(Path(folder, "sqs")))
        os.environ |= {"AWS_ACCESS_KEY_ID": "here", "AWS_SECRET_ACCESS_KEY": "here"}
        machine(postgres="18 (fsync on)", valkey="9 (append-only)", asyncpg=asyncpg.__version__)
        boto3.client("sqs", region_name="eu-central-1", endpoint_url=sqs.url).create_queue(QueueName="kill-default")
        bells = {
            "postgres": "postgres:",
            "redis": broker.url,
            "sqs": f"sqs://eu-central-1/kill-?endpoint={sqs.url}",
        }
        for name, doorbell in bells.items():
            url = server.create(f"{name}_bell")
            asyncio.run(migrate(url))
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("create table effect (job bigint)")
            took, left = rounds(url, doorbell, Path(folder, f"{name}-ran")), effects(url)
            doubled = sum(count > 1 for count in left.values())
            lost = ROUNDS * RUNNING - len(left)
            spread = f"{min(took):.2f}-{max(took):.2f}"
            rows.append([name, str(ROUNDS), f"{statistics.median(took):.2f}", spread, str(lost), str(doubled)])
            goals.at_most(f"{name}_back", max(took), "s", WITHIN)
            goals.at_most(f"{name}_lost", lost, "jobs", 0)
            goals.at_most(f"{name}_doubled", doubled, "jobs", 0)
    table(["doorbell", "rounds", "back after s", "min-max", "lost", "effects doubled"], rows)
    return goals.close()


if __name__ == "__main__":
    sys.exit(main())
