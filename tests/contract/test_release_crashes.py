"""Crash at every point of every plan, then resume or roll back as a new operator who knows nothing but the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.release_scenes import Case, Rehearsal, cases

from towline.core.errors import Refused
from towline.lab.fake import POINTS, Crash, Point
from towline.release.journal import read
from towline.release.resume import resume
from towline.release.rollback import rollback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from towline.lab.world import World
    from towline.release.journal import State
    from towline.steps.model import Plan

CASES = [case for case in cases() if case.path.stem != "nothing-changes"]
BY_NAME = {case.path.stem: case for case in CASES}
Place = tuple[str, int | str, Point]
"""A site, the number of a step there or an entry of the engine's own, and a point."""


def crash_places(plan: Plan) -> Iterator[Place]:
    """Every place in a plan where the operator, or a site, can die."""
    home = "box"
    for entry in ("plan", "ended"):
        for point in ("before began", "done"):
            yield home, entry, "before began" if point == "before began" else "done"
    for site in sorted({batch.site for stage in plan.stages for batch in stage.batches}):
        steps = sum(len(batch.steps) for stage in plan.stages for batch in stage.batches if batch.site == site)
        for number in range(steps):
            for point in POINTS:
                yield site, number, point


def crashed(rehearsal: Rehearsal, plan: Plan, place: Place) -> Rehearsal:
    """What is left when a plan dies at a place."""
    left = rehearsal.copied()
    site, step, point = place
    left.sites[site].crash_at("plan" if step == "plan" else "ended" if step == "ended" else int(step), point)
    with pytest.raises(Crash):
        left.carry_out(plan)
    return left.copied()


def recovered(left: Rehearsal, way: Callable[[State], Plan]) -> Rehearsal:
    """The same after a recovery; one that has nothing to recover changes nothing."""
    after = left.copied()
    state = read(after.home, after.sites)
    if state.open is not None:
        outcome = after.carry_out(way(state))
        assert outcome.ok, outcome.failed
        assert read(after.home, after.sites).open is None
    return after


@pytest.mark.parametrize("case", CASES, ids=[case.path.stem for case in CASES])
def test_crash_at_every_point_is_resumed_or_taken_back(case: Case) -> None:
    """Whatever point the operator dies at: a resume ends as the straight run did, a rollback where the run began."""
    start = case.rehearsal()
    plan = start.prepare(case.after)
    straight = start.copied()
    assert straight.carry_out(plan).ok
    places = list(crash_places(plan))
    assert len(places) == 4 + len(plan.steps) * len(POINTS)
    for place in places:
        left = crashed(start, plan, place)
        never_begun = read(left.home, left.sites).runs == read(start.home, start.sites).runs
        wanted = start.whole() if never_begun else straight.whole()
        assert recovered(left, resume).whole() == wanted, place
        if plan.intent != "purge":
            finished = read(left.home, left.sites).open is None and place[1] == "ended"
            wanted = (straight if finished else start).moving(*case.crashed)
            assert recovered(left, rollback).moving(*case.crashed) == wanted, place


@pytest.mark.parametrize("case", CASES, ids=[case.path.stem for case in CASES])
def test_finished_release_is_taken_back(case: Case) -> None:
    """A rollback of a finished run leads to what ran before it, and the journal then stands on the run before."""
    rehearsal = case.rehearsal()
    before, standing = rehearsal.moving(*case.crashed), read(rehearsal.home, rehearsal.sites).standing
    assert rehearsal.deploy(case.after).ok
    state = read(rehearsal.home, rehearsal.sites)
    if state.standing[-1].plan.intent == "purge":
        with pytest.raises(Refused, match="deleted"):
            rollback(state)
        return
    assert rehearsal.carry_out(rollback(state)).ok
    assert rehearsal.moving(*case.crashed) == before
    after = read(rehearsal.home, rehearsal.sites)
    assert [run.name for run in after.standing] == [run.name for run in standing]


@pytest.mark.parametrize("case", CASES, ids=[case.path.stem for case in CASES])
def test_failure_of_every_step_is_taken_back(case: Case) -> None:
    """Whichever step fails, half done: the run says so, and a rollback leads to what ran before."""
    start = case.rehearsal()
    plan = start.prepare(case.after)
    for step in plan.steps:
        rehearsal = start.copied()
        for site in rehearsal.sites.values():
            site.fail(step.title, "it does not work", "boom")
        outcome = rehearsal.carry_out(plan)
        if outcome.ok:
            continue  # it held already, so that there was no act to fail in
        assert {line.evidence for line in outcome.failed} == {("boom",)}
        for site in rehearsal.sites.values():
            site.heal()
        if plan.intent != "purge":
            assert recovered(rehearsal, rollback).moving(*case.crashed) == start.moving(*case.crashed), step.title


NESTED = ("awaited-swap", "code-change", "two-sites-change", "store-changed", "door-moves", "service-removed", "down")


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_crash_in_the_recovery_is_recovered_from(data: st.DataObject) -> None:
    """Die in a run, die again in its resume or its rollback, perhaps twice: the end is the same."""
    case = BY_NAME[data.draw(st.sampled_from(NESTED))]
    start = case.rehearsal()
    plan = start.prepare(case.after)
    straight = start.copied()
    assert straight.carry_out(plan).ok
    left = crashed(start, plan, data.draw(st.sampled_from(_open_places(plan))))
    back = False
    for _ in range(data.draw(st.integers(1, 3))):
        # From a rollback there is only one way: on with it.
        back = back or data.draw(st.booleans())
        state = read(left.home, left.sites)
        again = rollback(state) if back else resume(state)
        if not again.steps:
            break
        left = crashed(left, again, data.draw(st.sampled_from(_open_places(again))))
    back = back or data.draw(st.booleans())
    end = recovered(left, rollback if back else resume)
    if back:
        assert end.moving() == start.moving()
    else:
        assert end.whole() == straight.whole()


def _open_places(plan: Plan) -> list[Place]:
    """The places after which the journal knows of the plan, and does not know that it is done."""
    return [place for place in crash_places(plan) if place[1:] not in (("plan", "before began"), ("ended", "done"))]


def test_what_the_worlds_compare_is_not_empty() -> None:
    """The comparison sees instances, traffic and data: two different releases differ in it."""
    rehearsal = BY_NAME["code-change"].rehearsal()
    before: tuple[dict[str, World], dict[str, World]] = rehearsal.whole(), rehearsal.moving()
    assert rehearsal.deploy(BY_NAME["code-change"].after).ok
    assert rehearsal.whole() != before[0]
    assert rehearsal.moving() != before[1]
