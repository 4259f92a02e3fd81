"""What every driver must do, the fake and the real ones alike: facts, lock, journal, and each kind of step."""

from __future__ import annotations

import json
import time

import pytest
from tests.contract.driver_bench import NOW, Bench, door_steps, ok, opened, start, to
from tests.contract.driver_cases import CASES, MARK, SITE

from towline.core.errors import Fenced, LockHeld
from towline.release.lock import held
from towline.steps.kinds import (
    ConfirmShift,
    ConfirmStopped,
    Drain,
    EndSite,
    PurgeData,
    Shift,
    StartInstance,
    StopInstance,
)
from towline.steps.model import Batch, Lease, Line, digest_of, to_json

PATIENCE = 30.0
"""Seconds after which a test gives up waiting for a lease to run out."""


bench = pytest.fixture(params=CASES, ids=[case.name for case in CASES])(opened)

# Facts


def test_empty_site_answers(bench: Bench) -> None:
    """A site where nothing ever was has facts: nothing runs, ports are free, and looking changes nothing."""
    facts = bench.driver.observe()
    assert (facts.site, facts.instances, facts.stores, facts.upstreams, facts.tasks) == (SITE, (), (), {}, {})
    assert (facts.door, facts.releases, facts.begun, bench.driver.journal()) == (None, (), 0, ())
    assert len(facts.room.ports) >= 16
    assert facts.salt.reveal()
    again = bench.again().observe()
    assert (again.digest, again.salt) == (facts.digest, facts.salt)


# The lock


def test_lock_has_one_holder(bench: Bench) -> None:
    """A second operator is refused and told who holds it; the first may take it again, with a higher fence."""
    first = bench.driver.acquire("ann@laptop pid 1", 60.0)
    with pytest.raises(LockHeld, match="ann@laptop pid 1"):
        bench.again().acquire("bob@desk pid 2", 60.0)
    assert bench.driver.acquire("ann@laptop pid 1", 60.0).fence > first.fence


def test_lock_that_was_given_back_is_free(bench: Bench) -> None:
    """The fence grows over releases of the lock too; an old lease cannot give a newer one back."""
    first = bench.driver.acquire("ann@laptop pid 1", 60.0)
    bench.driver.release(first)
    second = bench.again().acquire("bob@desk pid 2", 60.0)
    assert second.fence > first.fence
    bench.driver.release(first)
    with pytest.raises(LockHeld, match="bob@desk pid 2"):
        bench.driver.acquire("ann@laptop pid 1", 60.0)


def taken_over(bench: Bench) -> tuple[Lease, Lease]:
    """A lease that ran out, and the one of the operator who took over."""
    old = bench.driver.acquire("ann@laptop pid 1", 0.1)
    other, deadline = bench.again(), time.monotonic() + PATIENCE
    while True:
        try:
            return old, other.acquire("bob@desk pid 2", 60.0)
        except LockHeld:
            assert time.monotonic() < deadline


def test_lock_that_ran_out_is_taken_over(bench: Bench) -> None:
    """An operator that is gone blocks nobody for longer than its lease."""
    old, new = taken_over(bench)
    assert new.fence > old.fence


def test_renewed_lock_lasts(bench: Bench) -> None:
    """A renewal counts from now: a lock that would have run out is still held."""
    lease = bench.driver.acquire("ann@laptop pid 1", 0.2)
    bench.driver.renew(lease, 60.0)
    over = time.monotonic() + 0.3
    while time.monotonic() < over:
        with pytest.raises(LockHeld):
            bench.again().acquire("bob@desk pid 2", 60.0)


def test_old_operator_changes_nothing_after_a_takeover(bench: Bench) -> None:
    """Renewing, stashing, recording and acting are refused under an old lease, and nothing has changed."""
    app = bench.app
    old, _ = taken_over(bench)
    before = (bench.driver.observe().digest, bench.driver.journal())
    batch = Batch(SITE, 0, start(app.worker("gen", "r1")))
    with pytest.raises(Fenced, match="bob@desk pid 2"):
        bench.driver.renew(old, 60.0)
    with pytest.raises(Fenced):
        bench.driver.stash(app.contents, old)
    with pytest.raises(Fenced):
        bench.driver.record(Line(at=NOW, run="1", event="ended", fence=old.fence, outcome="done"), old)
    with pytest.raises(Fenced):
        list(bench.driver.carry_out(batch, old, "1"))
    assert (bench.driver.observe().digest, bench.driver.journal()) == before


