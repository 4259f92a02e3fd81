"""What every driver that runs instances must do, the fake and the real ones alike: each kind of step."""

from __future__ import annotations

import json

import pytest
from tests.contract.driver_bench import Bench, door_steps, ok, opened, start, taken_over, to
from tests.contract.driver_cases import CASES, MARK, SITE

from towline.core.errors import Fenced
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
from towline.steps.model import Batch, digest_of, to_json

bench = pytest.fixture(params=CASES, ids=[case.name for case in CASES])(opened)


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


def test_store_is_made_prepared_and_kept(bench: Bench) -> None:
    """Place, server, what is in it: each is a fact, and stopping the server keeps the data."""
    app = bench.app
    cache = app.cache()
    assert cache.prepare is not None
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
    assert cache.prepare is not None
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
