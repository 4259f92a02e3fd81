"""An outlet as a process of its own, to be killed: database, Redis and queue are its arguments."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from towline_runtime.bridges.bullmq import BullmqOutlet
from towline_runtime.bridges.bullmq_outlet import OutletOptions
from towline_runtime.database import Database
from towline_runtime.jobs import Jobs
from towline_runtime.retry import Backoff

jobs = Jobs()


@jobs.kind("paint", backoff=Backoff(first=0.1))
async def paint(  # what Node's program understands
    job: Any,
    milliseconds: int = 0,
    failures: int = 0,
    fatal: str | None = None,
    value: Any = None,
    progress: Any = (),
) -> Any:
    """Done by Node; this is its signature."""
    raise NotImplementedError


async def main(database_url: str, redis_url: str, queue: str) -> None:
    """Hand jobs over until killed."""
    async with Database.open(database_url) as database:
        await BullmqOutlet(redis_url, queue, [paint], database, OutletOptions(lease=1.0, look=0.05)).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
