"""Crash at every point of a plan that leaves old copies to themselves, then resume, or go back, as a new operator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.release_scenes import Case, Rehearsal, bundle_of, cases, things

from towline.lab.fake import POINTS, Crash, Point
from towline.release.build import build
from towline.release.journal import read
from towline.release.resume import resume
from towline.release.rollback import rollback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from towline.core.secret import Secret
    from towline.release.journal import State
    from towline.steps.model import Plan


class Trusting(Rehearsal):
    """Sites that see off what is replaced."""

    def plan(self, scene: str) -> tuple[Plan, dict[str, dict[str, Secret]]]:
        facts = self.facts()
        bundle = bundle_of(things(scene), facts)
        trusted = replace(bundle, sites=tuple(replace(one, hands_over=True) for one in bundle.sites))
        return build(trusted, facts), {part.site: dict(part.contents) for part in bundle.sites}


def start_of(case: Case) -> tuple[Trusting, Plan]:
    """The sites before, and the plan."""
    start = Trusting(case.rehearsal().worlds)
    return start, start.prepare(case.after)


def sees_off(case: Case) -> bool:
    """Whether its plan leaves a copy to itself."""
    if any(word in case.after for word in ("DOWN", "PURGE")):
        return False
    return any(step.kind == "see-off" for step in start_of(case)[1].steps)


CASES = [case for case in cases() if sees_off(case)]


def places(plan: Plan) -> Iterator[tuple[str, int, Point]]:
    """Every point of every step, by its number on its site."""
    for site in sorted({batch.site for stage in plan.stages for batch in stage.batches}):
        steps = sum(len(batch.steps) for stage in plan.stages for batch in stage.batches if batch.site == site)
        yield from ((site, number, point) for number in range(steps) for point in POINTS)


def recovered(left: Rehearsal, way: Callable[[State], Plan]) -> Rehearsal:
    """The same after a recovery."""
    after = left.copied()
    state = read(after.home, after.sites)
    assert state.open is not None
    assert after.carry_out(way(state)).ok
    return after


@pytest.mark.parametrize("case", CASES, ids=[case.path.stem for case in CASES])
def test_crash_at_every_point_is_resumed_or_taken_back(case: Case) -> None:
    """Whatever point the operator dies at: a resume ends as the straight run did, a rollback where the run began."""
    start, plan = start_of(case)
    straight = start.copied()
    assert straight.carry_out(plan).ok
    for site, number, point in places(plan):
        left = start.copied()
        left.sites[site].crash_at(number, point)
        with pytest.raises(Crash):
            left.carry_out(plan)
        assert recovered(left, resume).whole() == straight.whole(), (site, number, point)
        wanted = start.moving(*case.crashed)
        assert recovered(left, rollback).moving(*case.crashed) == wanted, (site, number, point)


def test_some_cases_see_copies_off() -> None:
    """The suite is not empty, and has a plan of two sites in it."""
    assert {"code-change", "two-sites-change"} <= {case.path.stem for case in CASES}
