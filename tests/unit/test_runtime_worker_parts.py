"""The parts of a worker that need no database: how far ahead it claims, when an attempt stops, where threads end."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.job_scenes import in_a_loop

from towline_runtime.attempt import Attempt, Stop
from towline_runtime.claims import Claim
from towline_runtime.pulse import MOST, WINDOW, Pulse
from towline_runtime.threads import Threads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from towline_runtime.running import Desk, Running, Transaction


class Silent:
    """A desk that keeps the last thing it was given."""

    said = ""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def report(self, job: Running, progress: str) -> None:
        self.said = progress

    async def remember(self, job: Running, value: str) -> bool:
        self.said = value
        return True

    def finish(self, job: Running, result: str | None) -> AbstractAsyncContextManager[Transaction]:
        raise AssertionError("nobody finishes here")


def _claim() -> Claim:
    return Claim(7, "draw", 1, "default", 2, 5, 3, "{}", '{"request": 1}', "r-1", datetime(2026, 1, 1, tzinfo=UTC))


def _attempt(desk: Desk) -> Attempt:
    return Attempt(_claim(), desk, None, claimed=10.0, lease=30.0)


def test_slow_jobs_are_never_claimed_ahead() -> None:
    """However many end at once, those that took longer than a window count for nothing."""
    pulse = Pulse()
    for _ in range(1000):
        pulse.count(1.0, WINDOW)
    assert pulse.ahead(1.0) == 0


def test_quick_jobs_are_claimed_ahead_for_a_moment() -> None:
    """As many as ended in the last window, up to a bound; a moment of silence later none."""
    pulse = Pulse()
    for _ in range(300):
        pulse.count(1.0, 0.001)
    assert pulse.ahead(1.0) == 300
    assert pulse.ahead(1.0 + WINDOW) == 300
    assert pulse.ahead(1.0 + 3 * WINDOW) == 0
    for _ in range(MOST + 5):
        pulse.count(2.0, 0.0)
    assert pulse.ahead(2.0) == MOST


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.2)), max_size=200))
def test_the_pulse_never_promises_more_than_ended_within_two_windows(steps: list[tuple[float, float]]) -> None:
    """Whatever the gaps are, only what was counted lately is claimed ahead."""
    pulse, now, ends = Pulse(), 100.0, list[float]()
    for gap, took in steps:
        now += gap
        pulse.count(now, took)
        ends += [now] if took < WINDOW else []
        assert 0 <= pulse.ahead(now) <= sum(end > now - 2 * WINDOW - 1e-9 for end in ends)


def test_the_handle_tells_who_it_is() -> None:
    """Everything that the claim knows and a job may want."""
    job = _attempt(Silent())
    assert (job.id, job.kind, job.queue, job.attempt, job.attempts) == (7, "draw", "default", 2, 5)
    assert (job.correlation_id, job.created_at.year, job.remembered) == ("r-1", 2026, {"request": 1})
    assert (job.cancelled, job.held_until) == (False, 40.0)


@in_a_loop
async def test_progress_and_memory_are_json() -> None:
    """What is remembered replaces what was there, for this attempt too."""
    desk = Silent()
    job = _attempt(desk)
    job.progress(0.25, "a quarter", frames=3)
    assert desk.said == '{"done":0.25,"note":"a quarter","frames":3}'
    assert job.reported
    await job.remember({"request": 2})
    assert (desk.said, job.remembered) == ('{"request":2}', {"request": 2})


def test_the_first_reason_to_stop_stays_but_for_a_lost_lease() -> None:
    """After a lost lease nothing may be written, so it comes before any other reason."""
    job = _attempt(Silent())
    job.check()
    job.end(Stop.ASKED)
    job.end(Stop.DRAIN)
    assert (job.stop, job.cancelled) == (Stop.ASKED, True)
    job.end(Stop.LOST)
    assert job.stop is Stop.LOST
    with pytest.raises(asyncio.CancelledError):
        job.check()


@in_a_loop
async def test_a_task_that_has_not_begun_is_not_cancelled() -> None:
    """It would end without a step of its own, and nobody would settle its job: it looks at the flag instead."""
    job, steps = _attempt(Silent()), []

    async def run() -> None:
        job.began = 1.0
        steps.append(job.cancelled)
        await asyncio.sleep(60)

    job.task = asyncio.create_task(run())
    job.end(Stop.DRAIN)
    assert not job.task.cancelling()
    await asyncio.sleep(0)
    assert steps == [True]
    job.task.cancel()


@in_a_loop
async def test_a_thread_is_used_again_and_gives_its_place_back_when_it_returns() -> None:
    """A cancelled call keeps its place until its function is really over."""
    threads, go_on, names = Threads(2), threading.Event(), list[str]()

    def name() -> None:
        names.append(threading.current_thread().name)

    def block() -> None:
        go_on.wait(30)

    for _ in range(3):
        threads.book(1)
        await threads.run(name)
    assert (set(names), threads.free) == ({"towline-job-1"}, 2)
    threads.book(1)
    blocked = asyncio.create_task(threads.run(block))
    await asyncio.sleep(0)
    blocked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await blocked
    assert threads.free == 1
    go_on.set()
    async for free in _looks(threads):
        if free == 2:
            break
    threads.close()


@in_a_loop
async def test_what_a_thread_raises_arrives() -> None:
    """Also those that an event loop refuses to carry."""
    threads = Threads(1)
    for error, arrives in (
        (ValueError("no"), ValueError),
        (SystemExit(2), SystemExit),
        (StopIteration(1), RuntimeError),
    ):
        threads.book(1)
        with pytest.raises(arrives):
            await threads.run(_raise(error).__next__)
    threads.close()


async def _looks(threads: Threads) -> AsyncIterator[int]:
    end = asyncio.get_running_loop().time() + 30
    while asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.001)
        yield threads.free
    raise AssertionError("the place was never free")


class _raise:  # noqa: N801  # reads as a verb
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __next__(self) -> str | None:
        raise self._error
