"""What every driver must make true of whole plans: each step's way back, swaps, recovery, down and up again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.driver_bench import NOW, Bench, door_steps, ok, opened, start, to
from tests.contract.driver_cases import CASES, MARK, SITE

from towline.release.down import plan_down, plan_purge
from towline.release.lock import held
from towline.release.resume import resume
from towline.release.rollback import rollback
from towline.steps.kinds import (
    ConfigureDoor,
    ConfirmShift,
    InitStore,
    PrepareStore,
    Shift,
    StartInstance,
    StopInstance,
    inverse,
)
from towline.steps.model import Line, to_json

if TYPE_CHECKING:
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Facts


bench = pytest.fixture(params=CASES, ids=[case.name for case in CASES])(opened)

# Ways back


def there_and_back(bench: Bench, step: AnyStep) -> list[Line]:
    """Do a step, then what `inverse` makes of it and what it found: the site is as it was."""
    before = bench.running()
    began = bench.carry(step)[0]
    assert began.before is not None
    back = inverse(step, began.before)
    assert bench.running() != before
    lines = bench.done(*back)
    assert bench.running() == before
    return lines


def test_start_is_taken_back(bench: Bench) -> None:
    """A copy that was not there before is gone again."""
    app = bench.app
    bench.done(*start(app.worker("relay", "r1")), app=app)
    there_and_back(bench, StartInstance(app.worker("gen", "r1")))


def test_start_of_what_runs_takes_nothing_back(bench: Bench) -> None:
    """A copy that was there before stays."""
    app = bench.app
    copy = app.worker("gen", "r1")
    bench.done(*start(copy), app=app)
    began = bench.carry(StartInstance(copy))[0]
    assert inverse(StartInstance(copy), began.before or {}) == ()


def test_stop_is_taken_back(bench: Bench) -> None:
    """A copy that was stopped runs again as it did, from what the journal kept of it."""
    app = bench.app
    copy = app.web("r1")
    bench.done(*start(copy), app=app)
    there_and_back(bench, StopInstance(copy.name, 10.0))


def test_shift_is_taken_back(bench: Bench) -> None:
    """Traffic goes where it went; the first shift of all is taken back to nobody."""
    app = bench.app
    old, new = app.web("r1"), app.web("r2")
    bench.done(*door_steps(app), *start(old, new), app=app)
    there_and_back(bench, Shift("api", to(old)))
    bench.done(Shift("api", to(old)))
    lines = there_and_back(bench, Shift("api", to(new)))
    assert [line.step for line in lines] == [Shift("api", to(old)), ConfirmShift("api", to(old))]


def test_routes_are_taken_back(bench: Bench) -> None:
    """The door gets the routes back that it had."""
    app = bench.app
    bench.done(*door_steps(app), app=app)
    before = bench.driver.observe().door
    other = app.stash({"app": "tiny", "port": app.door().port, "services": []})
    began = bench.carry(ConfigureDoor(other), app=app)[0]
    assert bench.driver.observe().door == other
    bench.done(*inverse(ConfigureDoor(other), began.before or {}))
    assert bench.driver.observe().door == before


def test_data_is_not_taken_back(bench: Bench) -> None:
    """No step that touched data has an inverse: data stays."""
    app = bench.app
    cache = app.cache()
    assert cache.prepare is not None
    bench.done(cache.init, *start(cache.server), cache.prepare, app=app)
    began = [line for line in bench.driver.journal() if line.event == "began" and line.step is not None]
    data = [line for line in began if isinstance(line.step, InitStore | PrepareStore)]
    assert len(data) == 2
    assert [inverse(line.step, line.before or {}) for line in data if line.step] == [(), ()]


# Whole plans


def test_swap_beside_through_the_engine(bench: Bench) -> None:
    """From nothing to one release to the next: only the new copies are left, and there is nothing more to do."""
    ok(bench.deploy("r1", copies=2))
    ok(bench.deploy("r2", copies=2))
    names = {name for name, _, _ in bench.running().instances}
    assert names == {"door", "cache", "api.r2.1", "api.r2.2", "relay.r2.1"}
    assert {state for _, _, state in bench.running().instances} == {"ready"}
    assert bench.plan(bench.app.bundle("r2", copies=2)).empty


def test_swap_after_through_the_engine(bench: Bench) -> None:
    """A service with a fixed port is replaced in its place."""
    ok(bench.deploy("r1", fixed=True))
    before = bench.running().upstreams
    ok(bench.deploy("r2", fixed=True))
    names = {name for name, _, _ in bench.running().instances}
    assert names == {"door", "cache", "api.r2.1", "relay.r2.1"}
    assert dict(bench.running().upstreams)["api"] == dict(before)["api"]


@pytest.mark.parametrize("fixed", [False, True], ids=["beside", "after"])
def test_rollback_through_the_engine(bench: Bench, fixed: bool) -> None:
    """A finished release is taken back to the one before, by another process."""
    ok(bench.deploy("r1", fixed=fixed))
    before = bench.running()
    ok(bench.deploy("r2", fixed=fixed))
    assert bench.running() != before
    bench.driver = bench.again()
    ok(bench.carry_out(rollback(bench.state())))
    assert bench.running() == before
    assert bench.driver.observe().releases == (1,)


@pytest.mark.parametrize("fixed", [False, True], ids=["beside", "after"])
def test_failed_release_is_rolled_back(bench: Bench, fixed: bool) -> None:
    """A new copy that does not start: the old one serves again, or never stopped to."""
    ok(bench.deploy("r1", fixed=fixed))
    before = bench.running()
    bench.case.breaks(bench.driver, "wait until api.broken.1")
    outcome = bench.deploy("broken", fixed=fixed)
    assert not outcome.ok
    assert MARK not in repr(outcome.failed)
    bench.driver = bench.again()
    ok(bench.carry_out(rollback(bench.state())))
    assert bench.running() == before


def test_run_that_broke_off_is_resumed(bench: Bench) -> None:
    """An operator who is gone after any batch: another one finishes the run."""
    ok(bench.deploy("r1"))
    app = bench.app
    plan = bench.plan(app.bundle("r2"))
    with held({SITE: bench.driver}, "ann@laptop pid 1") as hold:
        lease = hold.leases[SITE]
        bench.driver.stash(app.contents, lease)
        bench.driver.record(Line(at=NOW, run="2", event="plan", fence=lease.fence, plan=to_json(plan)), lease)
        for stage in plan.stages[: len(plan.stages) // 2]:
            list(bench.driver.carry_out(stage.batches[0], lease, "2"))
    bench.driver = bench.again()
    rest = resume(bench.state())
    assert 0 < len(rest.stages) < len(plan.stages)
    ok(bench.carry_out(rest))
    assert bench.plan(bench.app.bundle("r2")).empty
    assert bench.driver.observe().releases == (1, 2)


def test_down_and_up_again_and_purged(bench: Bench) -> None:
    """Down leaves the data, up starts without making anything anew, purge leaves nothing but the journal."""

    def facts() -> dict[str, Facts]:
        return {SITE: bench.driver.observe()}

    ok(bench.deploy("r1"))
    before = bench.running()
    ok(bench.carry_out(plan_down("tiny", "test", facts())))
    assert bench.running().instances == frozenset()
    kinds = {step.kind for step in bench.plan(bench.app.bundle("r1")).steps}
    assert kinds <= {"start-instance", "wait-ready", "configure-door", "shift", "confirm-shift"}
    ok(bench.deploy("r1"))
    assert {name for name, _, _ in bench.running().instances} == {name for name, _, _ in before.instances}
    ok(bench.carry_out(plan_down("tiny", "test", facts())))
    ok(bench.carry_out(plan_purge("tiny", "test", facts())))
    left = bench.driver.observe()
    assert ([one for one in left.stores if one.major], left.tasks, left.begun) == ([], {}, 5)
