"""The Postgres libraries that callers of the runtime have, each as: open a transaction, execute statements, leave."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from towline_runtime.outbox import Enqueue, Statement

    Execute = Callable[[Enqueue | Statement], Awaitable[list[tuple[int, bool]]]]


class Undo(Exception):
    """Raised in a transaction that is to be rolled back."""


@asynccontextmanager
async def with_asyncpg(url: str) -> AsyncIterator[Execute]:
    """asyncpg itself."""
    connection = await asyncpg.connect(url)

    async def execute(what: Enqueue | Statement) -> list[tuple[int, bool]]:
        return _pairs(await connection.fetch(*what.asyncpg()))

    try:
        async with connection.transaction():
            yield execute
    finally:
        await connection.close()


@asynccontextmanager
async def with_asyncpg_behind_a_pooler(url: str) -> AsyncIterator[Execute]:
    """asyncpg without prepared statements, as behind a transaction pooler."""
    connection = await asyncpg.connect(url, statement_cache_size=0)

    async def execute(what: Enqueue | Statement) -> list[tuple[int, bool]]:
        return _pairs(await connection.fetch(*what.asyncpg()))

    try:
        async with connection.transaction():
            yield execute
    finally:
        await connection.close()


@asynccontextmanager
async def with_psycopg(url: str) -> AsyncIterator[Execute]:
    """psycopg's plain connection."""
    with psycopg.connect(url) as connection:

        async def execute(what: Enqueue | Statement) -> list[tuple[int, bool]]:
            sql, values = what.psycopg()
            return _pairs(connection.execute(sql.encode(), values).fetchall())

        yield execute


@asynccontextmanager
async def with_psycopg_async(url: str) -> AsyncIterator[Execute]:
    """psycopg's asynchronous connection."""
    async with await psycopg.AsyncConnection.connect(url) as connection:

        async def execute(what: Enqueue | Statement) -> list[tuple[int, bool]]:
            sql, values = what.psycopg()
            return _pairs(await (await connection.execute(sql.encode(), values)).fetchall())

        yield execute


@asynccontextmanager
async def with_sqlalchemy(url: str) -> AsyncIterator[Execute]:
    """SQLAlchemy's plain engine over psycopg."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    with engine.begin() as connection:

        async def execute(what: Enqueue | Statement) -> list[tuple[int, bool]]:
            return _pairs(connection.execute(*what.sqlalchemy()).all())

        yield execute


@asynccontextmanager
async def _with_sqlalchemy_async(url: str, driver: str) -> AsyncIterator[Execute]:
    engine = create_async_engine(url.replace("postgresql:", f"postgresql+{driver}:"), poolclass=NullPool)
    async with engine.begin() as connection:

        async def execute(what: Enqueue | Statement) -> list[tuple[int, bool]]:
            return _pairs((await connection.execute(*what.sqlalchemy())).all())

        yield execute
    await engine.dispose()


LIBRARIES = {
    "asyncpg": with_asyncpg,
    "asyncpg-pooler": with_asyncpg_behind_a_pooler,
    "psycopg": with_psycopg,
    "psycopg-async": with_psycopg_async,
    "sqlalchemy": with_sqlalchemy,
    "sqlalchemy-async-psycopg": lambda url: _with_sqlalchemy_async(url, "psycopg"),
    "sqlalchemy-async-asyncpg": lambda url: _with_sqlalchemy_async(url, "asyncpg"),
}


def _pairs(rows: Any) -> list[tuple[int, bool]]:
    return [(row[0], row[1]) for row in rows]
