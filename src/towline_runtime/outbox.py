"""Adding a job in the caller's own transaction, by one statement for any Postgres library; and a nudge afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from towline_runtime.database import AWAY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from towline_runtime.database import Database

log = logging.getLogger(__name__)

CHANNEL = "towline"

# A doubled key changes nothing (`key = key`), but then the row is given back, whichever transaction committed first.
_ONE = """
with job as (
    insert into towline.job (kind, version, queue, priority, payload, key, lane, correlation_id, max_attempts, run_at)
    values ({kind}, {version}, {queue}, {priority}, cast({payload} as jsonb), {key}, {lane}, {correlation_id},
            {attempts}, now() + make_interval(secs => cast({delay} as float8)))
    on conflict (kind, key) where key is not null do update set key = excluded.key
    returning id, queue, lane, xmax = 0 as added
), rung as (
    insert into towline.outbox (job_id, queue, lane, due)
    select id, queue, lane, case when cast({delay} as float8) > 0
                                 then now() + make_interval(secs => cast({delay} as float8))
                                 else timestamptz '-infinity' end
    from job
    where added and not exists (select from towline.queue q where q.name = job.queue and q.doorbell = 'postgres')
)
select id, added from job
"""

_MANY = """
with given as (
    select * from unnest(
        cast({kind} as text[]), cast({version} as int[]), cast({queue} as text[]), cast({priority} as int[]),
        cast({payload} as text[]), cast({key} as text[]), cast({lane} as text[]), cast({correlation_id} as text[]),
        cast({attempts} as int[]), cast({delay} as float8[])
    ) with ordinality g(kind, version, queue, priority, payload, key, lane, correlation_id, attempts, delay, nr)
), job as (
    insert into towline.job (kind, version, queue, priority, payload, key, lane, correlation_id, max_attempts, run_at)
    select kind, version, queue, priority, payload::jsonb, key, lane, correlation_id, attempts,
           now() + make_interval(secs => delay)
    from given order by nr
    on conflict (kind, key) where key is not null do nothing
    returning id, queue, lane, run_at
), rung as (
    insert into towline.outbox (job_id, queue, lane, due)
    select id, queue, lane, case when run_at > now() then run_at else timestamptz '-infinity' end
    from job
    where not exists (select from towline.queue q where q.name = job.queue and q.doorbell = 'postgres')
    order by id
)
select id, true as added from job
"""


@dataclass(frozen=True)
class Statement:
    """SQL with `{name}` marks and the values of the marks, in the dialect of whichever library the caller has."""

    template: str
    values: dict[str, Any]

    def asyncpg(self) -> tuple[Any, ...]:
        """`await connection.fetch(*statement.asyncpg())`."""
        sql, names = _numbered(self.template)
        return (sql, *(self.values[name] for name in names))

    def psycopg(self) -> tuple[str, dict[str, Any]]:
        """`cursor.execute(*statement.psycopg())`, sync or async."""
        return _marked(self.template, "%({})s"), self.values

    def sqlalchemy(self) -> tuple[Any, dict[str, Any]]:
        """`session.execute(*statement.sqlalchemy())`, sync or async, over either driver."""
        from sqlalchemy import text

        return text(_marked(self.template, ":{}")), self.values


@dataclass(frozen=True)
class Enqueue:
    """One job to add. Executed, its statement gives one row: `id`, and `added` (false when the key was there)."""

    kind: str
    version: int
    queue: str
    priority: int
    payload: str
    key: str | None
    lane: str | None
    correlation_id: str | None
    attempts: int
    delay: float

    @property
    def statement(self) -> Statement:
        """The statement that adds it, and its outbox row where the queue's doorbell needs one."""
        return Statement(_ONE, dict(self.__dict__))

    def asyncpg(self) -> tuple[Any, ...]:
        """`row = await connection.fetchrow(*thumbnail.enqueue(photo).asyncpg())`."""
        return self.statement.asyncpg()

    def psycopg(self) -> tuple[str, dict[str, Any]]:
        """`row = cursor.execute(*thumbnail.enqueue(photo).psycopg()).fetchone()`."""
        return self.statement.psycopg()

    def sqlalchemy(self) -> tuple[Any, dict[str, Any]]:
        """`row = session.execute(*thumbnail.enqueue(photo).sqlalchemy()).one()`."""
        return self.statement.sqlalchemy()


def enqueue_many(jobs: Sequence[Enqueue]) -> Statement:
    """One statement that adds many jobs; rows come for those added, in order, none for keys that were there."""
    columns: dict[str, list[Any]] = {
        name: [getattr(job, name) for job in jobs] for name in Enqueue.__dataclass_fields__
    }
    columns["delay"] = [float(delay) for delay in columns["delay"]]  # psycopg takes no list of two types
    return Statement(_MANY, dict(columns))


class Nudge:
    """Wakes workers and relays after a commit, so that they need not wait for their next look.

    It sends `pg_notify` on a connection of its own, never inside the caller's transaction, where it would take a lock
    that all commits of the server share. Calls that come while one is under way are answered by a single next one.
    A nudge may get lost; looking in the database stays the truth.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wanted: set[str] = set()
        self._sending: asyncio.Task[None] | None = None

    def __call__(self, queue: str = "default") -> None:
        """Call it after the commit; returns at once."""
        self._wanted.add(queue)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._sending is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._sending

    async def _send(self) -> None:
        while self._wanted:
            queues, self._wanted = sorted(self._wanted), set()
            try:
                async with self._database.connection() as connection:
                    await connection.execute("select pg_notify($1, q) from unnest($2::text[]) q", CHANNEL, queues)
            except AWAY as error:
                log.debug("nudge lost", extra={"error": type(error).__name__})


@cache
def _numbered(template: str) -> tuple[str, tuple[str, ...]]:
    names = tuple(dict.fromkeys(re.findall(r"\{(\w+)\}", template)))
    numbers: Callable[[re.Match[str]], str] = lambda mark: f"${names.index(mark[1]) + 1}"  # noqa: E731
    return re.sub(r"\{(\w+)\}", numbers, template), names


@cache
def _marked(template: str, mark: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: mark.format(found[1]), template)
