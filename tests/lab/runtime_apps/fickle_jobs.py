"""Jobs that fail, wait and succeed as they are told."""

from __future__ import annotations

import asyncio

from towline_runtime.errors import GiveUp
from towline_runtime.jobs import Jobs
from towline_runtime.running import Running  # noqa: TC001  # the runtime reads the annotation

not_jobs = 7
jobs = Jobs()


@jobs.kind("good", queue="mixed")
async def good(job: Running, word: str = "yes") -> dict[str, str]:
    job.progress(1.0, "all of it")
    return {"word": word}


@jobs.kind("bad", queue="mixed")
async def bad(job: Running) -> None:
    raise GiveUp("the photo is empty")


@jobs.kind("long", queue="mixed")
async def long(job: Running) -> None:
    await asyncio.sleep(600)
