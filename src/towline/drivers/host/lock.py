"""The lock of a target on its host: a lease by the host's own monotonic clock, one round trip a question."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from towline.drivers.host.programs import quote
from towline.steps.model import Lease

if TYPE_CHECKING:
    from towline.drivers.host.target import Target

PATIENCE: Final = 10
"""Seconds that a new holder waits for a step of an earlier one that is still at work."""


class Lock:
    """The lock of one target; the fence outlives every release of it."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def acquire_and(self, owner: str, seconds: float, question: str, *parts: str) -> tuple[Lease, bytes]:
        """A new lease with a higher fence, and the answer to a question that is asked under it in the same round trip.

        Raises LockHeld while somebody else holds an unexpired one, or a step of an earlier one goes on and on. When the
        question fails, the lock is given back there at once.
        """
        call = f"acquire {quote(json.dumps(owner))} {_hundredths(seconds)} {PATIENCE}\n"
        asked = f"{call}(\n{question}exit 0\n)\nor_give_back $?\n"
        lease, _, answer = self._target.ask_bytes(asked, *parts, within=PATIENCE + 30.0).partition(b"\n")
        return Lease(owner, int(lease.removeprefix(b"lease "))), answer

    def renew(self, lease: Lease, seconds: float) -> None:
        """Extend a lease. Raises Fenced when a newer one was given."""
        self._target.ask(f"renew {lease.fence} {_hundredths(seconds)} {quote(json.dumps(lease.owner))}\n")

    def release(self, lease: Lease) -> None:
        """Give it back; the fence stays. No-op when a newer lease was given."""
        self._target.ask(f"give_back {lease.fence}\n")


def _hundredths(seconds: float) -> int:
    return max(0, round(seconds * 100))
