"""BullMQ's no-op job in Python, in the peers' environment: `-m job_sides.with_bullmq fill|drip NUMBER`, or `work`."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import uvloop
from bullmq import Queue, Worker  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from bullmq import Job

URL = os.environ["REDIS_URL"]


async def fill(number: int) -> None:
    """Add jobs, 500 in a call."""
    queue = Queue("noop", {"connection": URL})
    for start in range(0, number, 500):
        await queue.addBulk([{"name": "noop", "data": {}} for _ in range(min(500, number - start))])
    await queue.close()


async def drip(number: int) -> None:
    """Add jobs one by one, evenly over SECONDS."""
    queue = Queue("noop", {"connection": URL})
    for _ in range(number):
        await queue.add("noop", {})
        await asyncio.sleep(float(os.environ["SECONDS"]) / number)
    await queue.close()


async def work() -> None:
    """Fifty at once."""
    from job_sides.ran import ran

    async def noop(job: Job, token: str) -> None:
        del job, token
        ran()

    worker = Worker("noop", noop, {"connection": URL, "concurrency": 50})
    await asyncio.Event().wait()
    await worker.close()


if __name__ == "__main__":
    uvloop.run(work() if sys.argv[1] == "work" else {"fill": fill, "drip": drip}[sys.argv[1]](int(sys.argv[2])))
