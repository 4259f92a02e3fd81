"""Capacity: the formulas against published values and each other, and the sums of a deploy's worst moment."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towline.planner.capacity import (
    Load,
    Pool,
    WaitTarget,
    Weight,
    Workers,
    connection_budget,
    copies_needed,
    jobs_at_target,
    memory_fit,
    queue_of,
    refuse_long_job,
    users,
    worker_capacity,
)
from towline.planner.queueing import Queue, erlang_b, erlang_c

slots = st.integers(1, 60)
loads = st.floats(0.01, 0.98)


def erlang_b_by_sums(count: int, offered: float) -> float:
    """Erlang's first formula as he wrote it, with factorials."""
    terms = [offered**busy / math.factorial(busy) for busy in range(count + 1)]
    return terms[-1] / sum(terms)


def erlang_c_by_sums(count: int, offered: float) -> float:
    """The second formula by its sums."""
    last = offered**count / math.factorial(count) * count / (count - offered)
    return last / (sum(offered**busy / math.factorial(busy) for busy in range(count)) + last)


@given(slots, loads)
def test_recursion_is_the_formula(count: int, load: float) -> None:
    """Both recursions give what the sums with factorials give."""
    offered = load * count
    assert erlang_b(count, offered) == pytest.approx(erlang_b_by_sums(count, offered), rel=1e-9)
    assert erlang_c(count, offered) == pytest.approx(erlang_c_by_sums(count, offered), rel=1e-9)


@pytest.mark.parametrize(
    ("count", "offered", "blocked"),
    [(1, 1.0, 0.5), (2, 1.0, 0.2), (5, 3.0, 0.1101), (10, 5.0, 0.0184), (10, 7.0, 0.0787)],
)
def test_erlang_b_as_tabled(count: int, offered: float, blocked: float) -> None:
    """Values of the usual tables of Erlang B."""
    assert erlang_b(count, offered) == pytest.approx(blocked, abs=5e-5)


@given(loads)
def test_one_slot_is_the_textbook(load: float) -> None:
    """With one slot the part that waits is the load, and the mean wait is load / (1 - load) services."""
    queue = Queue(1, load, 1.0)
    assert queue.waiting == pytest.approx(load)
    assert queue.mean_wait == pytest.approx(load / (1 - load))
    assert replace(queue, service_cv=0.0).mean_wait == pytest.approx(load / (1 - load) / 2)


@given(slots, loads, st.floats(0.1, 1000), st.floats(0, 2), st.floats(0.01, 0.99))
def test_waits_behave(count: int, load: float, service: float, cv: float, part: float) -> None:
    """More load never waits less, more slots never more; the mean is the mean of the percentiles; Little holds."""
    queue = Queue(count, load * count / service, service, cv)
    busier = replace(queue, rate=queue.rate * 1.01)
    wider = replace(queue, slots=count + 1)
    assert wider.mean_wait <= queue.mean_wait * (1 + 1e-9) <= busier.mean_wait * (1 + 1e-8)
    assert wider.wait(part) <= queue.wait(part) * (1 + 1e-9) + 1e-9
    assert queue.wait(part) <= busier.wait(part) + 1e-9
    assert queue.length == pytest.approx(queue.rate * queue.mean_wait)


def test_the_tail_has_the_mean() -> None:
    """The percentiles of a queue, added up over all parts, give its mean wait."""
    queue = Queue(5, 0.8 * 5 / 32.5, 32.5)
    steps = 50_000
    total = sum(queue.wait((step + 0.5) / steps) for step in range(steps)) / steps
    assert total == pytest.approx(queue.mean_wait, rel=1e-3)


def test_full_is_infinite() -> None:
    """From full load on waits have no end, and nothing divides by zero."""
    for rate in (1.0, 5.0):
        queue = Queue(1, rate, 1.0)
        assert (queue.mean_wait, queue.wait(0.95), queue.waiting) == (math.inf, math.inf, 1.0)
    assert Queue(3, 0.0, 1.0).mean_wait == 0
    assert Queue(3, 0.0, 1.0).length == 0


@pytest.mark.parametrize(
    ("workers", "seconds", "jobs"), [(Workers(5), 10, 265), (Workers(5), 30, 349), (Workers(5, 2), 10, 715)]
)
def test_jobs_an_hour_at_a_target(workers: Workers, seconds: float, jobs: int) -> None:
    """Jobs of 32.5 s: how many an hour for 95 in 100 to begin within the target."""
    load = Load(200, 32.5)
    assert round(jobs_at_target(load, workers, WaitTarget(seconds))) == jobs
    assert worker_capacity(load, workers, WaitTarget(seconds)).highest == pytest.approx(workers.total * 3600 / 32.5)


