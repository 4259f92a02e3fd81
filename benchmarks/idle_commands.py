"""What a worker with nothing to do asks of its doorbell in a month, measured, against what the planner says.

Every doorbell of ours with one and with two copies of the worker (relay and sweeper inside, as they come), and BullMQ's
own workers in Node and in Python as peers, each with servers of its own, side by side for one bounded window. Commands
are read off Valkey's MONITOR, statements off Postgres's log, requests off the log of the SQS server (moto). What comes
in bursts each 30 or 60 s is counted from burst to burst, so that the window's ends change nothing. A month has 730 h.

Upstash charges each command that a script calls, but for BullMQ on its paid plans only the script: both counts are
shown, and the planner is judged by what is sent. Then some jobs, one after the other, say what each asks for besides.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import psycopg

from ears import Ear, Overheard, Talkative, posted
from figures import Goals, machine, table
from jobs import HERE, ROOT, peers
from towline.catalog.pricing import price
from towline.catalog.read import read_catalog
from towline.planner.traffic import RELAYED, doorbell, idle_asks, upkeep

sys.path.append(str(ROOT))

from tests.lab.bullmq_programs import node_worker
from tests.real_servers import PASSWORD, Server, Sqs, Valkey

from towline_runtime.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WARM, WINDOW = 45.0, 125.0
"""Seconds that everything may take to come to rest, and that are counted: two rounds of what comes each minute."""

JOBS, DRIPPED, REST = 40, 30.0, 4.0
"""Jobs that are added one by one, the seconds of that, and those of them in which the last come to their end."""

MONTH = 730 * 3600
LOOK = Decimal("0.1")
"""Seconds between two looks of an idle worker, unless it is told otherwise."""

WITHIN = 10.0
"""Per cent of the measured by which the planner may be off."""

SLEEPS = 300.0
"""Seconds without a statement after which a serverless Postgres goes to sleep (Neon's rule in the catalogue)."""

AWAKE = Decimal("0.25") * 730
"""CU-hours of the smallest compute that never sleeps in a month."""


@dataclass(frozen=True)
class Side:
    """One doorbell of ours with so many copies of its worker."""

    bell: str
    copies: int

    @property
    def name(self) -> str:
        """Its database, its log and its row."""
        return f"{self.bell}_{self.copies}"


SIDES = tuple(Side(bell, copies) for bell in ("postgres", "redis", "sqs") for copies in (1, 2))
NODE, PYTHON = "bullmq_node", "bullmq_python"


@dataclass
class Stage:
    """The servers and workers of this run; all end with `started`."""

    folder: Path
    started: ExitStack
    database: Talkative
    servers: dict[str, Server] = field(default_factory=dict)

    def server(self, name: str, kind: type[Server]) -> Server:
        """A server of its own."""
        self.servers[name] = self.started.enter_context(kind(self.folder / f"server-{name}"))
        return self.servers[name]

    def program(self, name: str, argv: list[str], environment: Mapping[str, str]) -> None:
        """A process that is killed at the end."""
        output = self.started.enter_context((self.folder / f"{name}.log").open("ab"))
        process = subprocess.Popen(argv, cwd=HERE, env=os.environ | dict(environment), stdout=output, stderr=output)
        self.started.callback(process.wait, 30)
        self.started.callback(process.kill)

    def ours(self, side: Side) -> None:
        """The copies of our worker, with a database and a doorbell of their own."""
        url = self.database.create(side.name)
        asyncio.run(migrate(url))
        bell = {"LOG_LEVEL": "error", "RAN": os.devnull, "DATABASE_URL": url, "DOORBELL_URL": "postgres:"}
        if side.bell == "redis":
            bell["DOORBELL_URL"] = _url(self.server(side.name, Valkey))
        if side.bell == "sqs":
            bell |= _queue(_url(self.server(side.name, Sqs)))
        argv = [sys.executable, "-m", "towline_runtime", "worker", "job_sides.ours:jobs", "--concurrency", "5"]
        for _ in range(side.copies):
            self.program(side.name, argv, bell)

    def peers(self) -> None:
        """BullMQ's workers in Node and in Python, each with a Valkey of its own."""
        node = _url(self.server(NODE, Valkey))
        self.started.enter_context(node_worker(node, "noop", self.folder / "node.log"))
        scripts, python = peers("bench-redis"), _url(self.server(PYTHON, Valkey))
        if scripts is not None:
            argv = [str(scripts / "python"), "-m", "job_sides.with_bullmq", "work"]
            self.program(PYTHON, argv, {"REDIS_URL": python, "RAN": os.devnull})


def _url(server: Server) -> str:
    assert isinstance(server, Valkey | Sqs)
    return server.url


def _queue(endpoint: str) -> dict[str, str]:
    """A queue at an SQS server, and how a worker finds it."""
    client = boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="bench",
        aws_secret_access_key=PASSWORD,
    )
    client.create_queue(QueueName="bench-default")
    own = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": PASSWORD}
    return {**own, "DOORBELL_URL": f"sqs://eu-central-1/bench-?endpoint={endpoint}"}


