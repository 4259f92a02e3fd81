"""Runs claimed jobs in so many slots, and decides what follows from how each attempt ends."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from typing import TYPE_CHECKING

from towline_runtime.attempt import Attempt, Stop
from towline_runtime.errors import LeaseLost, PayloadInvalid
from towline_runtime.logs import correlated
from towline_runtime.pulse import Pulse
from towline_runtime.retry import judge
from towline_runtime.served import CROWDED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from towline_runtime.claims import Claim
    from towline_runtime.desk import WorkerDesk
    from towline_runtime.observer import Observer, Outcome
    from towline_runtime.served import Served
    from towline_runtime.settlement import Settlement

log = logging.getLogger(__name__)
UNKNOWN = 2.0  # seconds until a job that this worker is too old for may be claimed again
SAID = 60.0  # seconds between two lines about the same unknown kind
STALE = 1.0  # seconds after which a job that was claimed ahead goes to a worker that has a slot


class Crew:
    """Everything that one worker has claimed: what waits for a slot, what runs, and what is not written yet."""

    def __init__(self, served: Mapping[str, Served], slots: int, lease: float, observer: Observer) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._served = served
        self._slots = slots
        self._lease = lease
        self._observer = observer
        self._said: dict[str, float] = {}
        self._waiting: deque[Attempt] = deque()
        self._admitted = 0.0
        self._draining = False
        self._active: set[Attempt] = set()
        self.held: dict[int, Attempt] = {}
        self.pulse = Pulse()
        self.freed = asyncio.Event()
        self.desk: WorkerDesk
        self.settlement: Settlement

    @property
    def active(self) -> list[Attempt]:
        """Attempts whose function runs."""
        return list(self._active)

    @property
    def free(self) -> int:
        """Empty slots; nothing waits while there are any."""
        return self._slots - len(self._active)

    @property
    def waiting(self) -> int:
        """Jobs that were claimed ahead."""
        return len(self._waiting)

    def admit(self, claims: Sequence[Claim], claimed: float) -> None:
        """Start what there is a slot for, keep what will have one in a moment, hand the rest back.

        `claimed` is a time before the claims were sent, by the loop's clock.
        """
        self._observer.claimed(len(claims))
        self._admitted = self._clock()
        for claim in claims:
            served = self._served.get(claim.kind)
            attempt = Attempt(claim, self.desk, served, claimed, self._lease)
            self.held[claim.id] = attempt
            if served is None or claim.version > served.version:
                self._too_new(attempt)
            elif self._draining:
                self._unstarted(attempt, 0.0)
            elif served.room() < 1:
                served.shut_until = self._admitted + CROWDED
                self._unstarted(attempt, random.uniform(CROWDED, 5 * CROWDED))  # noqa: S311  # no secret
            else:
                served.take()
                self._waiting.append(attempt)
        self._fill()

    def stop(self, attempt: Attempt, stop: Stop) -> None:
        """Make an attempt end; after a lost lease nothing of it is written."""
        if stop is Stop.LOST:
            self.settled(attempt)
        if attempt.ended:
            return
        if stop is Stop.LOST and not attempt.stopped:
            log.warning("lease lost", extra=_of(attempt))
        attempt.end(stop)
        if attempt.task is None:
            self._waiting.remove(attempt)
            self._leave(attempt)
            self._stopped(attempt, stop)

    def drain(self) -> None:
        """Start nothing more, and hand back what has not begun."""
        self._draining = True
        self._hand_back_waiting()

    def hand_back_stale(self) -> None:
        """Give up what was claimed ahead when the slots did not become free as fast as before."""
        if self._waiting and self._clock() > self._admitted + STALE:
            self._hand_back_waiting()

    def settled(self, attempt: Attempt) -> None:
        """Forget an attempt: how it ended is written, or may not be written."""
        if self.held.get(attempt.id) is attempt:
            del self.held[attempt.id]

    def _too_new(self, attempt: Attempt) -> None:
        now = self._clock()
        claim = attempt.claim
        if now > self._said.get(claim.kind, 0.0):
            self._said[claim.kind] = now + SAID
            log.warning("left to a newer worker", extra={**_of(attempt), "version": claim.version})
        self._unstarted(attempt, UNKNOWN * random.uniform(0.75, 1.25))  # noqa: S311  # no secret

    def _hand_back_waiting(self) -> None:
        while self._waiting:
            attempt = self._waiting.popleft()
            self._leave(attempt)
            self._unstarted(attempt, 0.0)

    def _unstarted(self, attempt: Attempt, delay: float) -> None:
        attempt.ended = True
        self.settlement.hand_back(attempt, delay)

    def _leave(self, attempt: Attempt) -> None:
        """An attempt that never began gives its places back."""
        attempt.ended = True
        assert attempt.served is not None  # noqa: S101  # only served kinds are taken
        attempt.served.held -= 1
        attempt.served.place.book(-1)

    def _fill(self) -> None:
        while self._waiting and len(self._active) < self._slots:
            attempt = self._waiting.popleft()
            self._active.add(attempt)
            attempt.task = self._loop.create_task(self._run(attempt))

    async def _run(self, attempt: Attempt) -> None:
        served = attempt.served
        assert served is not None  # noqa: S101  # only served kinds are taken
        attempt.began = self._clock()
        self._observer.started(served.kind.name)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("started", extra=_of(attempt))
        try:
            with correlated(attempt.claim.correlation_id):
                result = await served.perform(attempt)
        except BaseException as error:  # noqa: BLE001  # also an exit() of a library is this one job's failure
            outcome = self._failed(attempt, error)
        else:
            outcome = self._succeeded(attempt, result)
        self._ended(attempt, served, outcome)

    def _ended(self, attempt: Attempt, served: Served, outcome: Outcome) -> None:
        now = self._clock()
        seconds = now - attempt.began
        attempt.ended = True
        served.held -= 1
        self._active.discard(attempt)
        self.pulse.count(now, seconds)
        self._observer.finished(served.kind.name, outcome, seconds)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("ended", extra={**_of(attempt), "outcome": outcome, "seconds": round(seconds, 6)})
        self._fill()
        self.freed.set()

    def _succeeded(self, attempt: Attempt, result: str | None) -> Outcome:
        if attempt.stop is Stop.LOST:
            return "lost"
        if attempt.finished:
            self.settled(attempt)
        else:
            self.settlement.done(attempt, result)
        return "done"

    def _failed(self, attempt: Attempt, error: BaseException) -> Outcome:
        if attempt.finished:
            log.warning("failed after it was finished", extra=_of(attempt), exc_info=error)
            self.settled(attempt)
            return "done"
        if attempt.stop is not None:
            return self._stopped(attempt, attempt.stop)
        if isinstance(error, LeaseLost):
            self.settled(attempt)
            return "lost"
        return self._judged(attempt, error)

    def _stopped(self, attempt: Attempt, stop: Stop) -> Outcome:
        if stop is Stop.ASKED:
            self.settlement.cancelled(attempt)
            return "cancelled"
        if stop is Stop.DRAIN:
            self.settlement.hand_back(attempt, 0.0)
            return "released"
        return "lost"

    def _judged(self, attempt: Attempt, error: BaseException) -> Outcome:
        claim = attempt.claim
        # A payload or a result that does not fit now will never fit.
        attempts = claim.attempt if isinstance(error, PayloadInvalid) else claim.attempts
        assert attempt.served is not None  # noqa: S101  # it ran
        backoff = attempt.served.kind.options.backoff
        verdict = judge(error, claim.attempt, attempts, backoff, random.random())  # noqa: S311  # no secret
        told = {**_of(attempt), "error": type(error).__name__}
        trace = None if isinstance(error, PayloadInvalid) else error
        if verdict.delay is None:
            log.error("job is dead", extra=told, exc_info=trace)
            self.settlement.bury(attempt, verdict.reason)
            return "dead"
        log.warning("attempt failed", extra={**told, "again_in": round(verdict.delay, 3)}, exc_info=trace)
        self.settlement.retry(attempt, verdict.reason, verdict.delay)
        return "retry"


def _of(attempt: Attempt) -> dict[str, object]:
    return {"job": attempt.id, "kind": attempt.kind, "attempt": attempt.attempt}
