"""The cards table: every statement of the app, each guarded so that doing it twice changes nothing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

COLUMNS = "id, greeting, state, photo_key, card_key, error, request_id, attempts, created_at"
MAX_ATTEMPTS = 5

INSERT = """
    insert into cards (id, greeting, state, photo_key, request_id, lease_until)
    values (%s, %s, 'queued', %s, %s, now() + make_interval(secs => %s))
"""
CLAIM = f"""
    update cards set state = 'working', attempts = attempts + 1, lease_until = now() + make_interval(secs => %s)
    where id = %s and state = 'queued'
    returning {COLUMNS}
"""  # noqa: S608  # a constant, no input
FINISH = """
    update cards set state = 'done', card_key = %s, finished_at = now()
    where id = %s and state = 'working' and attempts = %s
"""
FAIL = """
    update cards set state = 'failed', error = %s, finished_at = now()
    where id = %s and state = 'working' and attempts = %s
"""
RELEASE = """
    update cards set state = 'queued', attempts = attempts - 1
    where id = %s and state = 'working' and attempts = %s
"""
RECLAIM = f"""
    update cards set
        state = case when attempts >= {MAX_ATTEMPTS} then 'failed' else 'queued' end,
        error = case when attempts >= {MAX_ATTEMPTS}
                then 'The postcard could not be made after {MAX_ATTEMPTS} attempts.' end,
        lease_until = now() + make_interval(secs => %s)
    where id in (
        select id from cards where state in ('queued', 'working') and lease_until < now()
        order by lease_until limit 100 for update skip locked
    )
    returning {COLUMNS}
"""  # noqa: S608  # a constant, no input


@dataclass(frozen=True)
class Card:
    """One row: a postcard that is wanted, being made, made or failed."""

    id: UUID
    greeting: str
    state: str
    photo_key: str
    card_key: str | None
    error: str | None
    request_id: str
    attempts: int
    created_at: datetime

    @property
    def settled(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in {"done", "failed"}


class Cards:
    """The table, through a pool of connections."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], lease_seconds: int) -> None:
        self.pool = pool
        self.lease_seconds = lease_seconds

    async def ping(self) -> None:
        """Prove that the database answers and the table is there."""
        await self._write("select 1 from cards limit 1", ())

    async def insert(self, card_id: UUID, greeting: str, photo_key: str, request_id: str) -> None:
        """Record a wanted card before anyone is told of it."""
        await self._write(INSERT, (card_id, greeting, photo_key, request_id, self.lease_seconds))

    async def find(self, card_id: UUID) -> Card | None:
        """Read one card."""
        rows = await self._read(f"select {COLUMNS} from cards where id = %s", (card_id,))  # noqa: S608
        return rows[0] if rows else None

    async def latest(self, count: int) -> list[Card]:
        """Read the newest cards, newest first."""
        return await self._read(f"select {COLUMNS} from cards order by created_at desc limit %s", (count,))  # noqa: S608

    async def claim(self, card_id: UUID) -> Card | None:
        """Take a queued card for one lease; None when someone else has it or it is settled."""
        rows = await self._read(CLAIM, (self.lease_seconds, card_id))
        return rows[0] if rows else None

    async def finish(self, card: Card, card_key: str) -> bool:
        """Mark a claimed card done; False when the claim was lost meanwhile."""
        return await self._write(FINISH, (card_key, card.id, card.attempts)) == 1

    async def fail(self, card: Card, error: str) -> bool:
        """Mark a claimed card failed for good; False when the claim was lost meanwhile."""
        return await self._write(FAIL, (error, card.id, card.attempts)) == 1

    async def release(self, card: Card) -> None:
        """Give a claimed card back without counting the attempt; it is due again when its lease runs out."""
        await self._write(RELEASE, (card.id, card.attempts))

    async def reclaim(self) -> list[Card]:
        """Take back cards whose lease ran out: queued again, or failed after the last attempt."""
        return await self._read(RECLAIM, (self.lease_seconds,))

    async def settled(self, card_ids: Sequence[UUID]) -> list[Card]:
        """Read those of the given cards that are done or failed."""
        query = f"select {COLUMNS} from cards where id = any(%s) and state in ('done', 'failed')"  # noqa: S608
        return await self._read(query, (list(card_ids),))

    async def _read(self, query: str, values: Sequence[object]) -> list[Card]:
        async with self.pool.connection() as connection:
            cursor: AsyncCursor[Card] = connection.cursor(row_factory=class_row(Card))
            await cursor.execute(query.encode(), values)
            return await cursor.fetchall()

    async def _write(self, query: str, values: Sequence[object]) -> int:
        async with self.pool.connection() as connection:
            return (await connection.execute(query.encode(), values)).rowcount


@asynccontextmanager
async def open_cards(url: str, *, connections: int, lease_seconds: int) -> AsyncIterator[Cards]:
    """Open the pool without waiting for the database, so that the process can start before it."""
    pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
        url,
        min_size=1,
        max_size=connections,
        timeout=5,
        open=False,
        # A connection may have died with the database; asking first turns a restart into a short wait.
        check=AsyncConnectionPool.check_connection,
        # No prepared statements: they do not survive a transaction pooler in between.
        kwargs={"autocommit": True, "prepare_threshold": None, "connect_timeout": 5},
    )
    await pool.open(wait=False)
    try:
        yield Cards(pool, lease_seconds)
    finally:
        await pool.close(timeout=2)
