"""Towline's no-op job: `job_sides.ours:jobs` for a worker, and `-m job_sides.ours NUMBER` to add some."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from job_sides.ran import ran
from towline_runtime.database import Database
from towline_runtime.jobs import Jobs
from towline_runtime.outbox import enqueue_many

if TYPE_CHECKING:
    from towline_runtime.running import Running

jobs = Jobs()


@jobs.kind("noop")
async def noop(job: Running) -> None:
    """Count."""
    del job
    ran()


async def fill(number: int) -> None:
    """Add jobs, 500 in a statement."""
    async with Database.open(os.environ["DATABASE_URL"]) as database, database.connection() as connection:
        for start in range(0, number, 500):
            some = [noop.enqueue() for _ in range(min(500, number - start))]
            await connection.fetch(*enqueue_many(some).asyncpg())
        await connection.execute("vacuum analyze towline.job")


if __name__ == "__main__":
    asyncio.run(fill(int(sys.argv[1])))