@dataclass(frozen=True)
class Heard:
    """What was asked in the window: of each doorbell, and of each database."""

    bells: dict[str, Ear]
    databases: dict[str, Ear]


def listen(stage: Stage, seconds: float, meanwhile: Callable[[float], None]) -> Heard:
    """Give what was heard in so many seconds, in which `meanwhile` does what it does."""
    since = datetime.now(UTC)
    listening = [Overheard(one, name, seconds) for name, one in stage.servers.items() if isinstance(one, Valkey)]
    for one in listening:
        one.start()
    meanwhile(seconds)
    for one in listening:
        one.end()
    databases = {ear.name: ear for ear in stage.database.ears((side.name for side in SIDES), since, seconds)}
    bells = {one.ear.name: one.ear for one in listening}
    bells |= {name: posted(one, name, since, seconds) for name, one in stage.servers.items() if isinstance(one, Sqs)}
    bells |= {side.name: databases[side.name] for side in SIDES if side.bell == "postgres"}
    return Heard(bells, databases)


def drip(stage: Stage) -> Callable[[float], None]:
    """Add jobs to each side that has one copy and to the Node worker, one after the other, evenly over the seconds."""
    os.environ.setdefault("RAN", os.devnull)
    from job_sides.ours import noop

    def add(seconds: float) -> None:
        scripts = peers("bench-redis")
        if scripts is not None:
            argv = [str(scripts / "python"), "-m", "job_sides.with_bullmq", "drip", str(JOBS)]
            where = {"REDIS_URL": _url(stage.servers[NODE]), "SECONDS": str(seconds - REST), "RAN": os.devnull}
            stage.program("drip", argv, where)
        urls = [stage.database.url_of(side.name) for side in SIDES if side.copies == 1]
        with ExitStack() as open_ones:
            clients = [open_ones.enter_context(psycopg.connect(url, autocommit=True)) for url in urls]
            for _ in range(JOBS):
                for one in clients:
                    one.execute(*noop.enqueue().psycopg())
                time.sleep((seconds - REST) / JOBS)
        time.sleep(REST)

    return add


def judge(goals: Goals, heard: Heard) -> list[tuple[str, ...]]:
    """A row a doorbell: measured, planned, and what the measured costs."""
    wanted = [(side.name, side.bell, side.copies) for side in SIDES]
    rows: list[tuple[str, ...]] = []
    for name, bell, copies in [*wanted, *((peer, "bullmq", 1) for peer in (NODE, PYTHON))]:
        ear, known = heard.bells[name], doorbell(bell, LOOK)
        sent, every = ear.rate(inside=False) * MONTH, ear.rate(inside=True) * MONTH
        said = float(idle_asks(known, copies))
        off = 100 * (said - sent) / sent if sent else None
        # A peer in two languages: the planner's figure is that of the Node worker, which most apps run.
        if name != PYTHON:
            goals.at_most(f"{name}_planner_off", None if off is None else abs(off), "%", WITHIN)
        shown = "-" if off is None else f"{off:+.1f} %"
        rows.append((name, f"{sent:,.0f}", f"{every:,.0f}", f"{said:,.0f}", shown, known.asks, costs(bell, sent)))
    return rows


