"""One contract of rate limits over Postgres, Valkey, Redis and the double in memory; then faults and the middleware."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.frozen import frozen
from tests.real_servers import Postgres, Redis, free_port

from towline_runtime.database import Database
from towline_runtime.migrations import migrate
from towline_runtime.rate_limit import (
    Guarded,
    Limit,
    PostgresRateLimit,
    RateLimit,
    RateLimited,
    RedisRateLimit,
    Ruling,
    behind,
    open_rate_limit,
)
from towline_runtime.redis_client import redis_client
from towline_runtime.settings import Settings
from towline_runtime.testing import MemoryRateLimit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from tests.real_servers import Valkey

    Make = Callable[[Limit], RateLimit]


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """Redis itself, beside Valkey."""
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["memory", "postgres", "valkey", pytest.param("redis", marks=pytest.mark.needs("redis-server"))])
def opened(request: pytest.FixtureRequest) -> Callable[[Callable[[Make], Awaitable[None]]], None]:
    """Runs an async test body with a maker of limits."""

    # Before the loop runs, as servers start with loops of their own.
    needs = {"postgres": "database_url", "valkey": "valkey", "redis": "redis_server"}.get(request.param)
    server: Any = needs and request.getfixturevalue(needs)

    async def inside(body: Callable[[Make], Awaitable[None]]) -> None:
        if request.param == "memory":
            await body(MemoryRateLimit)
        elif request.param == "postgres":
            async with Database.open(server) as database:
                await body(lambda limit: PostgresRateLimit(database, limit))
        else:
            client = redis_client(server.url)
            try:
                await body(lambda limit: RedisRateLimit(client, limit, prefix=uuid.uuid4().hex))
            finally:
                await client.aclose()

    return lambda body: asyncio.run(inside(body))


def test_the_request_after_the_last_is_refused(opened: Callable[..., None]) -> None:
    """Of 105 requests in a minute 100 pass, counting down; another client is not touched by that."""

    async def body(make: Make) -> None:
        limit = make(Limit())
        rulings = [await limit.hit("one") for _ in range(105)]
        assert [ruling.allowed for ruling in rulings] == [True] * 100 + [False] * 5
        assert [ruling.remaining for ruling in rulings] == [*range(99, -1, -1), *[0] * 5]
        assert all(30 < ruling.retry_after < 61 for ruling in rulings[100:])
        assert (await limit.hit("two")).remaining == 99

    opened(body)


def test_many_at_once_are_counted_each(opened: Callable[..., None]) -> None:
    """Sixty requests at the same time: exactly fifty pass."""

    async def body(make: Make) -> None:
        limit = make(Limit(50, 60))
        rulings = await asyncio.gather(*(limit.hit("one") for _ in range(60)))
        assert sum(ruling.allowed for ruling in rulings) == 50

    opened(body)


def test_waiting_as_told_is_enough(opened: Callable[..., None]) -> None:
    """After `retry_after` the next request passes, and not all of them at once."""

    async def body(make: Make) -> None:
        limit = make(Limit(5, 1.5))
        for _ in range(5):
            assert (await limit.hit("one")).allowed
        refused = await limit.hit("one")
        assert not refused.allowed
        assert 0 < refused.retry_after < 1.81
        await asyncio.sleep(refused.retry_after + 0.02)
        passed = [(await limit.hit("one")).allowed for _ in range(5)]
        assert passed[0]
        assert not all(passed)

    opened(body)


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    waits=st.lists(st.floats(0, 25), min_size=5, max_size=120),
    requests=st.integers(1, 20),
)
def test_a_window_never_lets_through_twice_the_limit(waits: list[float], requests: int) -> None:
    """However the requests come: at most the limit in each window from a client's first request, `retry_after` is
    enough, and one that waits long enough always passes.
    """

    async def body() -> None:
        clock = [datetime(2026, 1, 1, tzinfo=UTC)]
        limit = MemoryRateLimit(Limit(requests, 10), clock=lambda: clock[0])
        passed: list[datetime] = []
        for wait in waits:
            clock[0] += timedelta(seconds=wait)
            ruling = await limit.hit("one")
            if not ruling.allowed:
                clock[0] += timedelta(seconds=ruling.retry_after + 0.001)
                assert (await limit.hit("one")).allowed
            passed.append(clock[0])
        for moment in passed:
            within = sum(moment <= other < moment + timedelta(seconds=10) for other in passed)
            assert within < 2 * requests + 1

    asyncio.run(body())


def test_old_counters_are_swept(database_url: str) -> None:
    """In bounded steps, and only those that count nothing."""

    async def body() -> None:
        async with Database.open(database_url) as database:
            brief, long = PostgresRateLimit(database, Limit(1, 0.01)), PostgresRateLimit(database, Limit(1, 60))
            for n in range(5):
                await brief.hit(f"brief-{n}")
            await long.hit("long")
            old = "select count(*) from towline.rate where started_at < clock_timestamp() - make_interval(secs => 0.02)"
            async with database.connection() as connection:
                with anyio.fail_after(10):
                    while await connection.fetchval(old) < 6:
                        await asyncio.sleep(0.01)
            assert [await long.sweep(2) for _ in range(4)] == [2, 2, 1, 0]
            assert not (await long.hit("long")).allowed

    asyncio.run(body())


def test_no_address_is_kept(database_url: str) -> None:
    """The table tells nobody who sent the requests."""

    async def body() -> None:
        async with Database.open(database_url) as database, database.connection() as connection:
            await PostgresRateLimit(database).hit("203.0.113.7")
            rows = await connection.fetch("select * from towline.rate")
            assert len(rows) == 1
            assert "203.0.113" not in str(rows)

    asyncio.run(body())


PROGRAM = """
import asyncio, json, os, sys
from towline_runtime.database import Database
from towline_runtime.rate_limit import open_rate_limit
from towline_runtime.settings import Settings

