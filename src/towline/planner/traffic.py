"""A month's traffic between the parts of an app, and what a doorbell asks for while nothing is to be done. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from towline.planner.usage import MONTH_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.planner.purchase import Intake
    from towline.planner.usage import Usage
    from towline.spec.model import App, Service, Store

USERS = "users"
"""The end of a flow that is the browsers."""

OTHERS = "others"
"""The end of a flow that is services of other people."""

COMMAND = Decimal("0.0000002")
"""GB of a command to Redis or of an idle look, each way: some 100 bytes, and as much of TCP and TLS around it."""


@dataclass(frozen=True)
class Flow:
    """Data that goes one way in a month, in GB."""

    start: str
    end: str
    gb: Decimal
    what: str


@dataclass(frozen=True)
class Doorbell:
    """How workers learn of jobs: asks in a second while idle, and asks of one job, of which kind.

    `idle` is asked by each copy of a worker, `shared` once for all of them (by the one sweeper that is active).
    `looks` says that each copy also looks every `jobs.look`.
    """

    name: str
    idle: Decimal
    shared: Decimal
    per_job: Decimal
    asks: str
    looks: bool = False


_SWEEPS = 1 + Decimal(1) / 10 + Decimal(4) / 60
"""Statements of a sweeper in a second: leases each second, the outbox each 10 s, four chores each minute."""

DOORBELLS: dict[str, Doorbell] = {
    "postgres": Doorbell("postgres", Decimal(1) / 3, _SWEEPS, Decimal(17), "statements", looks=True),
    "redis": Doorbell("redis", Decimal(1) / 5, Decimal(6) / 60, Decimal(10), "commands"),
    "bullmq": Doorbell("bullmq", Decimal(2) / 5 + Decimal(1) / 30, Decimal(0), Decimal(7), "commands"),
    "sqs": Doorbell("sqs", Decimal(1) / 20, Decimal(0), Decimal(3), "requests"),
}
"""While idle. `redis`: one blocking read each 5 s, and six commands a minute that tidy the streams. `sqs`: one long
poll each 20 s. `postgres`: a look each `jobs.look`, the sweeper's lease three times in 10 s, a sign of life each 30 s.
`bullmq`: the blocking read each 5 s with a script after it, and a script that checks for stalled jobs each 30 s; what
its scripts call is not counted (on paid plans Upstash does not either). What a job asks is that of one that comes
alone: `redis` and `postgres` look more often after each. `make bench BENCH=idle-commands` measures all of this."""

RELAYED = frozenset({"redis", "sqs"})
"""Doorbells of ours beside which a relay and a sweeper ask the database."""

_UPKEEP_EACH, _UPKEEP = Decimal(6) / 10, _SWEEPS + Decimal(2) / 3 + Decimal(1) / 30
"""Statements in a second: two leases of each copy three times in 10 s; of the active ones the sweeps, twice each 3 s
whether a ring was lost, and a sign of life each 30 s. The relay's looks come besides."""


@dataclass(frozen=True)
class Parts:
    """The parts of an app by what they do; the first of each kind takes the load."""

    web: str | None
    static: str | None
    worker: str | None
    workers: tuple[Service, ...]
    privates: tuple[str, ...]
    database: str | None
    queue: Store | None
    redis: tuple[str, ...]
    bucket: str | None


def parts_of(app: App, usage: Usage) -> Parts:
    """Who does what in `app`."""
    workers = tuple(one for one in app.services if one.kind == "worker")
    many = next((one.name for one in workers if not one.single), workers[0].name if workers else None)
    reds = [one for one in app.stores if one.kind == "redis"]
    queues = [one for one in app.stores if one.kind == "sqs"] + [one for one in reds if one.use == "queue"]
    return Parts(
        web=next((one.name for one in app.services if one.kind == "web"), None),
        static=next((one.name for one in app.services if one.kind == "static"), None),
        worker=usage.jobs.worker or many,
        workers=workers,
        privates=tuple(one.name for one in app.services if one.kind == "private"),
        database=next((one.name for one in app.stores if one.kind == "postgres"), None),
        queue=queues[0] if queues else None,
        redis=tuple(one.name for one in reds),
        bucket=next((one.name for one in app.stores if one.kind == "bucket"), None),
    )


def doorbell_of(parts: Parts, usage: Usage) -> Doorbell:
    """The doorbell of the app: as the usage says, else what its queue is."""
    kind = usage.jobs.doorbell
    if kind == "auto":
        kind = parts.queue.kind if parts.queue is not None else "postgres"
    return doorbell(kind, usage.jobs.look)


def doorbell(kind: str, look: Decimal) -> Doorbell:
    """The doorbell of that name for workers that look each so many seconds."""
    found = DOORBELLS[kind]
    return replace(found, idle=found.idle + 1 / look) if found.looks and look else found


