"""A job that notes when it began, for `pickup`; and one that hangs at its first attempt, for `kill`."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from typing import TYPE_CHECKING

from towline_runtime.jobs import Jobs

if TYPE_CHECKING:
    from towline_runtime.running import Running

LINE = struct.Struct("<qqd")
"""What is noted of each start: the job's id, the number of its attempt, the machine's monotonic clock."""

jobs = Jobs()
_FILE = os.open(os.environ["RAN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _began(job: Running) -> None:
    os.write(_FILE, LINE.pack(job.id, job.attempt, time.monotonic()))


@jobs.kind("begin")
async def begin(job: Running) -> None:
    """Note the start."""
    _began(job)


@jobs.kind("hold", max_job=1, attempts=3)
async def hold(job: Running) -> None:
    """Hang at the first attempt; at the next, leave one effect that nothing but the finish keeps from doubling."""
    _began(job)
    if job.attempt == 1:
        await asyncio.sleep(3600)
    async with job.finish() as connection:
        await connection.execute("insert into effect (job) values ($1)", job.id)
