"""Backoff, giving up, restart policy, start order and the words for an end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline_supervisor.end import End, judge
from towline_supervisor.oom import OomCounter
from towline_supervisor.order import find_cycle, start_order
from towline_supervisor.policy import is_crash_loop, pause, wants_restart
from towline_supervisor.spec import Backoff, GiveUp, ProcessSpec, SettledReady


def process(name: str, *after: str) -> ProcessSpec:
    return ProcessSpec(name, ("x",), SettledReady(0.3), after=after)


def test_pause_grows_to_its_limit() -> None:
    """Each pause is twice the one before until the longest is reached, however often it fails."""
    assert [pause(Backoff(), failures) for failures in (1, 2, 3, 6, 7, 8)] == [0.5, 1.0, 2.0, 16.0, 30.0, 30.0]
    assert pause(Backoff(), 10**9) == 30.0


@given(st.integers(1, 10_000), st.floats(0, 10), st.floats(1, 10), st.floats(0, 100))
def test_pause_never_shrinks_nor_exceeds(failures: int, first: float, factor: float, most: float) -> None:
    """For any backoff, a later pause is at least as long, and none is longer than the limit."""
    backoff = Backoff(first, factor, most)
    assert pause(backoff, failures) <= pause(backoff, failures + 1) <= most


def test_crash_loop_counts_the_window_only() -> None:
    """Five ends within a minute are a crash loop; the same five over a longer time are not."""
    assert is_crash_loop(GiveUp(5, 60), [0, 10, 20, 30, 40], 40)
    assert is_crash_loop(GiveUp(5, 60), [0, 10, 20, 30, 60], 60)
    assert not is_crash_loop(GiveUp(5, 60), [0, 10, 20, 30, 61], 61)
    assert not is_crash_loop(GiveUp(5, 60), [0, 10, 20, 30], 40)


@pytest.mark.parametrize(
    ("restart", "failed", "again"),
    [
        ("always", True, True),
        ("always", False, True),
        ("on-failure", True, True),
        ("on-failure", False, False),
        ("never", True, False),
        ("never", False, False),
    ],
)
def test_restart_policy(restart: str, failed: bool, again: bool) -> None:
    """Each policy restarts exactly what it says."""
    assert wants_restart(restart, failed=failed) is again


def test_start_order_is_stable() -> None:
    """A process comes behind those it waits for, and else stays where it was written."""
    specs = [process("web", "api"), process("worker", "db", "api"), process("api", "db"), process("db"), process("log")]
    assert [spec.name for spec in start_order(specs)] == ["db", "api", "web", "worker", "log"]


def test_unknown_names_do_not_hold_up_the_order() -> None:
    """A name that is not in the list is left to the check of the file."""
    assert [spec.name for spec in start_order([process("a", "ghost"), process("b")])] == ["a", "b"]


def test_cycles() -> None:
    """A circle is found wherever it is, a process that waits for itself too; a diamond is none."""
    assert find_cycle([process("a", "a")]) == ["a", "a"]
    assert find_cycle([process("x", "a"), process("a", "b"), process("b", "c"), process("c", "a")]) == [
        "a",
        "b",
        "c",
        "a",
    ]
    assert find_cycle([process("d", "b", "c"), process("b", "a"), process("c", "a"), process("a")]) is None


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=10))
def test_order_respects_after(edges: list[list[int]]) -> None:
    """For any graph without a circle, nothing is placed before what it waits for."""
    specs = [
        process(str(number), *(str(other) for other in others if other < number)) for number, others in enumerate(edges)
    ]
    placed: set[str] = set()
    for spec in start_order(list(reversed(specs))):
        assert placed.issuperset(spec.after)
        placed.add(spec.name)
    assert len(placed) == len(specs)


def test_ends_in_words_and_codes() -> None:
    """An end says its code or signal, and gives the status a shell would show."""
    silent = OomCounter([])
    plain = judge(3, by_us=False, order=None, oom=silent)
    assert (plain.sentence(), plain.exit_code(), plain.as_dict()) == (
        "exit 3",
        3,
        {"code": 3, "signal": None, "reason": None, "oom": False},
    )
    term = judge(-15, by_us=False, order="stop", oom=silent)
    assert (term.sentence(), term.exit_code(), term.reason) == ("signal TERM", 143, "stop")
    assert judge(-9, by_us=False, order=None, oom=silent).reason == "killed"
    assert judge(-9, by_us=True, order="stop", oom=silent).reason == "stop"
    realtime = judge(-35, by_us=False, order=None, oom=silent)
    assert (realtime.sentence(), realtime.exit_code()) == ("signal 35", 163)
    assert End(0, None, "memory").sentence() == "over its memory limit"
