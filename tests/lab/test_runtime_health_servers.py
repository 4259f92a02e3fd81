"""Health against real servers that hang, die and come back, over a real port."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from tests.frozen import frozen
from tests.real_servers import PASSWORD, Bucket, Postgres, Valkey, free_port

from towline_runtime import health_checks
from towline_runtime.health import Health
from towline_runtime.health_server import by_path, serve_health
from towline_runtime.settings import Settings
from towline_runtime.storage.s3 import S3Storage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.real_servers import Server


async def eventually(ask: Callable[[], Awaitable[bool]], what: str) -> None:
    with anyio.move_on_after(60):
        while not await ask():
            await asyncio.sleep(0.05)
        return
    raise AssertionError(f"not seen within 60 s: {what}")


async def is_ready(health: Health) -> bool:
    return (await health.ready()).ready


@pytest.fixture(params=["postgres", "valkey", "bucket"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    """A server of the test's own, so that it may be frozen and killed."""
    servers: dict[str, Callable[[Path], Server]] = {"postgres": Postgres, "valkey": Valkey, "bucket": Bucket}
    return servers[request.param](tmp_path)


async def seen_by(server: Any, body: Callable[[Health], Awaitable[None]]) -> None:
    if isinstance(server, Bucket):
        keys = {"S3_ACCESS_KEY": server.name, "S3_SECRET_KEY": PASSWORD, "S3_BUCKET": server.name}
        settings = Settings.read({"DATABASE_URL": "postgresql://a@b/c", "S3_ENDPOINT": server.url} | keys)
        async with S3Storage.open(settings) as storage:
            await within(health_checks.storage(storage), body)
    elif isinstance(server, Postgres):
        await within(health_checks.database(Settings.read({"DATABASE_URL": server.url})), body)
    else:
        await within(health_checks.redis(server.url), body)


async def within(check: Any, body: Callable[[Health], Awaitable[None]]) -> None:
    health = Health("1", [check], fresh=0)
    try:
        await body(health)
    finally:
        await health.close()


def test_a_server_that_hangs_dies_and_comes_back(server: Server) -> None:
    """Frozen: 503 in less than 100 ms each time, for as long as it lasts; thawed: well; killed: 503; back: well."""

    async def body(health: Health) -> None:
        assert (await health.warm()).ready
        with frozen(server):
            times = []
            for _ in range(20):
                began = time.monotonic()
                found = await health.ready()
                times.append(time.monotonic() - began)
                assert not found.ready
            # The better half of them, as the machine of a test may be busy; a check that waits would take seconds.
            assert sorted(times)[len(times) // 2] < 0.1, times
            assert max(times) < 3, times
        await eventually(lambda: is_ready(health), "well after the thaw")
        await asyncio.to_thread(server.kill)
        assert not (await health.ready()).ready
        await asyncio.to_thread(server.start)
        await eventually(lambda: is_ready(health), "well after the restart")

    with server:
        asyncio.run(seen_by(server, body))


def test_a_frozen_database_over_http(tmp_path: Path) -> None:
    """The whole way of a probe: 200, then 503 in less than 100 ms; liveness stays 200."""

    async def body(server: Postgres) -> None:
        health = Health("7", [health_checks.database(Settings.read({"DATABASE_URL": server.url}))], fresh=0)
        async with serve_health(health.asgi(), 0, "127.0.0.1") as port, httpx.AsyncClient() as probe:
            url = f"http://127.0.0.1:{port}"
            await eventually(lambda: _answers(probe, f"{url}/readyz", 200), "200")
            with frozen(server):
                times = []
                for _ in range(10):
                    answer = await probe.get(f"{url}/api/health")
                    times.append(answer.elapsed.total_seconds())
                    assert answer.status_code == 503
                    assert answer.json()["checks"]["database"]["status"] == "unhealthy"
                assert sorted(times)[5] < 0.1, times
                assert (await probe.get(f"{url}/livez")).status_code == 200
            await eventually(lambda: _answers(probe, f"{url}/readyz", 200), "200 again")
        await health.close()

    with Postgres(tmp_path) as server:
        asyncio.run(body(server))


def test_another_service_is_asked_over_http() -> None:
    """2xx and 3xx are well; other answers, what is not HTTP, and nobody there are not."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            {b"/ok": b"HTTP/1.1 204 No\r\n\r\n", b"/bad": b"HTTP/1.1 500 No\r\n\r\n"}.get(line.split()[1], b"?")
        )
        writer.close()

    async def body() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        paths = {"ok": f":{port}/ok", "bad": f":{port}/bad", "odd": f":{port}/odd", "none": f":{free_port()}/"}
        health = Health(
            "1", [health_checks.http_service(f"http://127.0.0.1{path}", name=name) for name, path in paths.items()]
        )
        found = await health.warm()
        assert {name: one.status for name, one in found.checks.items()} == {
            "ok": "healthy",
            "bad": "unhealthy",
            "odd": "unhealthy",
            "none": "unhealthy",
        }
        assert found.checks["bad"].reason == "answered 500"
        await health.close()
        server.close()

    asyncio.run(body())


def test_the_tiny_server_takes_any_request() -> None:
    """HEAD has no body, what is not HTTP gets 400, what is too long or never ends costs a closed connection only."""

    async def body() -> None:
        health = Health("1")
        app = by_path({"/livez": health.asgi()})
        async with serve_health(app, 0, "127.0.0.1") as port:
            for asked, status in (
                (b"GET /livez HTTP/1.1\r\n\r\n", b"200"),
                (b"HEAD /livez HTTP/1.0\r\nHost: x\r\n\r\n", b"200"),
                (b"GET /other HTTP/1.1\r\n\r\n", b"404"),
                (b"POST /livez HTTP/1.1\r\n\r\n", b"405"),
                (b"hello\r\n\r\n", b"400"),
                (b"GET http://x HTTP/1.1\r\n\r\n", b"400"),
                (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", b"400"),
            ):
                answer = await exchange(port, asked)
                assert answer.split()[1] == status, (asked[:40], answer)
                assert (b"healthy" in answer) == asked.startswith(b"GET /livez")
            # One that says nothing does not keep the others waiting.
            _, silent = await asyncio.open_connection("127.0.0.1", port)
            assert (await exchange(port, b"GET /livez HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
            silent.close()

    asyncio.run(body())


async def exchange(port: int, asked: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(asked)
    answer = b""
    with anyio.fail_after(10):
        while piece := await reader.read(65536):
            answer += piece
    writer.close()
    return answer


async def _answers(probe: httpx.AsyncClient, url: str, status: int) -> bool:
    return (await probe.get(url)).status_code == status
