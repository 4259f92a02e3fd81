"""Jobs that leave a row in a table without any unique constraint: an effect that happened twice would show."""

from __future__ import annotations

from towline_runtime.jobs import Jobs
from towline_runtime.running import Running  # noqa: TC001  # the runtime reads the annotation

jobs = Jobs()


@jobs.kind("mark", queue="marks")
async def mark(job: Running) -> None:
    async with job.finish() as transaction:
        await transaction.execute("insert into effect (job) values ($1)", job.id)
