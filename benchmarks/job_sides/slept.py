"""A job that takes 50 ms, for `capacity`: it notes when it began and when it ended."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from typing import TYPE_CHECKING

from towline_runtime.jobs import Jobs

if TYPE_CHECKING:
    from towline_runtime.running import Running

SECONDS = 0.05
LINE = struct.Struct("<qdd")
"""What is noted of each job: its id, and the machine's monotonic clock at its beginning and at its end."""

jobs = Jobs()
_FILE = os.open(os.environ["RAN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@jobs.kind("slept")
async def slept(job: Running) -> None:
    """Wait as long as a job takes that asks somebody else."""
    began = time.monotonic()
    await asyncio.sleep(SECONDS)
    os.write(_FILE, LINE.pack(job.id, began, time.monotonic()))
