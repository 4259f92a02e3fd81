"""Jobs that run in processes of their own, and what may happen to those."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from towline_runtime.errors import GiveUp
from towline_runtime.jobs import Jobs
from towline_runtime.retry import Backoff

if TYPE_CHECKING:
    from towline_runtime.running import Running

jobs = Jobs()
SOON = Backoff(first=0.01)


class Odd(Exception):
    """Cannot be made from its own arguments, and so not go through a pipe."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


@jobs.kind("square", runs="process")
def square(job: Running, number: int) -> dict[str, int | str | None]:
    job.progress(0.5, "half")
    return {"square": number * number, "process": os.getpid(), "correlation": job.correlation_id}


@jobs.kind("crash", runs="process", attempts=2, backoff=SOON)
def crash(job: Running) -> str:
    if job.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@jobs.kind("leave", runs="process", attempts=1)
def leave(job: Running) -> None:
    os._exit(3)


@jobs.kind("fail", runs="process", attempts=1)
def fail(job: Running, how: str) -> None:
    if how == "odd":
        raise Odd("first", "second")
    if how == "exit":
        raise SystemExit(7)
    raise GiveUp("no further attempt can help")


@jobs.kind("linger", runs="process", attempts=1, limit=6.0)
def linger(job: Running, here: str) -> None:
    Path(here).write_text(str(os.getpid()))
    time.sleep(600)


@jobs.kind("patient", runs="process")
def patient(job: Running, here: str) -> None:
    Path(here).write_text(str(os.getpid()))
    time.sleep(600)


@jobs.kind("write", runs="process", attempts=1)
def write(job: Running) -> None:
    job.from_thread(job.remember({"not": "here"}))