def costs(bell: str, asked: float) -> str:
    """What so many asks cost in a month at today's prices."""
    catalog = read_catalog()
    offer, meter = {
        "redis": ("upstash/redis/payg", "commands"),
        "bullmq": ("upstash/redis/payg", "commands"),
        "sqs": ("aws/sqs/standard", "requests"),
        "postgres": ("neon/plan/launch", "compute"),
    }[bell]
    amount = Decimal(round(asked)) if bell != "postgres" else AWAKE
    return f"{price(catalog.offer(offer), {meter: amount}).total} ({offer})"


def of_jobs(idle: Heard, busy: Heard) -> list[tuple[str, ...]]:
    """A row a doorbell: what one job asked for besides what is asked anyway."""
    rows: list[tuple[str, ...]] = []
    names = [(side.name, side.bell) for side in SIDES if side.copies == 1]
    for name, bell in [*names, (NODE, "bullmq")]:
        quiet, ear = idle.bells[name], busy.bells[name]
        counts = [len(ear.events), sum(not one.inside for one in ear.events)]
        every, sent = (
            (count - quiet.rate(inside=inside) * DRIPPED) / JOBS
            for count, inside in zip(counts, (True, False), strict=True)
        )
        rows.append((name, f"{sent:.1f}", f"{every:.1f}", str(doorbell(bell, LOOK).per_job)))
    return rows


def databases(goals: Goals, heard: Heard) -> list[tuple[str, ...]]:
    """A row a database: how often it is asked, how long it is left alone, and whether it could sleep meanwhile."""
    rows: list[tuple[str, ...]] = []
    for side in SIDES:
        ear, bell = heard.databases[side.name], doorbell(side.bell, LOOK)
        month, pause = ear.rate(inside=True) * MONTH, ear.pause
        said = float(idle_asks(bell, side.copies))
        if side.bell in RELAYED:
            said = float(MONTH / LOOK + upkeep(bell, side.copies))
        off = 100 * (said - month) / month if month else None
        goals.at_most(f"{side.name}_database_planner_off", None if off is None else abs(off), "%", WITHIN)
        shown = "-" if off is None else f"{off:+.1f} %"
        rows.append((side.name, f"{month:,.0f}", f"{said:,.0f}", shown, f"{pause:.2f} s", _sleeps(pause)))
    return rows


def _sleeps(pause: float) -> str:
    return "yes" if pause >= SLEEPS else "never"


def main() -> int:
    """Start everything, listen, compare."""
    goals = Goals("idle_commands")
    machine(postgres="18", valkey="9", sqs="moto")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as started:
        database = started.enter_context(Talkative(Path(folder, "postgres")))
        stage = Stage(Path(folder), started, database)
        for side in SIDES:
            stage.ours(side)
        stage.peers()
        time.sleep(WARM)
        idle = listen(stage, WINDOW, time.sleep)
        busy = listen(stage, DRIPPED, drip(stage))
    head = ("doorbell, copies", "sent a month", "with scripts' own", "planner", "off", "of what", "costs a month")
    table(head, judge(goals, idle))
    print()
    asked = ("database of", "statements a month", "planner", "off", "longest pause", "sleeps after 5 min")
    table(asked, databases(goals, idle))
    print()
    table(("doorbell", "a job asks for", "with scripts' own", "planner"), of_jobs(idle, busy))
    print()
    for name, ear in idle.bells.items():
        print(f"{name}: {', '.join(kinds(ear))}")
    return goals.close()


def kinds(ear: Ear) -> list[str]:
    """What was asked, most first, with how often in the window."""
    counted: dict[str, int] = {}
    for one in ear.events:
        what = f"{'in a script: ' if one.inside else ''}{one.what[:48]}"
        counted[what] = counted.get(what, 0) + 1
    return [f"{count} x {what}" for what, count in sorted(counted.items(), key=lambda one: -one[1])][:12]


if __name__ == "__main__":
    sys.exit(main())
