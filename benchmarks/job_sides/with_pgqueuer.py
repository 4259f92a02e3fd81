"""PgQueuer's no-op job, in the peers' environment: `-m job_sides.with_pgqueuer fill NUMBER`, or `work`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import asyncpg
import uvloop
from pgqueuer import PgQueuer  # type: ignore[import-not-found]  # in the peers' environment
from pgqueuer.queries import Queries  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from pgqueuer.models import Job  # type: ignore[import-not-found]

URL = os.environ["DATABASE_URL"]


async def fill(number: int) -> None:
    """Install its tables and add jobs, 500 in a statement."""
    connection = await asyncpg.connect(URL)
    queries = Queries.from_asyncpg_connection(connection)
    await queries.install()
    for start in range(0, number, 500):
        count = min(500, number - start)
        await queries.enqueue(["noop"] * count, [b"{}"] * count, [0] * count)
    await connection.execute("vacuum analyze pgqueuer")


async def work() -> None:
    """As its benchmark does: batches of 50, and no cap on what runs at once, which is its default."""
    from job_sides.ran import ran

    queuer = PgQueuer.from_asyncpg_pool(await asyncpg.create_pool(URL, min_size=2, max_size=5))

    @queuer.entrypoint("noop")  # type: ignore[untyped-decorator]
    async def noop(job: Job) -> None:
        del job
        ran()

    await queuer.run(batch_size=50)


if __name__ == "__main__":
    uvloop.run(work() if sys.argv[1] == "work" else fill(int(sys.argv[2])))