async def main():
    settings = Settings.read(os.environ)
    async with Database.open(settings.database_url) as database, open_rate_limit(settings, database) as limit:
        await limit.hit("warm " + str(os.getpid()))
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps([(await limit.hit(sys.argv[1])).allowed for _ in range(80)]))

asyncio.run(main())
"""


@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_two_processes_share_one_limit(store: str, database_url: str, valkey: Valkey) -> None:
    """Two replicas that get eighty requests each at the same time let a hundred through together."""
    environ = os.environ | {"DATABASE_URL": database_url} | ({"REDIS_URL": valkey.url} if store == "redis" else {})
    argv = [sys.executable, "-c", PROGRAM, uuid.uuid4().hex]
    pipe = subprocess.PIPE
    replicas = [subprocess.Popen(argv, env=environ, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    for replica in replicas:
        assert replica.stdout is not None
        assert replica.stdout.readline() == "ready\n"
    for replica in replicas:
        assert replica.stdin is not None
        replica.stdin.write("go\n")
        replica.stdin.flush()
    answers = [json.loads(replica.communicate(timeout=60)[0]) for replica in replicas]
    assert sum(map(sum, answers)) == 100
    assert all(0 < sum(answer) <= 80 for answer in answers)


@pytest.mark.parametrize("allow", [True, False])
def test_without_its_server_all_pass_or_none(allow: bool) -> None:
    """As the setting says, and quickly: nobody waits for a server that is away."""

    async def body() -> None:
        environ = {
            "DATABASE_URL": f"postgresql://a:b@127.0.0.1:{free_port()}/c",
            "RATE_LIMIT_WHEN_AWAY": "allow" if allow else "refuse",
        }
        for more in ({}, {"REDIS_URL": f"redis://127.0.0.1:{free_port()}"}):
            settings = Settings.read(environ | more)
            async with (
                Database.open(settings.database_url) as database,
                open_rate_limit(settings, database) as limit,
            ):
                with anyio.fail_after(10):
                    rulings = [await limit.hit("one") for _ in range(200)]
                assert {ruling.allowed for ruling in rulings} == {allow}

    asyncio.run(body())


def test_a_server_that_hangs_costs_one_wait(tmp_path: Path) -> None:
    """Postgres is stopped in its tracks and later goes on: requests pass at once, and then they are counted again."""

    async def body(server: Postgres, url: str) -> None:
        async with Database.open(url) as database:
            limit = Guarded(PostgresRateLimit(database, Limit(3, 600)))
            assert (await limit.hit("one")).remaining == 2
            with frozen(server), anyio.fail_after(10):
                rulings = [await limit.hit("one") for _ in range(500)]
            assert all(ruling.allowed for ruling in rulings)
            with anyio.fail_after(60):
                while (await limit.hit("one")).allowed:
                    await asyncio.sleep(0.05)

    with Postgres(tmp_path) as server:
        asyncio.run(migrate(server.url))
        asyncio.run(body(server, server.url))


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def test_the_middleware_answers_429() -> None:
    """With Retry-After in whole seconds; free paths and uncounted requests pass."""

    async def body() -> None:
        app = RateLimited(_app, MemoryRateLimit(Limit(2, 30)))
        transport = httpx.ASGITransport(app, client=("203.0.113.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as browser:
            answers = [await browser.get("/") for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200, 200, 429]
            assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
            assert 29 < int(answers[2].headers["retry-after"]) <= 46
            assert answers[2].json() == {"error": "too many requests"}
            assert (await browser.get("/livez")).status_code == 200

    asyncio.run(body())


@pytest.mark.parametrize(
    ("proxies", "forwarded", "client"),
    [
        (0, "198.51.100.1", "10.0.0.1"),
        (1, "a lie, 198.51.100.1", "198.51.100.1"),
        (2, "a lie, 198.51.100.1, 10.0.0.9", "198.51.100.1"),
        (2, "198.51.100.1", "10.0.0.1"),
        (1, "", "10.0.0.1"),
    ],
)
def test_only_our_own_proxies_are_believed(proxies: int, forwarded: str, client: str) -> None:
    """A client can write anything into X-Forwarded-For, but not after what our proxies add."""
    scope = {"client": ("10.0.0.1", 5), "headers": [(b"x-forwarded-for", forwarded.encode())]}
    assert behind(proxies)(scope) == client


def test_a_limit_must_allow_something() -> None:
    """A limit of nothing is a mistake, not a limit."""
    for wrong in ((0, 60), (1, 0)):
        with pytest.raises(ValueError, match="at least one"):
            Limit(*wrong)
    assert Ruling(allowed=True, remaining=1).retry_after == 0
