"""First data: run once a target, after the release command and before anything new starts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.unit.release_scenes import Rehearsal, bundle_of, empty_sites, things

from towline.artifacts.model import SEEDED, Bundle
from towline.release.build import build
from towline.release.journal import fold
from towline.release.lock import held
from towline.release.rollback import rollback
from towline.steps.kinds import RunTask

if TYPE_CHECKING:
    from towline.steps.model import Plan

SCENE = "db postgres r1\napi web {revision} after=db\nrelease task {revision}"


def planned(sites: Rehearsal, revision: str, command: str = "seed") -> Plan:
    """The plan that leads to a revision, with a seed."""
    facts = sites.facts()
    bundle = bundle_of(things(SCENE.format(revision=revision)), facts)
    seed = RunTask("seed", "api", ("/bin/sh", "-c", command), "/app", 60.0, marker=SEEDED)
    parts = tuple(replace(part, seed_task=seed) for part in bundle.sites)
    with held(sites.sites, "the one who stashes") as hold:
        for part in parts:
            sites.sites[part.site].stash(part.contents, hold.leases[part.site])
    return build(Bundle(bundle.app, bundle.target, parts), facts)


def seeds(plan: Plan) -> int:
    return sum(isinstance(step, RunTask) and step.name == "seed" for step in plan.steps)


def test_the_seed_runs_once_whatever_becomes_of_its_command() -> None:
    """With the first deploy, after its release command; never again, and never alone."""
    sites = empty_sites("box")
    first = planned(sites, "r1")
    names = [stage.name for stage in first.stages]
    assert names.index("release") < names.index("seed") < names.index("start api")
    assert sites.carry_out(first).ok
    assert planned(sites, "r1", "another seed").empty
    assert seeds(planned(sites, "r2", "another seed")) == 0


def test_after_a_rollback_the_data_is_still_seeded() -> None:
    """What a task wrote stays, so it is not written twice."""
    sites = empty_sites("box")
    assert sites.carry_out(planned(sites, "r1")).ok
    assert sites.carry_out(rollback(fold(sites.home.journal()))).ok
    assert seeds(planned(sites, "r1")) == 0


def test_a_seed_that_fails_is_tried_again() -> None:
    """Nothing is noted of it."""
    sites = empty_sites("box")
    sites.home.fail("seed", "it cannot reach the database")
    assert not sites.carry_out(planned(sites, "r1")).ok
    sites.home.heal()
    assert sites.carry_out(rollback(fold(sites.home.journal()))).ok
    assert seeds(planned(sites, "r1")) == 1


def test_deleted_data_is_seeded_anew() -> None:
    """With the data its mark is gone."""
    sites = empty_sites("box")
    assert sites.carry_out(planned(sites, "r1")).ok
    for order in ("DOWN", "PURGE db"):
        assert sites.deploy(order).ok
    assert seeds(planned(sites, "r1")) == 1
