"""Jobs whose effect is a plain insert, without any constraint that would hide a second one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from towline_runtime.jobs import Jobs
from towline_runtime.retry import Backoff

if TYPE_CHECKING:
    from towline_runtime.running import Running

TABLE = "create table effect (job bigint, attempt integer)"
jobs = Jobs()


@jobs.kind("note", backoff=Backoff(first=0.1, most=1.0), attempts=50)
async def note(job: Running, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await _leave_effect(job)


@jobs.kind("stay_once")
async def stay_once(job: Running) -> None:
    if job.attempt == 1:
        await asyncio.sleep(600)
    await _leave_effect(job)


@jobs.kind("stay", max_job=600)
async def stay(job: Running) -> None:
    await asyncio.sleep(600)


@jobs.kind("block", max_job=600)
def block(job: Running) -> None:
    time.sleep(600)


async def _leave_effect(job: Running) -> None:
    async with job.finish() as tx:
        await tx.execute("insert into effect values ($1, $2)", job.id, job.attempt)
        await tx.execute("select pg_sleep(0.05)")  # so that a fault also finds transactions that are open
