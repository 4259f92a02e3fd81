"""The worker: takes one analysis after the other, and ends with the one in hand when it is asked to."""

import json
import logging
import os
import signal
import tempfile
from pathlib import Path
from types import FrameType

import redis

from worker.analysis import analyse

QUEUE, HANDS = "repo-analysis", "repo-analysis:in-hand"
SANDBOX = Path(os.environ.get("SANDBOX_DIR") or Path(tempfile.gettempdir(), "repolens-sandboxes"))

log = logging.getLogger("worker")

stopping = False


def stop(_number: int, _frame: FrameType | None) -> None:
    """Take no more jobs."""
    global stopping  # noqa: PLW0603 - the only thing that a signal can reach
    stopping = True


def work(queue: redis.Redis) -> None:
    """Take jobs until it is asked to stop; what a killed worker had in hand comes first."""
    while queue.lmove(HANDS, QUEUE, "RIGHT", "RIGHT") is not None:
        pass
    log.info("listening for jobs on queue: %s", QUEUE)
    while not stopping:
        raw = queue.blmove(QUEUE, HANDS, 1, "RIGHT", "LEFT")
        if raw is None:
            continue
        job = json.loads(raw)
        found = analyse(job["text"], SANDBOX)
        queue.hset(f"analysis:{job['id']}", mapping={"state": "done", **found})
        queue.lrem(HANDS, 1, raw)


def main() -> None:
    """Connect and work."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    signal.signal(signal.SIGTERM, stop)
    SANDBOX.mkdir(parents=True, exist_ok=True)
    with redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as queue:
        queue.ping()
        log.info("connected to redis")
        work(queue)
    log.info("every job in hand is done")


if __name__ == "__main__":
    main()
