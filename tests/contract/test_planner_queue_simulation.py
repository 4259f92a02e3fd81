"""The waiting times that the planner predicts, against a simulation of the same workers, event by event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from towline.planner.queueing import Queue

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

WITHIN = 15.0
"""Per cent beyond the confidence interval."""


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, checkout: Path) -> ModuleType:
    """The benchmark that has the simulation."""
    monkeypatch.syspath_prepend(checkout / "benchmarks")
    import capacity_model

    return capacity_model


CASES = [
    (5, 0.045, 0.5, 20_000),
    (5, 1.0, 0.7, 30_000),
    (10, 0.5, 0.8, 60_000),
    (1, 0.5, 0.8, 30_000),
    (5, 0.045, 0.9, 90_000),
]


@pytest.mark.parametrize(("slots", "cv", "load", "jobs"), CASES)
def test_mean_wait_is_within_15_per_cent(model: ModuleType, slots: int, cv: float, load: float, jobs: int) -> None:
    """The predicted mean wait lies within 15 % of the interval, and the interval is narrow enough to say so."""
    queue = Queue(slots, load * slots / 32.5, 32.5, cv)
    mean, tail = model.observe(queue, jobs)
    assert mean.half < 0.12 * mean.mean, "too few jobs to judge by"
    assert mean.beyond(queue.mean_wait) <= WITHIN, (queue.mean_wait, mean)
    assert tail.beyond(queue.wait(0.95)) <= model.TAIL_WITHIN, (queue.wait(0.95), tail)


def test_a_wrong_formula_would_be_seen(model: ModuleType) -> None:
    """Waits without the factor for even jobs miss the simulation by far more than is allowed."""
    queue = Queue(5, 0.7 * 5 / 32.5, 32.5, 0.045)
    mean, _ = model.observe(queue, 20_000)
    assert mean.beyond(Queue(5, queue.rate, 32.5, 1.0).mean_wait) > 3 * WITHIN


def test_the_simulation_is_the_same_each_time(model: ModuleType) -> None:
    """One seed gives one run, another seed another; the drawn jobs have the spread that is asked for."""
    queue = Queue(2, 0.05, 30.0, 0.5)
    assert model.simulate(queue, 1, 500) == model.simulate(queue, 1, 500) != model.simulate(queue, 2, 500)
    import random
    import statistics

    for cv in (0.045, 0.5, 1.0, 1.5):
        draw = model.lengths(Queue(1, 0.01, 30.0, cv), random.Random(7))
        drawn = [draw() for _ in range(60_000)]
        assert statistics.fmean(drawn) == pytest.approx(30, rel=0.03)
        assert statistics.stdev(drawn) / statistics.fmean(drawn) == pytest.approx(cv, rel=0.06)
