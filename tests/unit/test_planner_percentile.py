"""The 95th percentile of sums: exact for one part, near a simulation for several, and where nobody can say it."""

from __future__ import annotations

import random
from itertools import pairwise
from statistics import quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.planner.estimate import Hop, Way
from towline.planner.percentile import Points, percentile_of_sum, quantile

LINKS: tuple[Points, ...] = ((20.0, 30.0, 60.0), (4.0, 5.0, 14.0), (2.0, None, 33.0))

times = st.floats(1, 2.5)
points = st.tuples(st.floats(0.5, 200), times, times).map(
    lambda one: (one[0], one[0] * one[1], one[0] * one[1] * one[2])
)
"""As links are: a mid of at most two and a half times low, and a high end of as many times mid."""


def test_the_three_points_are_its_quantiles() -> None:
    """Half stay under mid and nine in ten under high; a band has its middle on a logarithmic scale."""
    for low, mid, high in LINKS:
        assert quantile((low, mid, high), 0.5) == pytest.approx(mid or (low * high) ** 0.5)
        assert quantile((low, mid, high), 0.9) == pytest.approx(high)


@given(points)
def test_it_rises_with_the_part(one: Points) -> None:
    """A larger part of places stays under a larger number, never under low."""
    found = [quantile(one, part / 100) for part in range(1, 100)]
    assert all(a <= b + 1e-9 for a, b in pairwise(found))
    assert found[0] >= one[0] - 1e-9


NARROW_AND_WIDE = ((1.0, 1.0, 1.125), (5.0, 10.0, 25.0))


@pytest.mark.parametrize(
    "parts", [LINKS[:1], LINKS[:2], LINKS, (*LINKS, (7.0, 7.0, 7.0)), (LINKS[0],) * 4, NARROW_AND_WIDE]
)
def test_it_is_that_of_a_simulation(parts: tuple[Points, ...]) -> None:
    """Of 20,000 sums at random, 95 in 100 stay under it: within 3 %."""
    dice = random.Random(20261122)
    sums = [sum(quantile(one, dice.random()) for one in parts) for _ in range(20_000)]
    assert percentile_of_sum(parts, 0.95) == pytest.approx(quantiles(sums, n=100)[94], rel=0.03)


@given(st.lists(points, min_size=1, max_size=3))
def test_order_does_not_matter_and_it_is_no_sum_of_extremes(parts: list[Points]) -> None:
    """The same in any order, above the mids, and at most the sum of every part's own."""
    found = percentile_of_sum(parts, 0.95)
    assert percentile_of_sum(parts[::-1], 0.95) == found
    assert sum(mid for _, mid, _ in parts if mid is not None) <= found * 1.0001
    assert found <= sum(quantile(one, 0.95) for one in parts) * 1.03


def way(*hops: Hop) -> Way:
    return Way("request", hops)


def test_round_trips_of_one_link_are_slow_together() -> None:
    """Two hops over one link are one thing that varies: their p95 is the sum of both, not less."""
    here = Hop("statements", 3, 6, 18, "", "a - b")
    same, other = Hop("commands", 1, 2, 6, "", "a - b"), Hop("commands", 1, 2, 6, "", "a - c")
    together, apart = way(here, same).p95, way(here, other).p95
    assert together == pytest.approx(quantile((4, 8, 24), 0.95))
    assert apart is not None
    assert together is not None
    assert apart < together


def test_what_is_no_distance_has_none() -> None:
    """A way with a pause or a wait in it has no such percentile; what is fixed only adds."""
    link, fixed = Hop("to the API", 3, 6, 18, "", "a - b"), Hop("computing", 20, 20, 20, "")
    assert way(link, fixed).p95 == pytest.approx(20 + quantile((3, 6, 18), 0.95))
    assert way(link, Hop("wait in the line", 0, 100, 900, "")).p95 is None
    assert way(fixed).p95 == 20
