"""Celery's no-op job, in the peers' environment: `-m job_sides.with_celery fill NUMBER`; its own command runs it."""

from __future__ import annotations

import os
import sys

from celery import Celery  # type: ignore[import-not-found]  # in the peers' environment

app = Celery("noop", broker=os.environ["REDIS_URL"])
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=50, broker_connection_retry_on_startup=True)


@app.task(name="noop")  # type: ignore[untyped-decorator]
def noop() -> None:
    """Count."""
    from job_sides.ran import ran

    ran()


if __name__ == "__main__":
    for _ in range(int(sys.argv[2])):
        noop.delay()
