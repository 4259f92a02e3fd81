"""One contract of sessions over Postgres, Valkey, Redis and the double in memory."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.real_servers import Redis

from towline_runtime.database import Database
from towline_runtime.redis_client import redis_client
from towline_runtime.sessions import PostgresSessions, RedisSessions, Sessions, open_sessions
from towline_runtime.settings import Settings
from towline_runtime.sweeper import Chore
from towline_runtime.testing import MemorySessions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from tests.real_servers import Valkey

DATA = {"csrf": "x", "n": 1, "list": [1, {"ü": None}], "empty": [], "none": {}}


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """Redis itself, beside Valkey."""
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["memory", "postgres", "valkey", pytest.param("redis", marks=pytest.mark.needs("redis-server"))])
def opened(request: pytest.FixtureRequest) -> Callable[[Callable[[Sessions], Awaitable[None]]], None]:
    """Runs an async test body with sessions of its own."""

    # Before the loop runs, as servers start with loops of their own.
    needs = {"postgres": "database_url", "valkey": "valkey", "redis": "redis_server"}.get(request.param)
    server: Any = needs and request.getfixturevalue(needs)

    async def inside(body: Callable[[Sessions], Awaitable[None]]) -> None:
        if request.param == "memory":
            await body(MemorySessions())
        elif request.param == "postgres":
            async with Database.open(server) as database:
                await body(PostgresSessions(database))
        else:
            async with redis(server) as client:
                await body(RedisSessions(client, prefix=uuid.uuid4().hex))

    return lambda body: asyncio.run(inside(body))


@asynccontextmanager
async def redis(server: Valkey) -> AsyncIterator[Any]:
    client = redis_client(server.url)
    try:
        yield client
    finally:
        await client.aclose()


async def gone(sessions: Sessions, session_id: str) -> None:
    with anyio.fail_after(10):
        while await sessions.get(session_id) is not None:
            await asyncio.sleep(0.02)


def test_a_session_holds_its_data(opened: Callable[..., None]) -> None:
    """What was given comes back; a change of the data keeps user and times; nobody changes it from outside."""

    async def body(sessions: Sessions) -> None:
        session_id = await sessions.create("ada", DATA)
        found = await sessions.get(session_id)
        assert found is not None
        assert (found.user, found.data) == ("ada", DATA)
        assert 604_790 < (found.expires_at - found.created_at).total_seconds() < 604_810
        found.data["n"] = 2
        assert await sessions.update(session_id, {"empty": [], "n": 3})
        changed = await sessions.get(session_id)
        assert changed is not None
        assert (changed.user, changed.data) == ("ada", {"empty": [], "n": 3})
        assert abs((changed.expires_at - found.expires_at).total_seconds()) < 1
        assert abs((changed.created_at - found.created_at).total_seconds()) < 0.01

    opened(body)


def test_ids_cannot_be_guessed(opened: Callable[..., None]) -> None:
    """256 random bits each, never the same; anything else is no session, and no error."""

    async def body(sessions: Sessions) -> None:
        ids = {await sessions.create("ada") for _ in range(20)}
        assert len(ids) == 20
        assert {len(one) for one in ids} == {43}
        one = ids.pop()
        for wrong in ("", "x", one[:-1], one + "x", one.swapcase(), "\x00", "\ud800", "ü" * 5000, "*"):
            assert await sessions.get(wrong) is None
            assert not await sessions.update(wrong, {})
            assert not await sessions.touch(wrong)
            await sessions.destroy(wrong)
        assert await sessions.get(one) is not None

    opened(body)


def test_a_session_runs_out_unless_touched(opened: Callable[..., None]) -> None:
    """After its time it is none, by every call; one that is touched lives on."""

    async def body(sessions: Sessions) -> None:
        brief, touched = await sessions.create("ada", ttl=0.1), await sessions.create("ada", ttl=30)
        assert await sessions.touch(touched, 60)
        found = await sessions.get(touched)
        assert found is not None
        assert (found.expires_at - found.created_at).total_seconds() > 59
        await gone(sessions, brief)
        assert not await sessions.touch(brief)
        assert not await sessions.update(brief, {})
        assert await sessions.get(touched) is not None
        assert await sessions.destroy_all("ada") == 1

    opened(body)


def test_sessions_end(opened: Callable[..., None]) -> None:
    """One, or all of one user and of nobody else."""

    async def body(sessions: Sessions) -> None:
        ada = [await sessions.create("ada") for _ in range(3)]
        eve = await sessions.create("eve")
        await sessions.destroy(ada[0])
        assert await sessions.get(ada[0]) is None
        assert await sessions.destroy_all("ada") == 2
        assert [await sessions.get(one) for one in ada] == [None] * 3
        assert await sessions.get(eve) is not None
        assert await sessions.destroy_all("nobody") == 0

    opened(body)


def test_many_logins_at_once(opened: Callable[..., None]) -> None:
    """All are counted to their user."""

    async def body(sessions: Sessions) -> None:
        await asyncio.gather(*(sessions.create(f"user-{n % 2}") for n in range(40)))
        assert await sessions.destroy_all("user-0") == 20

    opened(body)


def test_only_a_digest_is_kept(database_url: str, valkey: Valkey) -> None:
    """Who reads the store cannot log in with what is there."""

    async def body() -> None:
        async with (
            Database.open(database_url) as database,
            database.connection() as connection,
            redis(valkey) as client,
        ):
            prefix = uuid.uuid4().hex
            ids = [
                await PostgresSessions(database).create("ada", DATA),
                await RedisSessions(client, prefix=prefix).create("ada", DATA),
            ]
            rows = await connection.fetch("select * from towline.session")
            kept = str([tuple(row) for row in rows])
            names = [key async for key in client.scan_iter(f"{prefix}*")]
            assert {await client.type(name) for name in names} == {"string", "zset"}
            kept += str(names)
            assert rows[0]["digest"] == hashlib.sha256(ids[0].encode()).digest()
            assert not any(one in kept for one in ids)

    asyncio.run(body())


def test_what_ran_out_is_swept_in_bounded_steps(database_url: str) -> None:
    """As a chore of the sweeper; live sessions stay."""

    async def body() -> None:
        async with Database.open(database_url) as database:
            sessions = PostgresSessions(database)
            old = [await sessions.create("ada", ttl=0.01) for _ in range(5)]
            live = await sessions.create("ada")
            for one in old:
                await gone(sessions, one)
            chore = Chore("sessions", lambda: sessions.sweep(3), every=60, batch=3)
            assert [await chore.run() for _ in range(3)] == [3, 2, 0]
            assert await sessions.get(live) is not None

    asyncio.run(body())


def test_a_users_set_does_not_outlive_the_sessions(valkey: Valkey) -> None:
    """Redis keeps nothing for ever: every key has an expiry, and ends of sessions are cleared as new ones begin."""

    async def body() -> None:
        async with redis(valkey) as client:
            prefix = uuid.uuid4().hex
            sessions = RedisSessions(client, prefix=prefix)
            brief = await sessions.create("ada", ttl=0.05)
            await gone(sessions, brief)
            long = await sessions.create("ada", ttl=100)
            await sessions.create("ada", ttl=10)
            assert await client.zcard(f"{prefix}s-of:ada") == 2
            ttls = {key: await client.pttl(key) async for key in client.scan_iter(f"{prefix}*")}
            assert all(0 < ttl <= 100_000 for ttl in ttls.values()), ttls
            assert ttls[f"{prefix}s-of:ada"] > 90_000
            await sessions.touch(long, 1000)
            assert await client.pttl(f"{prefix}s-of:ada") > 900_000

    asyncio.run(body())


def test_the_settings_choose(database_url: str, valkey: Valkey) -> None:
    """Redis where there is one, else Postgres; the lifetime is a setting."""

    async def body() -> None:
        given = {"DATABASE_URL": database_url, "SESSION_TTL_SECONDS": "60"}
        async with Database.open(database_url) as database:
            for settings in (Settings.read(given), Settings.read({**given, "REDIS_URL": valkey.url})):
                async with open_sessions(settings, database) as sessions:
                    found = await sessions.get(await sessions.create("ada", {"k": 1}))
                    assert found is not None
                    assert 50 < (found.expires_at - found.created_at).total_seconds() < 70
            assert json.loads(await count(database)) == 1

    asyncio.run(body())


async def count(database: Database) -> str:
    async with database.connection() as connection:
        return str(await connection.fetchval("select count(*) from towline.session"))