def test_takeover_in_the_middle_of_a_batch_stops_it(bench: Bench) -> None:
    """The fence is asked before each step: the step after the takeover is refused, the one before it is kept."""
    app = bench.app
    steps = (StartInstance(app.worker("gen", "r1")), StartInstance(app.worker("gen", "r2")))
    old = bench.driver.acquire("ann@laptop pid 1", 0.5)
    bench.driver.stash(app.contents, old)
    lines = bench.driver.carry_out(Batch(SITE, 0, steps), old, "1")
    assert [next(lines).event, next(lines).event] == ["began", "done"]
    taken_over(bench)
    with pytest.raises(Fenced):
        next(lines)
    assert {one.name for one in bench.driver.observe().instances} == {"gen.r1.1"}


# The journal


def test_journal_is_there_for_the_next_process(bench: Bench) -> None:
    """Plan, steps and outcome come back as they were written, whoever reads them."""
    ok(bench.deploy("r1"))
    lines = bench.driver.journal()
    assert bench.again().journal() == lines
    assert (lines[0].event, lines[-1].event, lines[-1].outcome) == ("plan", "ended", "done")
    state = bench.state()
    assert state.releases == bench.driver.observe().releases == (1,)
    assert to_json(state.runs[0].plan) == lines[0].plan
    assert len(state.runs[0].begun) == len(state.runs[0].plan.steps)


def test_no_value_is_in_journal_or_facts(bench: Bench) -> None:
    """Values are stashed under digests; no line and no fact holds one."""
    ok(bench.deploy("r1"))
    assert MARK not in json.dumps([to_json(line) for line in bench.driver.journal()])
    assert MARK not in json.dumps(to_json(bench.driver.observe()))


def test_stash_twice_is_stash_once(bench: Bench) -> None:
    """Contents are addressed by digest: again is no change, and no fact."""
    app = bench.app
    app.worker("gen", "r1")
    before = bench.driver.observe().digest
    with held({SITE: bench.driver}, "operator") as hold:
        for driver in (bench.driver, bench.driver, bench.again()):
            driver.stash(app.contents, hold.leases[SITE])
    assert bench.driver.observe().digest == before
    assert [line.event for line in bench.carry(*start(app.worker("gen", "r1")))] == ["began", "done"] * 2


# Steps


def test_lines_come_in_order_and_hold_the_second_time(bench: Bench) -> None:
    """Each step gives `began`, then `done`; asked again, all of it is so already, and nothing is done twice."""
    app = bench.app
    copy = app.web("r1")
    steps = (*door_steps(app), *start(copy), Shift("api", to(copy)), app.task("once", marker="m1"))
    first = bench.carry(*steps, app=app)
    assert [(line.event, line.index) for line in first] == [
        (event, number) for number in range(len(steps)) for event in ("began", "done")
    ]
    assert [line.step for line in first if line.event == "began"] == list(steps)
    assert all(line.saw for line in first if line.event == "done")
    assert all(line.before is not None for line in first if line.event == "began")
    before = bench.driver.observe().digest
    assert [line.already for line in bench.done(*steps)] == [True] * len(steps)
    assert bench.driver.observe().digest == before


def test_failed_step_ends_the_batch_with_evidence(bench: Bench) -> None:
    """The program's last words are in the line; what comes after is not begun; the next try may succeed."""
    app = bench.app
    bench.case.breaks(bench.driver, "tidy")
    lines = bench.carry(app.task("broken", marker="m1"), StartInstance(app.worker("gen", "r1")), app=app)
    assert [(line.event, line.index) for line in lines] == [("began", 0), ("failed", 0)]
    assert lines[-1].sentence
    assert "the last words of the task" in "\n".join(lines[-1].evidence)
    assert bench.driver.observe().tasks == {}
    assert bench.driver.observe().instances == ()


