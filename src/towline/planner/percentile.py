"""The 95th percentile of a sum of round trips of which three points each are known. Pure, and without chance."""

from __future__ import annotations

from itertools import product
from math import exp, log
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Points = tuple[float, float | None, float]
"""Low, mid and high in milliseconds; no mid where only a band is known."""

HIGH = 0.9
"""The part of places of which the high end of an estimate is said."""

_STEPS = 100
_LEAST = 0.01
_Z_HIGH = NormalDist().inv_cdf(HIGH)


def quantile(points: Points, part: float) -> float:
    """What `part` of the places like this one stay under.

    Half stay under mid (where there is none, under the middle of low and high on a logarithmic scale) and nine in ten
    under high, with a log-normal tail through the two; below mid a straight logarithmic line leads down to low.
    """
    low, mid, high = points
    if low == high:
        return high
    bottom, top = log(max(low, _LEAST)), log(max(high, _LEAST))
    middle = (bottom + top) / 2 if mid is None else log(max(mid, _LEAST))
    if part <= 0.5:
        return exp(bottom + (middle - bottom) * part / 0.5)
    return exp(middle + (top - middle) * NormalDist().inv_cdf(part) / _Z_HIGH)


def percentile_of_sum(parts: Sequence[Points], part: float) -> float:
    """What `part` of the sums stay under, of parts that know nothing of each other; 0 of none.

    Each is taken at 100 places of equal weight; after each addition the 10,000 sums are drawn together to 100 again.
    """
    fixed = sum(high for low, _, high in parts if low == high)
    moving = sorted((one for one in parts if one[0] != one[2]), key=lambda one: (one[2], one[0], one[1] or 0.0))
    if len(moving) < 2:
        return fixed + sum(quantile(one, part) for one in moving)
    known = _places(moving[0])
    for one in moving[1:]:
        known = sorted(a + b for a, b in product(_drawn_together(known), _places(one)))
    return fixed + _at(known, part)


def _at(sums: list[float], part: float) -> float:
    """The sum at this part of them: the mean of one place's width around it, as sums may lie in steps of that width."""
    middle, half = int(part * len(sums)), max(1, len(sums) // _STEPS // 2)
    near = sums[max(0, middle - half) : middle + half]
    return sum(near) / len(near)


def _places(points: Points) -> list[float]:
    return [quantile(points, (step + 0.5) / _STEPS) for step in range(_STEPS)]


def _drawn_together(sums: list[float]) -> list[float]:
    """As many places as at first: the mean of each group of neighbours."""
    size = max(1, len(sums) // _STEPS)
    return [sum(sums[start : start + size]) / size for start in range(0, len(sums) - size + 1, size)]
