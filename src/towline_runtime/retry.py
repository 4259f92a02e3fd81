"""When a failed attempt is followed by another: pure, with the random part given by the caller."""

from __future__ import annotations

from dataclasses import dataclass

from towline_runtime.errors import GiveUp


@dataclass(frozen=True)
class Backoff:
    """Waits between attempts: `first` seconds, times `factor` each time, at most `most`.

    `jitter` is the part of each wait that is left to chance (0.2 = 20 % up or down), so that jobs which failed
    together do not come back together.
    """

    first: float = 1.0
    factor: float = 2.0
    most: float = 3600.0
    jitter: float = 0.2

    def wait(self, attempt: int, chance: float) -> float:
        """Seconds after attempt number `attempt` (from 1); `chance` is uniform in [0, 1)."""
        exponent = min(attempt - 1, 64)
        return min(self.most, self.first * self.factor**exponent) * (1 + self.jitter * (2 * chance - 1))


@dataclass(frozen=True)
class Verdict:
    """What follows a failed attempt: another after `delay` seconds, or none when that is None."""

    delay: float | None
    reason: str


def judge(error: BaseException, attempt: int, attempts: int, backoff: Backoff, chance: float) -> Verdict:
    """Decide after attempt number `attempt` of `attempts` failed with `error`."""
    reason = f"{type(error).__name__}: {error}"[:2000]
    if isinstance(error, GiveUp) or attempt >= attempts:
        return Verdict(None, reason)
    asked = getattr(error, "retry_after", None)
    wait = backoff.wait(attempt, chance)
    return Verdict(max(wait, float(asked)) if isinstance(asked, int | float) else wait, reason)
