"""Keeps the leases of everything a worker has claimed, and learns which jobs must stop."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import asyncpg

from towline_runtime.attempt import Attempt, Stop
from towline_runtime.database import AWAY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from towline_runtime.claims import Beat, Claims

log = logging.getLogger(__name__)
LOOK = 1.5  # seconds between two looks for cancel requests
AGAIN = 0.25  # seconds until a failed beat is tried again
BLOCKED = 1.0  # seconds that the event loop may be late before it is worth a line


class Heart:
    """One statement renews every lease, three times a lease; in between a read only one asks who must stop.

    By the worker's own monotonic clock a lease counts from when the claim or the last successful beat was sent: once it
    has surely run out, the job is stopped, whether or not the database can be asked, since another worker may have it.
    """

    def __init__(self, claims: Claims, held: Mapping[int, Attempt], stop: Callable[[Attempt, Stop], None]) -> None:
        self._claims = claims
        self._held = held
        self._stop = stop
        self._clock = asyncio.get_running_loop().time
        self._pace = claims.lease / 3
        self._next_beat = 0.0
        self._failures = 0

    async def beat(self) -> None:
        """Beat and look, for ever."""
        self._next_beat = self._clock() + self._pace
        while True:
            await asyncio.sleep(min(self._pace, AGAIN if self._failures else LOOK))
            attempts = list(self._held.values())
            if not attempts or await self._once(attempts):
                self._failures = 0

    async def watch(self) -> None:
        """Stop jobs whose lease has surely run out, for ever."""
        tick = min(self._claims.lease / 10, 0.5)
        while True:
            slept = self._clock()
            await asyncio.sleep(tick)
            now = self._clock()
            if now - slept > tick + BLOCKED:
                log.warning(
                    "the event loop was blocked: what computes for long belongs in a thread or a process",
                    extra={"seconds": round(now - slept - tick, 3)},
                )
            for attempt in [one for one in self._held.values() if one.held_until < now]:
                self._stop(attempt, Stop.LOST)

    async def _once(self, attempts: Sequence[Attempt]) -> bool:
        sent = self._clock()
        renewing = sent >= self._next_beat
        call = self._claims.beat if renewing else self._claims.look
        beats = await self._answered(asyncio.ensure_future(call([one.claim for one in attempts])))
        if beats is None:
            return False
        if renewing:
            self._next_beat = sent + self._pace
        told = {beat.id: beat for beat in beats}
        for attempt in attempts:
            if self._held.get(attempt.id) is attempt:
                self._heed(attempt, told[attempt.id], sent + self._claims.lease if renewing else 0.0)
        return True

    def _heed(self, attempt: Attempt, beat: Beat, held_until: float) -> None:
        if not beat.held:
            self._stop(attempt, Stop.LOST)
            return
        attempt.held_until = max(attempt.held_until, held_until)
        if beat.cancel_asked and not attempt.ended:
            self._stop(attempt, Stop.ASKED)

    async def _answered(self, asked: asyncio.Future[list[Beat]]) -> list[Beat] | None:
        """The answer, unless the server is away or so slow that another connection is worth a try."""
        asked.add_done_callback(_forget)
        try:
            done, _ = await asyncio.wait({asked}, timeout=max(self._pace, 0.1))
        finally:
            # Not awaited: cancelling a statement waits for the same silent server.
            asked.cancel()
        if not done:
            self._complain("no answer")
            return None
        try:
            return asked.result()
        except (asyncpg.PostgresError, *AWAY) as error:
            self._complain(type(error).__name__)
            return None

    def _complain(self, error: str) -> None:
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:  # the first, and then ever more seldom
            log.warning("heartbeat failed", extra={"error": error, "times": self._failures})


def _forget(asked: asyncio.Future[list[Beat]]) -> None:
    if not asked.cancelled():
        asked.exception()
