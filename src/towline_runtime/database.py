"""The connection to Postgres: a pool, the named queries, and calls that outlive a restart of the server."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from towline_runtime.errors import RuntimeFault, SchemaMissing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

T = TypeVar("T")
log = logging.getLogger(__name__)

# What a restart, a failover or a full server raises: the same call may succeed a moment later.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,  # too many connections, a full disk, no memory
    asyncpg.InternalServerError,  # what poolers answer when they are full or restart
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the next call on a connection whose server has just said that it ends
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
)
MOST_CLOSING = 5.0  # seconds that connections have to say goodbye
MOST_WAIT = 5.0  # seconds between two tries while the server is away


@cache
def queries() -> dict[str, str]:
    """Statements of sql/queries.sql by name."""
    text = (files("towline_runtime") / "sql" / "queries.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip().rstrip(";") for part in parts[2::2]), strict=True))


class Database:
    """A pool of connections; open it with `async with Database.open(url) as database`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], direct_url: str) -> None:
        self._pool = pool
        self.direct_url = direct_url

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, direct_url: str | None = None, most: int = 5, pooled: bool = False
    ) -> AsyncIterator[Database]:
        """Connect lazily, so that an app can start while its database is still away.

        `most` is the largest number of connections; `pooled` says that a transaction pooler is in between, where a
        prepared statement does not outlive its transaction; `direct_url` is the way around it, for listening.
        """
        pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=most,
            statement_cache_size=0 if pooled else 200,
            command_timeout=30,
            timeout=5,
            reset=_leave_as_it_is,
            server_settings={} if pooled else {"application_name": "towline_runtime"},
        )
        await pool
        try:
            yield cls(pool, direct_url or url)
        finally:
            with suppress(TimeoutError):  # then the pool has cut the connections of a server that is silent
                async with asyncio.timeout(MOST_CLOSING):
                    await pool.close()

    @property
    def most(self) -> int:
        """The largest number of connections."""
        return self._pool.get_max_size()

    async def fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows of a named query, in a transaction of its own."""
        try:
            return await self._pool.fetch(queries()[name], *arguments)
        except asyncpg.UndefinedTableError as error:
            raise _no_schema(error) from error
        except asyncpg.InterfaceError as error:
            if self._pool.is_closing():
                raise RuntimeFault("The database was closed while it was still in use") from error
            raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]:
        """Lend a connection with an open transaction: commit at the end, roll back on an error."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]:
        """Lend a connection without a transaction."""
        async with self._pool.acquire() as connection:
            yield connection

    async def persist(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows of a named query that may be sent twice, asked again for as long as the server is away."""
        return await again_and_again(lambda: self.fetch(name, *arguments), what=name)


async def again_and_again(call: Callable[[], Awaitable[T]], *, what: str, within: float | None = None) -> T:
    """Await `call()` until the server is back; after `within` seconds, if given, let the error through.

    The waits grow from 50 ms to 5 s with full jitter, so that a thousand clients do not come back at once.
    """
    started = asyncio.get_running_loop().time()
    tries = 0
    while True:
        try:
            return await call()
        except asyncpg.ClientConfigurationError as error:
            # Not the cause's own words: they may hold a piece of the password.
            raise RuntimeFault("The address of the database cannot be used", "check DATABASE_URL") from error
        except AWAY as error:
            if within is not None and asyncio.get_running_loop().time() - started > within:
                raise
            if tries & (tries - 1) == 0:  # the first, and then ever more seldom
                log.warning("away, trying again", extra={"what": what, "error": type(error).__name__, "tries": tries})
        tries += 1
        await asyncio.sleep(random.uniform(0, min(MOST_WAIT, 0.05 * 2 ** min(tries, 10))))  # noqa: S311  # no secret


async def _leave_as_it_is(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Save the round trip of a reset: nothing here leaves a setting, a lock or a listener on a pooled connection."""


def _no_schema(error: Exception) -> SchemaMissing:
    return SchemaMissing(f"The runtime's tables are not in this database: {error}", "python -m towline_runtime migrate")
