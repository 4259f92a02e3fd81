"""Health: what decides, what only shows, and that nothing a server does makes the answer late."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from towline_runtime.health import Check, Health, Unwell
from towline_runtime.health_checks import heartbeat, loaded

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Server:
    """A check's other side, in whatever state the test wants."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self) -> None:
        self.asked += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error


async def get(health: Health, path: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
    await health.asgi()(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def run(body: Coroutine[Any, Any, None]) -> None:
    asyncio.run(body)


def test_all_is_well() -> None:
    """Status, version, time in UTC, and each check with its latency."""

    async def body() -> None:
        health = Health("1.2.3", [Check("database", Server().ask), loaded(lambda: True, name="model")])
        status, shown = await get(health, "/api/health")
        assert status == 200
        assert (shown["status"], shown["version"]) == ("healthy", "1.2.3")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown["timestamp"])
        assert shown["checks"].keys() == {"database", "model"}
        assert shown["checks"]["database"]["status"] == "healthy"
        assert shown["checks"]["database"]["latency_ms"] >= 0
        assert await get(health, "/livez") == (200, {"status": "healthy", "version": "1.2.3"})
        assert (await get(health, "/other"))[0] == 404
        assert (await get(health, "/readyz", "POST"))[0] == 405
        await health.close()

    run(body())


def test_hard_checks_decide_and_soft_ones_show() -> None:
    """A sick soft check is degraded and changes nothing; a sick hard one is 503."""

    async def body() -> None:
        database, mail = Server(), Server()
        health = Health("1", [Check("database", database.ask), Check("mail", mail.ask).soft()], fresh=0)
        mail.error = ConnectionError("secret address")
        status, shown = await get(health, "/readyz")
        assert (status, shown["status"], shown["checks"]["mail"]["status"]) == (200, "healthy", "degraded")
        assert shown["checks"]["mail"]["reason"] == "ConnectionError"
        database.error = Unwell("answered 500")
        status, shown = await get(health, "/readyz")
        assert (status, shown["status"]) == (503, "unhealthy")
        assert shown["checks"]["database"]["reason"] == "answered 500"
        assert "secret" not in json.dumps(shown)
        database.error = None
        assert (await get(health, "/readyz"))[0] == 200
        await health.close()

    run(body())


def test_a_check_that_hangs_costs_its_limit_once() -> None:
    """The others are seen, it is not begun again while it hangs, and when it ends it is well again."""

    async def body() -> None:
        slow, quick = Server(), Server()
        slow.gate.clear()
        health = Health("1", [Check("slow", slow.ask), Check("quick", quick.ask)], limit=0.05, fresh=0)
        for _ in range(3):
            found = await health.ready()
            assert not found.ready
            assert found.checks["slow"].reason == "no answer yet"
            assert found.checks["quick"].status == "healthy"
        assert (slow.asked, quick.asked) == (1, 3)
        assert found.checks["slow"].latency_ms > 100
        slow.gate.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (await health.ready()).ready
        await health.close()

    run(body())


def test_an_answer_is_given_again_and_looks_are_never_side_by_side() -> None:
    """A hundred probes at once are one look; within two seconds nobody is asked again; drain is seen at once."""

    async def body() -> None:
        server = Server()
        health = Health("1", [Check("database", server.ask)])
        found = await asyncio.gather(*(health.ready() for _ in range(100)))
        assert server.asked == 1
        server.error = OSError()
        assert await health.ready() is found[0] is found[99]
        server.error = None
        health.drain()
        drained = await health.ready()
        assert not drained.ready
        assert drained.status_code == 503
        assert drained.checks["database"].status == "healthy"
        await health.close()

    run(body())


def test_a_probe_that_hangs_up_ends_nothing() -> None:
    """The look goes on for the others."""

    async def body() -> None:
        server = Server()
        server.gate.clear()
        health = Health("1", [Check("database", server.ask)], limit=5)
        probes = [asyncio.create_task(health.ready()) for _ in range(2)]
        await asyncio.sleep(0)
        probes[0].cancel()
        server.gate.set()
        assert (await probes[1]).ready
        await health.close()

    run(body())


def test_ready_made_checks_of_this_process() -> None:
    """A model that is not loaded, and a worker that was not heard of, are not well."""

    async def body() -> None:
        state = {"loaded": False, "age": 100.0}
        checks = [loaded(lambda: bool(state["loaded"]), name="model"), heartbeat(lambda: state["age"], most=10)]
        health = Health("1", checks, fresh=0)
        found = await health.ready()
        assert {name: one.reason for name, one in found.checks.items()} == {
            "model": "not loaded yet",
            "worker": "last heard of 100 s ago",
        }
        state.update(loaded=True, age=3.0)
        assert (await health.ready()).ready
        await health.close()

    run(body())


def test_close_ends_what_hangs_and_closes_what_is_open() -> None:
    """Nothing is left behind."""

    async def body() -> None:
        server, closed = Server(), []
        server.gate.clear()

        async def close() -> None:
            closed.append(True)

        health = Health("1", [Check("database", server.ask, close=close)], limit=0.01)
        await health.ready()
        await health.close()
        assert closed == [True]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(body())


@pytest.mark.parametrize("name", ["database", "redis", "storage", "ml_service"])
def test_without_checks_a_process_that_lives_is_ready(name: str) -> None:
    """And the names of checks are the app's own."""

    async def body() -> None:
        assert (await Health("1").ready()).ready
        health = Health("1", [Check(name, Server().ask)])
        assert list((await health.ready()).checks) == [name]
        await health.close()

    run(body())


def test_each_check_has_a_name_of_its_own() -> None:
    """Or one would hide behind the other."""
    with pytest.raises(ValueError, match="same name"):
        Health("1", [loaded(lambda: True, name="model"), loaded(lambda: False, name="model")])
