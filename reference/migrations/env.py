"""Runs the app's migrations with Alembic; the runtime's own are `python -m towline_runtime migrate`."""

import asyncio
import os
import sys

from alembic import context
from cooly.models import Tables
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from towline_runtime.errors import SettingsInvalid
from towline_runtime.setting_values import for_sqlalchemy
from towline_runtime.settings import Settings

LOCK = 7_306_115_901  # any number: two releases that migrate at once take turns


def migrate(connection: Connection) -> None:
    """All that is missing, in one transaction."""
    context.configure(connection=connection, target_metadata=Tables.metadata, transaction_per_migration=False)
    with context.begin_transaction():
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        context.run_migrations()


async def main() -> None:
    """Connect, migrate, leave."""
    try:
        url = for_sqlalchemy(Settings.read(os.environ).direct_url)
    except SettingsInvalid as error:
        sys.exit(str(error))
    engine = create_async_engine(url, poolclass=NullPool, connect_args={"timeout": 10})
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
    except OSError as error:
        sys.exit(f"The database does not answer: {error}\n\nhint: check DATABASE_URL (or DIRECT_URL)")
    finally:
        await engine.dispose()


asyncio.run(main())
