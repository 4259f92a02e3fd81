"""Ways back over several releases, failed ones in between, and what there is no way back from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.release_scenes import Rehearsal, empty_sites

from towline.core.errors import Refused
from towline.release.journal import read
from towline.release.resume import resume
from towline.release.rollback import rollback, taken_back
from towline.steps.kinds import StartInstance

if TYPE_CHECKING:
    from towline.release.journal import State


def state_of(rehearsal: Rehearsal) -> State:
    return read(rehearsal.home, rehearsal.sites)


def roll_back(rehearsal: Rehearsal) -> None:
    assert rehearsal.carry_out(rollback(state_of(rehearsal))).ok


def test_three_releases_back_one_by_one() -> None:
    """Each rollback leads exactly to the release before, down to nothing at all."""
    rehearsal = empty_sites("box")
    worlds = []
    for revision in ("r1", "r2", "r3"):
        worlds.append(rehearsal.moving())
        assert rehearsal.deploy(f"db postgres r1\napi web {revision} x2\nrelay single {revision}").ok
    for number, world in ((2, worlds[2]), (1, worlds[1]), (0, worlds[0])):
        roll_back(rehearsal)
        assert rehearsal.moving() == world
        assert state_of(rehearsal).releases == tuple(range(1, number + 1))
    with pytest.raises(Refused, match="no release to take back"):
        rollback(state_of(rehearsal))


def test_first_release_back_says_that_data_stays() -> None:
    """Before the first release there was nothing: what it started stops, what it stored stays."""
    rehearsal = empty_sites("box")
    assert rehearsal.deploy("db postgres r1\napi web r1").ok
    plan = rollback(state_of(rehearsal))
    assert (plan.release, plan.notes) == (
        0,
        ("there is no release before it: what it started is stopped, and data stays",),
    )
    assert rehearsal.carry_out(plan).ok
    assert rehearsal.whole()["box"]["stores"]


def test_rollback_goes_past_failed_releases() -> None:
    """A failed release, and a good one on top of it: the way back leads to the good one before both."""
    rehearsal = empty_sites("box")
    assert rehearsal.deploy("api web r1\ngen worker r1").ok
    good = rehearsal.moving()
    rehearsal.home.fail("wait until gen.r2.1", "it never lived")
    assert not rehearsal.deploy("api web r2\ngen worker r2").ok
    rehearsal.home.heal()
    assert rehearsal.deploy("api web r2\ngen worker r3").ok
    state = state_of(rehearsal)
    assert [run.name for run in taken_back(state)] == ["2", "3"]
    plan = rollback(state)
    assert plan.release == 1
    started = {step.instance.name for step in plan.steps if isinstance(step, StartInstance)}
    assert started == {"api.r1.1", "gen.r1.1"}, "what never got ready is not started again"
    rehearsal.home.fail("wait until gen.r2.1", "it never lives")
    assert rehearsal.carry_out(plan).ok
    assert rehearsal.moving() == good
    assert state_of(rehearsal).releases == (1,)


def test_failed_store_change_starts_the_old_store_again() -> None:
    """A store keeps its name from release to release: the way back tells old and new by their revision."""
    rehearsal = empty_sites("box")
    assert rehearsal.deploy("db postgres r1\napi web r1 after=db").ok
    before = rehearsal.moving()
    rehearsal.home.fail("wait until db is ready", "it does not start", "FATAL: bad setting")
    assert not rehearsal.deploy("db postgres r2\napi web r1 after=db").ok
    rehearsal.home.heal()
    roll_back(rehearsal)
    assert rehearsal.moving() == before


def test_failed_rollback_is_gone_on_with() -> None:
    """A second rollback, or a resume, goes on where the first one failed."""
    rehearsal = empty_sites("box")
    for revision in ("r1", "r2"):
        assert rehearsal.deploy(f"api web {revision}").ok
    rehearsal.home.fail("confirm that api answers", "somebody else answers")
    failed = rehearsal.carry_out(rollback(state_of(rehearsal)))
    assert (failed.ok, failed.run) == (False, "2.rollback.1")
    rehearsal.home.heal()
    state = state_of(rehearsal)
    assert rollback(state) == resume(state)
    assert rollback(state).stages[0].name == "take back: shift"
    outcome = rehearsal.carry_out(rollback(state))
    assert (outcome.ok, outcome.run) == (True, "2.rollback.1.resume.1")
    assert state_of(rehearsal).releases == (1,)


def test_deploy_after_a_rollback_has_a_new_number() -> None:
    """Numbers are never used twice, and the stack goes on from the release that stands."""
    rehearsal = empty_sites("box")
    for revision in ("r1", "r2"):
        assert rehearsal.deploy(f"api web {revision}").ok
    roll_back(rehearsal)
    assert rehearsal.deploy("api web r3").run == "3"
    assert state_of(rehearsal).releases == (1, 3)
    assert rehearsal.facts()["box"].releases == (1, 3)
    roll_back(rehearsal)
    assert state_of(rehearsal).releases == (1,)


def test_rollback_of_a_down_starts_everything_again() -> None:
    """Taking down is a run like any other."""
    rehearsal = empty_sites("box")
    assert rehearsal.deploy("db postgres r1\napi web r1 x2 after=db\ngen worker r1").ok
    before = rehearsal.moving()
    assert rehearsal.deploy("DOWN").ok
    roll_back(rehearsal)
    assert rehearsal.moving() == before


def test_no_way_back_over_deleted_data() -> None:
    """What a purge deleted no rollback pretends to bring back."""
    rehearsal = empty_sites("box")
    for scene in ("db postgres r1\napi web r1", "DOWN", "PURGE db"):
        assert rehearsal.deploy(scene).ok
    with pytest.raises(Refused, match="no rollback brings it back"):
        rollback(state_of(rehearsal))


def test_nothing_open_is_nothing_to_resume() -> None:
    """A finished run leaves nothing to resume."""
    rehearsal = empty_sites("box")
    assert rehearsal.deploy("api web r1").ok
    with pytest.raises(Refused, match="nothing is left to resume"):
        resume(state_of(rehearsal))


def test_resume_starts_at_the_first_stage_that_is_not_done() -> None:
    """Stages that are wholly done are left out, and the others keep their numbers, so that steps are recognised."""
    rehearsal = empty_sites("box")
    assert rehearsal.deploy("api web r1").ok
    rehearsal.home.fail("confirm that api", "somebody else answers")
    assert not rehearsal.deploy("api web r2").ok
    rehearsal.home.heal()
    plan = resume(state_of(rehearsal))
    assert [stage.name for stage in plan.stages] == ["shift", "drain", "stop"]
    assert [batch.stage for stage in plan.stages for batch in stage.batches] == [1, 2, 3]
    outcome = rehearsal.carry_out(plan)
    assert (outcome.ok, outcome.run, outcome.already) == (True, "2.resume.1", 1)
