"""The schema, brought up to date by numbered files: each applied once, in order, all or nothing."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import asyncpg

from towline_runtime.errors import MigrationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCK = 5_119_734_002  # any number, as long as every version of the runtime uses the same

CHECK = "check DATABASE_URL (or DIRECT_URL)"


def numbered() -> list[tuple[str, str]]:
    """Name and SQL of each migration, in order."""
    folder = files("towline_runtime") / "sql" / "migrations"
    found = [(path.name, path.read_text("utf-8")) for path in folder.iterdir() if path.name.endswith(".sql")]
    return sorted(found)


async def migrate(url: str, migrations: Sequence[tuple[str, str]] | None = None) -> list[str]:
    """Apply what is missing and give the names; safe to run twice, and by two at once.

    `url` should be the direct one: behind a transaction pooler it works too, since the lock is the transaction's.
    Raises MigrationFailed, after which nothing was changed; a schema that is newer than this runtime is left alone.
    """
    try:
        connection = await asyncpg.connect(url, timeout=10, statement_cache_size=0)
    except (ValueError, OverflowError, asyncpg.InterfaceError):
        # Without the cause, which may quote a piece of the password.
        raise MigrationFailed("The address of the database cannot be used", CHECK) from None
    except (OSError, asyncpg.PostgresError) as error:
        raise MigrationFailed(f"The database does not answer: {error}", CHECK) from error
    try:
        async with connection.transaction():
            return await _apply(connection, numbered() if migrations is None else migrations)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationFailed(
            f"The migration failed and nothing was changed: {error}", "mend the cause and run it again"
        ) from error
    finally:
        await connection.close()


async def _apply(connection: asyncpg.Connection[asyncpg.Record], migrations: Sequence[tuple[str, str]]) -> list[str]:
    await connection.execute("select pg_advisory_xact_lock($1)", LOCK)
    await connection.execute("create schema if not exists towline")
    await connection.execute(
        "create table if not exists towline.migration"
        " (name text primary key, applied_at timestamptz not null default now())"
    )
    applied = {row["name"] for row in await connection.fetch("select name from towline.migration")}
    missing = [(name, statements) for name, statements in migrations if name not in applied]
    for name, statements in missing:
        await connection.execute(statements)
        await connection.execute("insert into towline.migration (name) values ($1)", name)
    return [name for name, _ in missing]
