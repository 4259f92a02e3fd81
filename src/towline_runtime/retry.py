"""When a failed attempt is followed by another: pure, with the random part given by the caller."""

from __future__ import annotations

import math
from dataclasses import dataclass

from towline_runtime.errors import GiveUp, KindInvalid

LONGEST = 10 * 365 * 24 * 3600.0  # seconds: a wait beyond ten years is a mistake


@dataclass(frozen=True)
class Backoff:
    """Waits between attempts: `first` seconds, times `factor` each time, at most `most`.

    `jitter` is the part of each wait that is then left to chance (0.2 = 20 % up or down), so that jobs which failed
    together do not come back together. Raises KindInvalid for waits that cannot be.
    """

    first: float = 1.0
    factor: float = 2.0
    most: float = 3600.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        """Refuse what would make a wait negative, endless or not a number."""
        if not (0 <= self.first < math.inf and 1 <= self.factor < math.inf and 0 <= self.most <= LONGEST):
            raise KindInvalid(f"{self} cannot be", f"first from 0, factor from 1, most up to {LONGEST:.0f} seconds")
        if not 0 <= self.jitter <= 1:
            raise KindInvalid(f"{self} cannot be", "jitter is a part: 0 to 1")

    def wait(self, attempt: int, chance: float) -> float:
        """Seconds after attempt number `attempt` (from 1); `chance` is uniform in [0, 1)."""
        try:
            grown = self.first * self.factor ** (attempt - 1)
        except OverflowError:
            grown = self.most
        return min(self.most, grown) * (1 + self.jitter * (2 * chance - 1))


@dataclass(frozen=True)
class Verdict:
    """What follows a failed attempt: another after `delay` seconds, or none when that is None."""

    delay: float | None
    reason: str


def judge(error: BaseException, attempt: int, attempts: int, backoff: Backoff, chance: float) -> Verdict:
    """Decide after attempt number `attempt` of `attempts` failed with `error`.

    An error may ask for a longer wait by an attribute `retry_after`, in seconds.
    """
    reason = _reason(error)
    if isinstance(error, GiveUp) or attempt >= attempts:
        return Verdict(None, reason)
    asked = getattr(error, "retry_after", None)
    wait = backoff.wait(attempt, chance)
    if isinstance(asked, int | float) and asked > wait:
        wait = min(float(asked), LONGEST)
    return Verdict(wait, reason)


def _reason(error: BaseException) -> str:
    said = str(error)
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    # What Postgres cannot keep in a text must not fail the write that ends the attempt.
    return text[:2000].replace("\0", "").encode("utf-8", "replace").decode()
