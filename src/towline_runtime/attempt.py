"""One attempt inside its worker: the job's handle, with what only the worker needs to know of it."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING

from towline_runtime.running import Running

if TYPE_CHECKING:
    from towline_runtime.claims import Claim
    from towline_runtime.running import Desk
    from towline_runtime.served import Served


class Stop(Enum):
    """Why an attempt was told to end before its function did."""

    LOST = "the lease is lost: another worker may have the job"
    ASKED = "somebody asked to cancel the job"
    DRAIN = "the worker ends"


class Attempt(Running):
    """From the claim until its outcome is written; times are the event loop's clock."""

    __slots__ = ("began", "claimed", "ended", "held_until", "served", "stop", "task")

    def __init__(self, claim: Claim, desk: Desk, served: Served | None, claimed: float, lease: float) -> None:
        super().__init__(claim, desk)
        self.served = served
        self.claimed = claimed
        self.held_until = claimed + lease
        self.began = 0.0
        self.ended = False
        self.stop: Stop | None = None
        self.task: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raise CancelledError when it was told to end before it began."""
        if self.stopped:
            raise asyncio.CancelledError

    def end(self, stop: Stop) -> None:
        """Tell it to end; the first reason stays, but for a lost lease, after which nothing may be written."""
        if self.stop is None or stop is Stop.LOST:
            self.stop = stop
        if not self.stopped:
            self.stopped = True
            # A task that is cancelled before its first step would never take it: this one looks at `stopped` then.
            if self.task is not None and self.began:
                self.task.cancel()
