"""Jobs from a Node producer, by BullMQ from npm over a real Valkey, into a real Postgres."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from bullmq import Queue  # type: ignore[import-untyped]
from bullmq.job import Job  # type: ignore[import-untyped]
from tests.job_scenes import ask, in_a_loop, until
from tests.lab.bullmq_programs import produce
from tests.real_servers import Postgres, Valkey

from towline_runtime.bridges.bullmq import BullmqIntake
from towline_runtime.database import Database
from towline_runtime.jobs import Jobs
from towline_runtime.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.needs("node", "npm")

jobs = Jobs()
ROWS = "select id, kind, queue, key, payload, state::text, max_attempts from towline.job order by id"


@jobs.kind("resize-photo", queue="images", attempts=7)
async def resize(job: Any, photo: str, width: int = 800) -> None:
    """The kind that Node knows as `resize`."""
    raise NotImplementedError


@asynccontextmanager
async def intake(url: str, redis_url: str, queue: str) -> AsyncIterator[Database]:
    """An intake at work."""
    async with Database.open(url) as database:
        working = asyncio.create_task(BullmqIntake(redis_url, queue, {"resize": resize}, database).run())
        try:
            yield database
            assert not working.done(), working
        finally:
            working.cancel()
            await asyncio.wait({working})


@in_a_loop
async def test_jobs_of_a_node_producer(database_url: str, valkey: Valkey) -> None:
    """Known names become jobs with checked arguments; the others fail at once, and the producer is told why."""
    queue = f"photos-{uuid.uuid4().hex}"
    given: list[dict[str, Any]] = [
        {"name": "resize", "data": {"photo": "ü.jpg", "width": 3}},
        {"name": "resize", "data": {"photo": "later.jpg"}, "opts": {"delay": 300, "jobId": "my-own"}},
        {"name": "mail", "data": {}, "opts": {"attempts": 5}},
        {"name": "resize", "data": {"width": "wide"}, "opts": {"attempts": 5}},
        {"name": "resize", "data": [1], "opts": {"attempts": 5}},
        {"name": "resize", "data": {"photo": "a\0b"}},
    ]
    async with intake(database_url, valkey.url, queue) as database:
        ends = await asyncio.to_thread(produce, valkey.url, queue, given)
        rows = await ask(database, ROWS)
    first, later = rows
    assert ends[0]["value"] == {"job": first["id"]}
    assert ends[1]["value"] == {"job": later["id"]}
    assert ends[2]["failed"] == "No kind of job is known here as 'mail'; known: resize"
    assert ends[3]["failed"].startswith("The payload does not fit `resize-photo`: photo: Field required; width: Input")
    assert "Input should be an object" in ends[4]["failed"]
    assert "NUL" in ends[5]["failed"]
    assert [(row["kind"], row["queue"], row["state"], row["max_attempts"]) for row in rows] == [
        ("resize-photo", "images", "ready", 7)
    ] * 2
    assert [json.loads(row["payload"]) for row in rows] == [
        {"photo": "ü.jpg", "width": 3},
        {"photo": "later.jpg", "width": 800},
    ]
    assert later["key"].startswith(f"bullmq:{queue}:my-own:")


@in_a_loop
async def test_handed_over_twice_added_once(database_url: str, valkey: Valkey) -> None:
    """BullMQ hands a job over again, as after a crash between our commit and its completion: the same job comes back.

    A later job with the same id, as after Redis was emptied, is another job.
    """
    name = f"photos-{uuid.uuid4().hex}"
    queue = Queue(name, {"connection": valkey.url})
    async with intake(database_url, valkey.url, name) as database:
        added = await queue.add("resize", {"photo": "a.jpg"}, {"jobId": "a", "removeOnComplete": False})
        await until(lambda: _completed(queue, "a"), "the first hand-over")
        first = (await Job.fromId(queue, "a")).returnvalue
        await added.retry("completed")
        await until(lambda: _completed(queue, "a"), "the second hand-over")
        again = await Job.fromId(queue, "a")
        assert again.returnvalue == first
        assert len(await ask(database, ROWS)) == 1
        await queue.remove("a")
        await queue.add("resize", {"photo": "b.jpg"}, {"jobId": "a", "removeOnComplete": False})
        await until(lambda: _completed(queue, "a"), "the new job")
        assert len(await ask(database, ROWS)) == 2
    await queue.close()


@in_a_loop
async def test_servers_that_go_and_come(tmp_path: Path) -> None:
    """Started before Redis; then Redis, and then Postgres, stop and come back: nothing is lost."""
    redis, server = Valkey(tmp_path / "redis"), Postgres(tmp_path / "postgres")
    with server:
        await migrate(url := server.create("app"))
        try:
            async with intake(url, redis.url, "photos") as database:
                await asyncio.to_thread(redis.start)
                await asyncio.to_thread(_one, redis.url, "1.jpg")
                redis.stop()
                await asyncio.to_thread(redis.start)
                await asyncio.to_thread(_one, redis.url, "2.jpg")
                server.stop()
                adding = asyncio.create_task(asyncio.to_thread(_one, redis.url, "3.jpg"))
                await asyncio.sleep(0.5)  # the intake meets no server
                await asyncio.to_thread(server.start)
                await adding
                photos = [json.loads(row["payload"])["photo"] for row in await ask(database, ROWS)]
                assert photos == ["1.jpg", "2.jpg", "3.jpg"]
        finally:
            redis.kill()


def _one(redis_url: str, photo: str) -> None:
    (end,) = produce(redis_url, "photos", [{"name": "resize", "data": {"photo": photo}}])
    assert "value" in end, end


async def _completed(queue: Any, job: str) -> bool:
    return bool(await queue.getJobState(job) == "completed")