@settings(max_examples=50)
@given(st.floats(1, 2000), st.floats(0.5, 120), st.integers(1, 8), st.integers(1, 4), st.floats(0, 120))
def test_the_limit_is_the_limit(jobs: float, service: float, each: int, copies: int, seconds: float) -> None:
    """Just below the limit the target holds, just above it does not; the copies that are said to do are the fewest."""
    load, workers, target = Load(jobs, service), Workers(each, copies), WaitTarget(seconds)
    found = worker_capacity(load, workers, target)
    below = queue_of(replace(load, jobs_per_hour=found.at_target * 0.999), workers)
    above = queue_of(replace(load, jobs_per_hour=found.at_target * 1.001), workers)
    assert below.wait(0.95) <= seconds + 1e-6
    assert above.wait(0.95) >= seconds - 1e-6
    assert found.headroom == pytest.approx(found.at_target / jobs)
    needed = copies_needed(load, workers, target)
    assert queue_of(load, Workers(each, needed)).wait(0.95) <= seconds
    assert needed == 1 or queue_of(load, Workers(each, needed - 1)).wait(0.95) > seconds
    assert found.stands_ten_times == (found.headroom >= 10)


@pytest.mark.parametrize(("jobs", "service"), [(-1.0, 1.0), (math.inf, 1.0), (1.0, 0.0), (math.nan, 1.0)])
def test_no_load_is_refused(jobs: float, service: float) -> None:
    """A load that cannot be is a ValueError and no endless search."""
    with pytest.raises(ValueError, match="no load"):
        Load(jobs, service)
    with pytest.raises(ValueError, match="no target"):
        WaitTarget(-1)
    with pytest.raises(ValueError, match="no queue"):
        Queue(0, 1, 1)
    with pytest.raises(ValueError, match="no part"):
        Queue(1, 0.5, 1).wait(1)


def test_users_rest_on_an_assumption() -> None:
    """The number of users is jobs an hour through jobs a user, and it says so."""
    found = users(443, 2.2)
    assert found.concurrent == 201
    assert found.assumption == "each starts 2.2 jobs an hour, evenly; 443 jobs an hour fit"
    with pytest.raises(ValueError, match="more than 0"):
        users(443, 0)


def test_connections_of_a_deploy() -> None:
    """Every pool twice, the migration and the backup, against the limit; an unknown limit is no promise."""
    pools = [Pool("api", 2, 10), Pool("worker", 3, 5)]
    found = connection_budget(pools, 97, reserved=3)
    assert found.sentence == (
        "75 connections during a deploy (40 api (2 x 10 x 2) + 30 worker (3 x 5 x 2) + 1 migration + 1 backup"
        " + 3 reserved), and 97 are allowed"
    )
    assert found.fits
    assert not connection_budget(pools, 74, reserved=3).fits
    assert connection_budget(pools, 75, reserved=3).fits
    unknown = connection_budget(pools, None)
    assert unknown.fits is None
    assert "an unknown number" in unknown.sentence


def test_memory_of_a_deploy() -> None:
    """All copies, the heaviest step once more, the panel and the system; what is not started beside is not doubled."""
    gb = 10**9
    weights = [Weight("api", gb // 2, 2), Weight("ml", 4 * gb, 1, beside=False), Weight("worker", gb)]
    found = memory_fit(weights, 8 * gb, panel=1_200_000_000, system=300_000_000)
    assert found.needed == 8_500_000_000
    assert not found.fits
    assert found.sentence == (
        "8.5 GB of memory during a deploy (1.0 GB api (2 x) + 4.0 GB ml (1 x) + 1.0 GB worker (1 x)"
        " + 1.0 GB worker once more + 1.2 GB the panel + 300 MB the system), and 8.0 GB are there"
    )
    assert memory_fit(weights, 9 * gb, panel=1_200_000_000).fits
    assert memory_fit([], 0).fits


@given(st.lists(st.builds(Weight, st.just("x"), st.integers(0, 10**10), st.integers(1, 5), st.booleans())))
def test_memory_parts_sum(weights: list[Weight]) -> None:
    """The parts that are printed are the whole, and the overlap is at most the heaviest service."""
    found = memory_fit(weights, 1)
    resting = sum(one.memory * one.copies for one in weights)
    assert sum(count for _, count in found.parts) == found.needed
    assert resting <= found.needed <= resting + max([one.memory * one.copies for one in weights], default=0)


def test_long_jobs_are_refused_with_numbers() -> None:
    """A job longer than the place lets a program finish is refused; where you say the limit yourself, nothing is."""
    assert refuse_long_job(600, 300, "render") == (
        "a job may take 10 min 0 s, and render stops a program after 5 min 0 s: 5 min 0 s short"
    )
    assert refuse_long_job(300, 300, "render") is None
    assert refuse_long_job(86_400, math.inf, "a server") is None
    unknown = refuse_long_job(120, None, "fly")
    assert unknown is not None
    assert "its limit is unknown" in unknown
