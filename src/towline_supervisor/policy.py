"""What follows the end of a process: how long to pause, when to give up; pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from towline_supervisor.spec import Backoff, GiveUp


def pause(backoff: Backoff, failures: int) -> float:
    """Seconds to wait before the restart that follows the `failures`-th end in a row (1 is the first)."""
    # The exponent is bounded: a float overflows long before a patient process stops failing.
    return min(backoff.most, backoff.first * backoff.factor ** min(failures - 1, 64))


def is_crash_loop(give_up: GiveUp, ends: Sequence[float], now: float) -> bool:
    """Whether `times` of the ends (monotonic seconds) lie within the last `within` seconds."""
    return sum(1 for end in ends if now - end <= give_up.within) >= give_up.times


def wants_restart(restart: str, *, failed: bool) -> bool:
    """Whether the restart policy asks for another start."""
    return restart == "always" or (restart == "on-failure" and failed)
