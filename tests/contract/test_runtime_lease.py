"""Leases of single roles on a real Postgres: one holder, handed on when dropped, expired or out of reach."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.real_servers import Postgres

from towline_runtime.database import Database
from towline_runtime.lease import Lease, owner
from towline_runtime.migrations import migrate

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = 30.0


def test_one_holder_at_a_time_with_a_token_that_grows(database_url: str) -> None:
    """Renewing keeps the token; another owner gets the next one, once the first has dropped the lease."""

    async def body() -> None:
        async with Database.open(database_url) as database:
            first, second = Lease(database, "role", "one"), Lease(database, "role", "two")
            token = await first.take()
            assert token is not None
            assert await first.take() == token
            assert await second.take() is None
            await second.drop()
            assert await second.take() is None
            await first.drop()
            assert await second.take() == token + 1
            assert await first.take() is None

    asyncio.run(body())


def test_an_expired_lease_goes_to_another(database_url: str) -> None:
    """A holder that says nothing any more loses it after its time, by the database's clock."""

    async def body() -> None:
        async with Database.open(database_url) as database:
            assert await Lease(database, "role", "one", seconds=0.2).take() == 1
            second = Lease(database, "role", "two", seconds=0.2)
            async with asyncio.timeout(DEADLINE):
                while await second.take() is None:
                    await asyncio.sleep(0.02)
            assert await second.take() == 2

    asyncio.run(body())


def test_of_two_that_want_to_work_one_does_until_it_ends(database_url: str) -> None:
    """The second begins when the first is cancelled, without waiting for an expiry."""

    async def body() -> None:
        async with Database.open(database_url) as database:
            at_work: list[str] = []

            async def work(name: str) -> None:
                at_work.append(name)
                try:
                    await asyncio.Event().wait()
                finally:
                    at_work.remove(name)

            leases = {name: Lease(database, "role", name, seconds=0.9) for name in ("one", "two")}
            tasks = {
                name: asyncio.create_task(lease.work(lambda name=name: work(name)))  # type: ignore[misc]
                for name, lease in leases.items()
            }
            async with asyncio.timeout(DEADLINE):
                for _ in range(2):
                    while not at_work:
                        await asyncio.sleep(0.01)
                    (name,) = at_work
                    tasks[name].cancel()
                    await asyncio.gather(tasks[name], return_exceptions=True)
                    assert name not in at_work

    asyncio.run(body())


def test_a_lease_that_was_taken_away_ends_the_work(database_url: str) -> None:
    """When the row has another owner the work is cancelled, and begins anew once the lease is free again."""

    async def body() -> None:
        async with Database.open(database_url) as database:
            begun: list[int] = []
            ended = asyncio.Event()

            async def work() -> None:
                begun.append(1)
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.set()

            task = asyncio.create_task(Lease(database, "role", "one", seconds=0.6).work(work))
            async with asyncio.timeout(DEADLINE):
                while not begun:
                    await asyncio.sleep(0.01)
                async with database.connection() as connection:
                    await connection.execute(
                        "update towline.lease set owner = 'thief', expires_at = clock_timestamp() + interval '1 s'"
                    )
                await ended.wait()
                while len(begun) < 2:
                    await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(body())


def test_a_holder_that_cannot_reach_the_database_stops(tmp_path: Path) -> None:
    """Its work ends by its own clock, since another may hold the lease by then; it begins anew with the database."""
    with Postgres(tmp_path / "postgres") as server:
        asyncio.run(migrate(server.create("app")))

        async def body() -> None:
            async with Database.open(server.url_of("app")) as database:
                begun: list[int] = []
                ended = asyncio.Event()

                async def work() -> None:
                    begun.append(1)
                    try:
                        await asyncio.Event().wait()
                    finally:
                        ended.set()

                task = asyncio.create_task(Lease(database, "role", "one", seconds=0.9).work(work))
                async with asyncio.timeout(2 * DEADLINE):
                    while not begun:
                        await asyncio.sleep(0.01)
                    await asyncio.to_thread(server.kill)
                    await ended.wait()
                    await asyncio.to_thread(server.start)
                    while len(begun) < 2:
                        await asyncio.sleep(0.01)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        asyncio.run(body())


def test_owners_differ() -> None:
    """Two owners of one process are two, so a restart with the same process id is another owner."""
    assert owner() != owner()