def test_copy_that_does_not_start_fails_the_wait(bench: Bench) -> None:
    """A program that ends at once is seen as such, and no value gets into the evidence."""
    app = bench.app
    broken = app.web("broken")
    bench.case.breaks(bench.driver, f"wait until {broken.name}")
    lines = bench.carry(*start(broken), app=app)
    assert lines[-1].event == "failed"
    assert lines[-1].evidence
    assert MARK not in repr(lines)
    assert not [one for one in bench.driver.observe().instances if one.state == "ready"]


def test_task_with_a_marker_runs_once_and_without_one_always(bench: Bench) -> None:
    """The marker it was last done with is a fact."""
    app = bench.app
    once, always = app.task("once", marker="m1"), app.task("always", marker=None)
    assert [line.already for line in bench.done(once, once, always, always, app=app)] == [False, True, False, False]
    assert bench.driver.observe().tasks == {"tidy": "m1"}
    assert [line.already for line in bench.done(app.task("again", marker="m2"), app=app)] == [False]


def test_store_is_made_prepared_and_kept(bench: Bench) -> None:
    """Place, server, what is in it: each is a fact, and stopping the server keeps the data."""
    app = bench.app
    cache = app.cache()
    bench.done(cache.init, *start(cache.server), cache.prepare, app=app)
    facts = bench.driver.observe()
    assert [(one.name, one.kind, one.major is not None) for one in facts.stores] == [("cache", "redis", True)]
    assert facts.tasks["prepare:cache"] == digest_of(cache.prepare.settings)
    assert facts.ports["cache"] == cache.server.port
    bench.done(StopInstance("cache", 15.0), ConfirmStopped("cache"))
    stopped = bench.driver.observe()
    assert (stopped.stores, stopped.ports) == (facts.stores, facts.ports)


def test_purge_deletes_data_only_when_nothing_runs(bench: Bench) -> None:
    """While the server runs the step fails; after that data, port and markers are gone, and the journal stays.

    The markers of tasks go too: a migration that had run must run again on the empty store.
    """
    app = bench.app
    cache, task = app.cache(), app.task("migrated", marker="m1")
    bench.done(cache.init, *start(cache.server), cache.prepare, task, app=app)
    assert bench.driver.observe().tasks["tidy"] == "m1"
    assert bench.carry(PurgeData("cache"))[-1].event == "failed"
    assert bench.driver.observe().stores
    bench.done(StopInstance("cache", 15.0), PurgeData("cache"))
    facts = bench.driver.observe()
    assert [one for one in facts.stores if one.major is not None] == []
    assert facts.tasks == {}
    assert bench.driver.journal()


def test_end_leaves_nothing_running(bench: Bench) -> None:
    """All copies and what watches over them are gone; again there is nothing to end."""
    app = bench.app
    bench.done(*start(app.worker("gen", "r1"), app.worker("relay", "r1")), app=app)
    assert len(bench.driver.observe().instances) == 2
    assert [line.already for line in bench.done(EndSite(), EndSite())] == [False, True]
    assert [one for one in bench.driver.observe().instances if one.state != "stopped"] == []


def test_drain_and_confirmations_look_and_change_nothing(bench: Bench) -> None:
    """They may be asked of what is there and of what is not."""
    app = bench.app
    copy = app.web("r1")
    bench.done(*start(copy), app=app)
    before = bench.driver.observe().digest
    bench.done(Drain(copy.name, 2.0), Drain("nobody", 2.0), ConfirmStopped("nobody"))
    assert bench.carry(ConfirmStopped(copy.name))[-1].event == "failed"
    assert bench.driver.observe().digest == before


def test_unconfirmed_traffic_fails(bench: Bench) -> None:
    """Traffic that goes elsewhere than a step says is not confirmed."""
    app = bench.app
    copy, other = app.web("r1"), app.web("r2")
    bench.done(*door_steps(app), *start(copy, other), Shift("api", to(copy)), app=app)
    bench.done(ConfirmShift("api", to(copy), within=5.0))
    assert bench.carry(ConfirmShift("api", to(other), within=1.0))[-1].event == "failed"
