"""Procrastinate's no-op job, in the peers' environment: `-m job_sides.with_procrastinate fill NUMBER`, or `work`."""

from __future__ import annotations

import os
import sys

import uvloop
from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found]  # in the peers' environment

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"], max_size=10))


@app.task(name="noop", queue="noop")  # type: ignore[untyped-decorator]
async def noop() -> None:
    """Count."""
    from job_sides.ran import ran

    ran()


async def fill(number: int) -> None:
    """Install its tables and add jobs, 500 in a statement."""
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for start in range(0, number, 500):
            await noop.batch_defer_async(*[{} for _ in range(min(500, number - start))])
        await app.connector.execute_query_async("analyze procrastinate_jobs")


async def work() -> None:
    """Fifty at once."""
    async with app.open_async():
        await app.run_worker_async(queues=["noop"], concurrency=50, install_signal_handlers=False)


if __name__ == "__main__":
    uvloop.run(work() if sys.argv[1] == "work" else fill(int(sys.argv[2])))
