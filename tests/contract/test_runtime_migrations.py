"""The schema on a real Postgres: brought up to date once, whoever asks and however often."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.job_scenes import in_a_loop, until

from towline_runtime.database import Database, queries
from towline_runtime.errors import MigrationFailed, SchemaMissing
from towline_runtime.migrations import LOCK, migrate, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real_servers import Postgres

EVERY = [name for name, _ in numbered()]
TABLES = "select table_name from information_schema.tables where table_schema = 'towline' order by 1"


@pytest.fixture
def empty_url(postgres: Postgres) -> Iterator[str]:
    """A database without anything in it."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create(name)
    postgres.drop(name)


async def tables(url: str) -> list[str]:
    """Names of the tables that are there."""
    connection = await asyncpg.connect(url)
    try:
        return [row["table_name"] for row in await connection.fetch(TABLES)]
    finally:
        await connection.close()


@in_a_loop
async def test_once_and_never_again(empty_url: str) -> None:
    """The first run applies all in order, the second nothing."""
    assert await migrate(empty_url) == EVERY
    before = await tables(empty_url)
    assert {"job", "outbox", "queue", "lease", "migration"} <= set(before)
    assert await migrate(empty_url) == []
    assert await tables(empty_url) == before


@in_a_loop
async def test_only_what_is_missing(empty_url: str) -> None:
    """A database of an earlier version gets the later files."""
    assert await migrate(empty_url, numbered()[:1]) == EVERY[:1]
    assert await migrate(empty_url) == EVERY[1:]


@in_a_loop
async def test_a_newer_schema_is_left_alone(empty_url: str) -> None:
    """A runtime that was rolled back finds migrations that it does not know, and changes nothing."""
    newer = [*numbered(), ("9999_later.sql", "create table towline.later (id int)")]
    await migrate(empty_url, newer)
    assert await migrate(empty_url) == []
    assert "later" in await tables(empty_url)


@in_a_loop
async def test_eight_at_once(empty_url: str) -> None:
    """Every process of a release may call it: one does the work, the others wait and find it done."""
    applied = await asyncio.gather(*(migrate(empty_url) for _ in range(8)))
    assert sorted(applied, key=len) == [[]] * 7 + [EVERY]


@in_a_loop
async def test_a_failed_one_changes_nothing(empty_url: str) -> None:
    """The second file fails half-way: the first is not there either, and after the mend all is applied."""
    broken = [
        ("0001_a.sql", "create table towline.a (id int)"),
        ("0002_b.sql", "create table towline.b (id int); oops"),
    ]
    with pytest.raises(MigrationFailed, match="nothing was changed") as caught:
        await migrate(empty_url, broken)
    assert "oops" in caught.value.sentence
    assert await tables(empty_url) == []
    assert await migrate(empty_url) == EVERY


@in_a_loop
async def test_it_waits_behind_the_lock(empty_url: str) -> None:
    """While another holds the lock nothing is done; when that one is killed, the work goes on."""
    other = await asyncpg.connect(empty_url)
    await other.execute("select pg_advisory_lock($1)", LOCK)
    migrating = asyncio.create_task(migrate(empty_url))
    async with Database.open(empty_url) as database:
        await until(lambda: _waiting(database), "it waits for the lock")
        assert not migrating.done()
        assert await tables(empty_url) == []
        other.terminate()
        assert await asyncio.wait_for(migrating, 30) == EVERY


@in_a_loop
async def test_a_killed_connection_changes_nothing(empty_url: str) -> None:
    """The server ends the connection in the middle of a migration: an error of ours, and no table."""
    slow = [("0001_slow.sql", "create table towline.a (id int); select pg_sleep(60)")]
    migrating = asyncio.create_task(migrate(empty_url, slow))
    async with Database.open(empty_url) as database, database.connection() as connection:
        asleep = "select pid from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
        ((pid,),) = await until(lambda: connection.fetch(asleep), "the migration is under way")
        await connection.execute("select pg_terminate_backend($1)", pid)
        with pytest.raises(MigrationFailed, match="nothing was changed"):
            await asyncio.wait_for(migrating, 30)
    assert await tables(empty_url) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: url.replace("a-password-of-these-tests", "wrong"), "password authentication failed"),
        (lambda url: url + "_not_there", "does not exist"),
        (lambda url: url.replace("127.0.0.1:", "127.0.0.1:1"), "cannot be used"),
        (lambda url: url.replace("127.0.0.1:", "127.0.0.1:x"), "cannot be used"),
        (lambda url: url.replace("a-password-of-these-tests", "s3cret/word#"), "cannot be used"),
        (lambda url: url + "?sslmode=perhaps", "cannot be used"),
        (lambda url: "postgresql://postgres:s3cret@127.0.0.1:9/none", "does not answer"),
    ],
)
@in_a_loop
async def test_a_database_that_cannot_be_reached(empty_url: str, change: Any, said: str) -> None:
    """One sentence and what to look at, and no piece of the password."""
    with pytest.raises(MigrationFailed, match=said) as caught:
        await migrate(change(empty_url))
    assert "DATABASE_URL" in caught.value.hint
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None or "s3cret" not in str(caught.value.__cause__)


@in_a_loop
async def test_every_query_fits_the_schema(database_url: str) -> None:
    """Postgres prepares each named query: no column or type is misspelt, also in those that seldom run."""
    async with Database.open(database_url) as database, database.connection() as connection:
        for sql in queries().values():
            await connection.prepare(sql)


@in_a_loop
async def test_without_the_tables(empty_url: str) -> None:
    """A query on a database that nobody migrated says what to run."""
    async with Database.open(empty_url) as database:
        with pytest.raises(SchemaMissing, match="python -m towline_runtime migrate"):
            await database.fetch("depth")


async def _waiting(database: Database) -> bool:
    async with database.connection() as connection:
        waits = "select 1 from pg_locks where locktype = 'advisory' and not granted"
        return bool(await connection.fetch(waits))
