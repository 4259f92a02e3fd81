"""What a worker tells whoever measures it: plain calls from the event loop, so they must be quick."""

from __future__ import annotations

from typing import Literal, Protocol

Outcome = Literal["done", "retry", "dead", "cancelled", "released", "lost"]


class Observer(Protocol):
    """Hears of each step of each attempt; what it raises is a bug and ends the worker."""

    def claimed(self, jobs: int) -> None:
        """So many jobs were claimed at once."""

    def started(self, kind: str) -> None:
        """An attempt begins."""

    def finished(self, kind: str, outcome: Outcome, seconds: float) -> None:
        """An attempt has ended, though nothing of it may be written yet.

        `released`: handed back by a worker that stops. `lost`: the lease was, so nothing of it counts.
        """


class Nobody:
    """An observer that does not listen."""

    def claimed(self, jobs: int) -> None:
        """Nothing."""

    def started(self, kind: str) -> None:
        """Nothing."""

    def finished(self, kind: str, outcome: Outcome, seconds: float) -> None:
        """Nothing."""