def idle_asks(bell: Doorbell, copies: int) -> Decimal:
    """What so many copies of a worker ask in a month without any job."""
    return (bell.idle * copies + bell.shared) * MONTH_SECONDS


def upkeep(bell: Doorbell, copies: int) -> Decimal:
    """Statements of a month with which so many copies keep a queue beside the database, without the relay's looks."""
    return (_UPKEEP_EACH * copies + _UPKEEP) * MONTH_SECONDS if bell.name in RELAYED else Decimal(0)


def flows(app: App, usage: Usage, intake: Intake) -> tuple[Flow, ...]:
    """Every flow of a month, in the order of the way of a request and then of a job; without empty ones."""
    parts = parts_of(app, usage)
    found = [*_of_pages(parts, usage), *_of_requests(parts, usage)]
    if parts.worker is not None:
        found += [*_of_files(parts, usage), *_of_queue(parts, usage, intake), *_of_work(parts, usage)]
    return tuple(one for one in found if one.gb > 0)


def _of_pages(parts: Parts, usage: Usage) -> Iterator[Flow]:
    source = parts.static or parts.web
    if source is not None:
        yield Flow(source, USERS, usage.pages_a_month * usage.pages.size, "pages")


def _of_requests(parts: Parts, usage: Usage) -> Iterator[Flow]:
    if parts.web is None:
        return
    month, each = usage.requests_a_month, usage.requests
    yield Flow(USERS, parts.web, month * each.size_in, "requests")
    yield Flow(parts.web, USERS, month * each.size_out, "answers")
    for private in parts.privates:
        yield Flow(parts.web, private, month * each.size_in, "internal requests")
        yield Flow(private, parts.web, month * each.size_out, "internal answers")
    if parts.database is not None:
        statements = month * each.statements
        yield Flow(parts.web, parts.database, statements * usage.query, "statements of requests")
        yield Flow(parts.database, parts.web, statements * usage.reply, "replies to requests")
    for redis in parts.redis[:1]:
        yield Flow(parts.web, redis, month * each.commands * COMMAND, "commands of requests")
        yield Flow(redis, parts.web, month * each.commands * COMMAND, "answers to commands")


def _of_files(parts: Parts, usage: Usage) -> Iterator[Flow]:
    month, each, worker = usage.jobs_a_month, usage.jobs, str(parts.worker)
    keeper = parts.bucket or parts.web
    if parts.web is not None:
        yield Flow(USERS, parts.web, month * each.size_in, "uploads")
    if parts.web is not None and parts.bucket is not None:
        yield Flow(parts.web, parts.bucket, month * each.size_in, "uploads to the bucket")
    if keeper is not None:
        yield Flow(keeper, worker, month * each.size_in, "inputs of jobs")
        yield Flow(worker, keeper, month * each.size_out, "results of jobs")
        yield Flow(keeper, USERS, month * each.size_out * each.views, "results to browsers")
    yield Flow(worker, OTHERS, month * each.outside, "requests to others")


def _of_queue(parts: Parts, usage: Usage, intake: Intake) -> Iterator[Flow]:
    month, worker, web, database = usage.jobs_a_month, str(parts.worker), parts.web, parts.database
    queue = parts.queue.name if parts.queue is not None else database
    size = month * usage.jobs.message
    if intake == "outbox" and database is not None and parts.queue is not None:
        # The relay stands beside the queue, and asks the database whether there is something to carry.
        looks = MONTH_SECONDS / usage.jobs.look if usage.jobs.look else Decimal(0)
        yield Flow(queue or worker, database, looks * COMMAND, "looks of the relay")
        yield Flow(database, queue or worker, looks * COMMAND + size, "answers to the relay")
    elif queue is not None and web is not None:
        yield Flow(web, queue, size, "jobs to the queue")
    if queue is not None:
        asks = idle_asks(doorbell_of(parts, usage), 1) * COMMAND
        yield Flow(queue, worker, size + asks, "jobs to workers")
        yield Flow(worker, queue, asks, "asks of workers")


def _of_work(parts: Parts, usage: Usage) -> Iterator[Flow]:
    if parts.database is not None:
        statements = usage.jobs_a_month * usage.jobs.statements
        yield Flow(str(parts.worker), parts.database, statements * usage.query, "statements of jobs")
        yield Flow(parts.database, str(parts.worker), statements * usage.reply, "replies to jobs")
        kept = upkeep(doorbell_of(parts, usage), 1) * COMMAND
        yield Flow(str(parts.worker), parts.database, kept, "upkeep of the queue")
        yield Flow(parts.database, str(parts.worker), kept, "answers to the upkeep")
