"""When a failed attempt is followed by another."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline_runtime.errors import GiveUp, KindInvalid
from towline_runtime.retry import LONGEST, Backoff, judge


class Busy(Exception):
    """A provider that says when it wants to be asked again."""

    def __init__(self, retry_after: object) -> None:
        super().__init__("429")
        self.retry_after = retry_after


class Strange(Exception):
    """An error that says what Postgres cannot keep."""

    def __str__(self) -> str:
        return "half a \ud800 character and a \0"


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 2), (2, 6), (3, 18), (4, 50), (100_000, 50)])
def test_waits_grow_up_to_the_most(attempt: int, seconds: float) -> None:
    """Without chance: first, times factor each time, never over the most, however many attempts."""
    assert Backoff(first=2, factor=3, most=50, jitter=0).wait(attempt, 0.9) == seconds


@given(
    first=st.floats(0, 1e6),
    factor=st.floats(1, 1e6),
    most=st.floats(0, LONGEST),
    jitter=st.floats(0, 1),
    attempt=st.integers(1, 10_000),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_every_wait_can_be_waited(
    first: float, factor: float, most: float, jitter: float, attempt: int, chance: float
) -> None:
    """Whatever is declared, a wait is a number from 0 to the most and its jitter."""
    wait = Backoff(first, factor, most, jitter).wait(attempt, chance)
    assert 0 <= wait <= most * (1 + jitter) * 1.000001


def test_chance_goes_both_ways() -> None:
    """20 % less at one end, 20 % more at the other."""
    assert Backoff(first=10).wait(1, 0.0) == pytest.approx(8)
    assert Backoff(first=10).wait(1, 0.999999) == pytest.approx(12, abs=0.001)


@pytest.mark.parametrize(
    "given",
    [{"first": -1}, {"first": math.nan}, {"factor": 0.5}, {"factor": math.inf}, {"most": math.inf}, {"jitter": 1.5}],
)
def test_waits_that_cannot_be(given: dict[str, float]) -> None:
    """They are refused where they are declared."""
    with pytest.raises(KindInvalid):
        Backoff(**given)


def test_the_last_attempt_is_the_last() -> None:
    """After attempt 3 of 3 there is none."""
    verdicts = [judge(ValueError("no"), n, 3, Backoff(first=1, jitter=0), 0.5).delay for n in (1, 2, 3)]
    assert verdicts == [1, 2, None]


def test_giving_up_is_final_at_once() -> None:
    """GiveUp ends it at the first of many attempts, with its sentence."""
    verdict = judge(GiveUp("the photo is not a photo"), 1, 50, Backoff(), 0.5)
    assert verdict.delay is None
    assert verdict.reason == "GiveUp: the photo is not a photo"


@pytest.mark.parametrize(
    ("asked", "delay"),
    [
        (90, 90),
        (0.1, 4),
        (-5, 4),
        (math.inf, LONGEST),
        (math.nan, 4),
        ("tomorrow", 4),
        (None, 4),
    ],
)
def test_an_error_may_ask_for_a_longer_wait(asked: object, delay: float) -> None:
    """`retry_after` counts when it is longer than the backoff, and nothing else breaks the verdict."""
    assert judge(Busy(asked), 1, 3, Backoff(first=4, jitter=0), 0.5).delay == delay


def test_a_reason_is_short_and_can_be_kept() -> None:
    """No NUL, no half characters, at most 2,000 of them; an error without words is its name."""
    strange = judge(Strange(), 1, 2, Backoff(), 0.5).reason
    assert strange == "Strange: half a ? character and a "
    assert len(judge(ValueError("x" * 10_000), 1, 2, Backoff(), 0.5).reason) == 2000
    assert judge(TimeoutError(), 1, 2, Backoff(), 0.5).reason == "TimeoutError"
