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

    def acquire(self, owner: str, seconds: float) -> Lease:
        """A new lease with a higher fence.

        Raises LockHeld while somebody else holds an unexpired one, or a step of an earlier one goes on and on.
        """
        call = f"acquire {quote(json.dumps(owner))} {_hundredths(seconds)} {PATIENCE}\n"
        return Lease(owner, int(self._target.ask(call, within=PATIENCE + 30.0).removeprefix("lease ")))

    def renew(self, lease: Lease, seconds: float) -> None:
        """Extend a lease. Raises Fenced when a newer one was given."""
        self._target.ask(f"renew {lease.fence} {_hundredths(seconds)} {quote(json.dumps(lease.owner))}\n")

    def release(self, lease: Lease) -> None:
        """Give it back; the fence stays. No-op when a newer lease was given."""
        self._target.ask(f"give_back {lease.fence}\n")


def _hundredths(seconds: float) -> int:
    return max(0, round(seconds * 100))
