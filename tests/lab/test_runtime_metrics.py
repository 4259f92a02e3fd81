"""Figures over real jobs: a worker that runs them, a database that goes away, and what Prometheus reads."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from tests.frozen import frozen
from tests.real_servers import Postgres

from towline_runtime.database import Database
from towline_runtime.doorbell import Doorbell, DoorbellAway, open_doorbell
from towline_runtime.jobs import Jobs
from towline_runtime.lease import Lease
from towline_runtime.metrics import CountedDoorbell, DatabaseFigures, Figures, metrics_asgi
from towline_runtime.migrations import migrate
from towline_runtime.outbox import enqueue_many
from towline_runtime.retry import Backoff
from towline_runtime.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from towline_runtime.running import Running

jobs = Jobs()


@jobs.kind("good")
async def good(job: Running, number: int) -> int:
    return number


@jobs.kind("bad", attempts=2, backoff=Backoff(first=0.01))
async def bad(job: Running) -> None:
    raise ConnectionError


def sample(text: str, name: str, /, **labels: str) -> float | None:
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == name and labels.items() <= one.labels.items():
                return float(one.value)
    return None


@asynccontextmanager
async def scraped(database: Database, figures: Figures, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    said = DatabaseFigures(database, figures.registry, fresh=0)
    transport = httpx.ASGITransport(metrics_asgi(figures.registry, said, **more))
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as client:
        yield client
    await said.close()


async def scrape(client: httpx.AsyncClient) -> str:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


def test_what_a_worker_does_is_counted(database_url: str) -> None:
    """Jobs by queue and state, attempts by kind and outcome, durations, the outbox and leases."""

    async def body() -> None:
        async with Database.open(database_url, most=10) as database, database.connection() as connection:
            figures = Figures()
            async with scraped(database, figures) as client:
                await connection.fetch(*enqueue_many([good.enqueue(n) for n in range(20)]).asyncpg())
                await connection.fetch(*enqueue_many([good.with_(delay=3600).enqueue(n) for n in range(3)]).asyncpg())
                await connection.fetchrow(*bad.enqueue().asyncpg())
                await Lease(database, "relay:default", "me").take()
                before = await scrape(client)
                assert sample(before, "towline_jobs", queue="default", state="ready") == 21
                assert sample(before, "towline_jobs", queue="default", state="delayed") == 3
                assert (sample(before, "towline_oldest_job_seconds", state="ready") or 0) > 0
                assert sample(before, "towline_outbox_rows", queue="default") == 21
                assert (sample(before, "towline_outbox_lag_seconds", queue="default") or 0) > 0
                assert sample(before, "towline_lease_held", name="relay:default") == 1
                assert sample(before, "towline_database_up") == 1

                async with open_doorbell("postgres:", database, ["default"]) as bell:
                    worker = Worker(jobs, database, bell, WorkerOptions(), figures)
                    running = asyncio.create_task(worker.run())
                    with anyio.fail_after(60):
                        while sample(await scrape(client), "towline_jobs", state="dead") != 1:
                            await asyncio.sleep(0.05)
                        while sample(await scrape(client), "towline_jobs", state="ready"):
                            await asyncio.sleep(0.05)
                    worker.stop()
                    await running
                after = await scrape(client)
                assert sample(after, "towline_attempts_total", kind="good", outcome="done") == 20
                assert sample(after, "towline_attempts_total", kind="bad", outcome="retry") == 1
                assert sample(after, "towline_attempts_total", kind="bad", outcome="dead") == 1
                assert sample(after, "towline_attempt_seconds_count", kind="good") == 20
                assert sample(after, "towline_claimed_jobs_total") == 22
                assert sample(after, "towline_running_jobs", kind="good") == 0
                assert sample(after, "towline_jobs", state="ready") is None

    asyncio.run(body())


def test_a_scrape_answers_whatever_the_database_does(tmp_path: Path) -> None:
    """Frozen: the older figures, marked as such, after two seconds. Back: new ones."""

    async def body(server: Postgres) -> None:
        async with Database.open(server.url) as database:
            figures = Figures()
            figures.claimed(7)
            async with scraped(database, figures) as client:
                async with database.connection() as connection:
                    await connection.fetch(*good.enqueue(1).asyncpg())
                assert sample(await scrape(client), "towline_jobs", state="ready") == 1
                with frozen(server), anyio.fail_after(20):
                    text = await scrape(client)
                assert sample(text, "towline_database_up") == 0
                assert sample(text, "towline_jobs", state="ready") == 1
                assert (sample(text, "towline_figures_age_seconds") or 0) > 1
                assert sample(text, "towline_claimed_jobs_total") == 7
                with anyio.fail_after(60):
                    while sample(await scrape(client), "towline_database_up") != 1:
                        await asyncio.sleep(0.05)

    with Postgres(tmp_path) as server:
        asyncio.run(migrate(server.url))
        asyncio.run(body(server))


def test_without_tables_the_process_still_has_figures(postgres: Postgres) -> None:
    """A database that was never migrated is not an error of the scrape."""

    async def body() -> None:
        async with Database.open(postgres.url) as database, scraped(database, Figures()) as client:
            text = await scrape(client)
            assert sample(text, "towline_database_up") == 0
            assert sample(text, "process_cpu_seconds_total") is not None

    asyncio.run(body())


def test_a_scrape_may_need_a_token(database_url: str) -> None:
    """Where the port is not private."""

    async def body() -> None:
        async with Database.open(database_url) as database, scraped(database, Figures(), token="t0ken") as client:
            for given in ("", "Bearer", "Bearer wrong", "Bearer t0ken "):
                assert (await client.get("/metrics", headers={"authorization": given})).status_code == 401
            assert (await client.get("/metrics", headers={"authorization": "Bearer t0ken"})).status_code == 200
            modern = {"authorization": "Bearer t0ken", "accept": "application/openmetrics-text"}
            assert (await client.get("/metrics", headers=modern)).text.endswith("# EOF\n")

    asyncio.run(body())


def test_many_scrapes_are_one_question(database_url: str) -> None:
    """However many ask at once, and again within the time that figures are fresh."""

    async def body() -> None:
        async with Database.open(database_url) as database:
            asked: list[str] = []

            class Counting:
                async def fetch(self, name: str) -> Any:
                    asked.append(name)
                    return await database.fetch(name)

            said = DatabaseFigures(Counting(), CollectorRegistry())  # type: ignore[arg-type]
            await asyncio.gather(*(said.refresh() for _ in range(20)))
            await said.refresh()
            assert sorted(asked) == ["figures", "leases_held", "outbox_figures"]

    asyncio.run(body())


def test_errors_of_a_doorbell_are_counted(database_url: str) -> None:
    """By doorbell and call; they are raised all the same."""

    async def body() -> None:
        async with Database.open(database_url) as database, open_doorbell("postgres:", database, ["q"]) as real:
            figures = Figures()

            class Failing:
                scheme = "redis"

                async def waiting(self, queue: str) -> int | None:
                    raise DoorbellAway

            failing: Doorbell = CountedDoorbell(Failing(), figures)  # type: ignore[arg-type]
            with pytest.raises(DoorbellAway):
                await failing.waiting("q")
            whole: Doorbell = CountedDoorbell(real, figures)
            assert (whole.scheme, await whole.waiting("q"), await whole.tidy(["q"]), await whole.ring([])) == (
                "postgres",
                None,
                0,
                [],
            )
            async with scraped(database, figures) as client:
                text = await scrape(client)
            assert sample(text, "towline_doorbell_errors_total", doorbell="redis", call="waiting") == 1
            assert sample(text, "towline_doorbell_errors_total", doorbell="postgres") is None

    asyncio.run(body())
