"""Properties of deploy plans: order of input, convergence, all or nothing; and the limits of down and purge."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.release_scenes import Rehearsal, bundle_of, empty_sites, things

from towline.core.errors import Defect, Refused
from towline.release.build import build
from towline.release.down import plan_down, plan_purge
from towline.release.order import levels, needed_by
from towline.steps.kinds import EndSite, Shift, StopInstance

if TYPE_CHECKING:
    from towline.artifacts.model import Bundle, SiteBundle
    from towline.steps.model import Facts, Plan

FULL = """db postgres r1
queue redis r1
api web r1 x2 after=db,queue setup=m1
gen worker r1 after=api
old fixed r1 after=db
relay single r1
page static r1
seed task r1
hello task always
release task r1
box2/admin web r1"""
LINES = FULL.split("\n")


@st.composite
def scenes(draw: st.DrawFn) -> str:
    """Some of the lines of a full scene, each in one of two revisions, in any order."""
    some = draw(st.lists(st.sampled_from(LINES), unique=True, min_size=1))
    return "\n".join(line.replace("r1", draw(st.sampled_from(["r1", "r2"]))) for line in some)


FEW = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(before=scenes(), after=scenes())
def test_second_plan_is_empty(before: str, after: str) -> None:
    """From any scene to any other: once the plan was carried out, there is nothing left to change."""
    rehearsal = empty_sites("box", "box2")
    assert rehearsal.deploy(before).ok
    assert rehearsal.deploy(after).ok
    again, _ = rehearsal.plan(after)
    assert again.empty, again.steps


@FEW
@given(before=scenes(), after=scenes(), data=st.data())
def test_order_of_input_never_matters(before: str, after: str, data: st.DataObject) -> None:
    """However the artifacts and the facts are ordered, it is the same plan, with the same digest."""
    rehearsal = empty_sites("box2", "box")
    assert rehearsal.deploy(before).ok
    facts = rehearsal.facts()
    bundle = bundle_of(things(after), facts)
    other = build(_shuffled(bundle, data), {name: _shuffled_facts(facts[name], data) for name in reversed(facts)})
    assert other == build(bundle, facts)
    assert other.digest == build(bundle, facts).digest


def _shuffled(bundle: Bundle, data: st.DataObject) -> Bundle:
    def mixed(part: SiteBundle) -> SiteBundle:
        services = tuple(
            replace(
                one,
                instances=tuple(data.draw(st.permutations(one.instances))),
                upstreams=tuple(data.draw(st.permutations(one.upstreams))),
                after=tuple(data.draw(st.permutations(one.after))),
            )
            for one in data.draw(st.permutations(part.services))
        )
        return replace(part, services=services, stores=tuple(data.draw(st.permutations(part.stores))))

    return replace(bundle, sites=tuple(mixed(part) for part in data.draw(st.permutations(bundle.sites))))


def _shuffled_facts(facts: Facts, data: st.DataObject) -> Facts:
    return replace(
        facts,
        instances=tuple(data.draw(st.permutations(facts.instances))),
        stores=tuple(data.draw(st.permutations(facts.stores))),
        upstreams=dict(data.draw(st.permutations(list(facts.upstreams.items())))),
        tasks=dict(data.draw(st.permutations(list(facts.tasks.items())))),
    )


@FEW
@given(before=scenes(), after=scenes())
def test_nothing_shifts_before_all_is_ready(before: str, after: str) -> None:
    """No traffic goes to new copies beside before every start and every wait of the plan, save swaps `after`."""
    rehearsal = empty_sites("box", "box2")
    assert rehearsal.deploy(before).ok
    plan, _ = rehearsal.plan(after)
    kinds = [(stage.name, step.kind) for stage in plan.stages for batch in stage.batches for step in batch.steps]
    shift = next((place for place, (stage, _) in enumerate(kinds) if stage == "shift"), len(kinds))
    assert all(kind not in ("start-instance", "wait-ready", "run-task") for _, kind in kinds[shift:])
    assert all(stage == "shift" or stage.startswith(("stop ", "replace ")) for stage, kind in kinds if kind == "shift")


def test_failed_start_shifts_nothing_and_stops_nothing() -> None:
    """When one new copy does not get ready, the old ones of every service keep their traffic."""
    rehearsal = empty_sites("box")
    assert rehearsal.deploy("api web r1\nadmin web r1").ok
    before = rehearsal.whole()["box"]["upstreams"]
    rehearsal.home.fail("wait until api.r2.1", "it never answered", "Traceback", "KeyError: 'DATABASE_URL'")
    outcome = rehearsal.deploy("api web r2\nadmin web r2")
    assert [line.evidence for line in outcome.failed] == [("Traceback", "KeyError: 'DATABASE_URL'")]
    after = rehearsal.whole()["box"]
    assert after["upstreams"] == before
    assert {"api.r1.1", "admin.r1.1"} <= after["instances"].keys()


def test_site_that_is_no_longer_wanted_is_cleared() -> None:
    """A site that left the target keeps data and runs nothing of the app."""
    rehearsal = empty_sites("box", "box2")
    assert rehearsal.deploy("api web r1\nbox2/queue redis r1\nbox2/gen worker r1").ok
    outcome = rehearsal.deploy("api web r1")
    assert outcome.ok
    assert rehearsal.whole()["box2"]["instances"] == {}
    assert rehearsal.whole()["box2"]["stores"] == {"queue": {"kind": "redis", "major": "18"}}


def test_task_without_marker_goes_only_with_other_changes() -> None:
    """A task that is never done for good does not make a plan by itself."""
    rehearsal = empty_sites("box")
    assert rehearsal.deploy("api web r1\nhello task always").ok
    assert rehearsal.plan("api web r1\nhello task always")[0].empty
    plan, _ = rehearsal.plan("api web r2\nhello task always")
    assert [step.title for step in plan.steps if step.kind == "run-task"] == ["task hello: `run hello`"]


def test_purged_store_is_made_anew_with_what_it_needs() -> None:
    """After its data was deleted, a store gets its place, its database and its migrations again."""
    rehearsal = empty_sites("box")
    scene = "db postgres r1\napi web r1 after=db\nrelease task r1"
    for one in (scene, "DOWN", "PURGE db"):
        assert rehearsal.deploy(one).ok
    names = [stage.name for stage in rehearsal.plan(scene)[0].stages]
    assert names[:4] == ["data", "servers", "prepare", "release"]
    assert rehearsal.deploy(scene).ok


def test_circle_is_a_defect() -> None:
    """Services that wait for each other have no order; the names are said."""
    with pytest.raises(Defect, match="wait for each other: a, b"):
        levels({"a": frozenset("b"), "b": frozenset("a"), "c": frozenset()})


def test_levels_and_what_is_needed() -> None:
    """Services start when those they wait for are there; what is needed reaches through others."""
    waits = {"web": frozenset({"api"}), "api": frozenset({"auth"}), "auth": frozenset[str](), "gen": frozenset[str]()}
    assert levels(waits) == (("auth", "gen"), ("api",), ("web",))
    assert needed_by(["web"], waits) == {"api", "auth"}


def test_missing_facts_are_a_defect() -> None:
    """A plan is never made for a site that was not asked."""
    rehearsal = empty_sites("box", "box2")
    bundle = bundle_of(things("box2/api web r1"), rehearsal.facts())
    with pytest.raises(Defect, match="no facts of box2"):
        build(bundle, {"box": rehearsal.facts()["box"]})


def _running() -> Rehearsal:
    rehearsal = empty_sites("box")
    assert rehearsal.deploy("db postgres r1\napi web r1 after=db\npage static r1\ngen worker r1 after=api").ok
    return rehearsal


def _stops(plan: Plan) -> list[tuple[str, float]]:
    return [(step.name, step.within) for step in plan.steps if isinstance(step, StopInstance)]


def test_down_without_files_stops_services_then_door_then_stores() -> None:
    """Taking down needs nothing but the facts: every copy has the limit that it was started with."""
    rehearsal = _running()
    plan = plan_down("shop", "test", rehearsal.facts())
    assert _stops(plan) == [("api.r1.1", 10.0), ("gen.r1.1", 120.0), ("door", 10.0), ("db", 20.0)]
    assert plan.steps[0] == Shift("api", ())
    assert plan.steps[-1] == EndSite()
    assert rehearsal.carry_out(plan).ok
    assert rehearsal.whole()["box"]["instances"] == {}


def test_purge_is_refused_while_anything_runs() -> None:
    """Data goes only when nothing can be writing to it."""
    with pytest.raises(Refused, match=r"still there: api\.r1\.1, db, door, gen\.r1\.1"):
        plan_purge("shop", "test", _running().facts())


def test_purge_of_an_unknown_store_names_those_there_are() -> None:
    """A mistyped name deletes nothing."""
    rehearsal = _running()
    assert rehearsal.deploy("DOWN").ok
    with pytest.raises(Refused, match="`dv`; there is: db"):
        plan_purge("shop", "test", rehearsal.facts(), "dv")


def test_purge_of_everything_leaves_the_journal() -> None:
    """The record of what was done outlives the data."""
    rehearsal = _running()
    assert rehearsal.deploy("DOWN").ok
    assert rehearsal.deploy("PURGE").ok
    facts = rehearsal.facts()["box"]
    assert (facts.stores, facts.tasks, facts.begun) == ((), {}, 3)
