"""How many jobs come to their end at once now: the measure of how far ahead a worker may claim."""

from __future__ import annotations

WINDOW = 0.05  # seconds: about two round trips to a busy database
MOST = 2000


class Pulse:
    """Counts attempts that took less than a window, by windows; times are seconds of one clock."""

    __slots__ = ("_count", "_end", "_last")

    def __init__(self) -> None:
        self._end = 0.0
        self._count = 0
        self._last = 0

    def count(self, now: float, seconds: float) -> None:
        """One attempt of so many seconds ended."""
        if now >= self._end:
            self._turn(now)
        if seconds < WINDOW:
            self._count += 1

    def ahead(self, now: float) -> int:
        """How many jobs may be claimed beyond the free slots, since they will start within about a window.

        None for slow jobs: what is claimed and waits could run elsewhere.
        """
        if now >= self._end:
            self._turn(now)
        return min(max(self._last, self._count), MOST)

    def _turn(self, now: float) -> None:
        self._last = self._count if now < self._end + WINDOW else 0
        self._count = 0
        self._end = now + WINDOW
