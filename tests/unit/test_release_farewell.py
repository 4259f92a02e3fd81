"""Old copies that finish by themselves: when a plan hands them over, when it waits, and the way back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.release_scenes import Rehearsal, bundle_of, cases, empty_sites, things

from towline.core.errors import Refused
from towline.release.build import build
from towline.release.down import plan_down, plan_purge
from towline.release.journal import read
from towline.release.rollback import rollback
from towline.steps.farewell import AwaitFarewell, SeeOff
from towline.steps.model import Facts, InstanceFact, Plan


def plan(text: str, facts: dict[str, Facts]) -> Plan:
    """The plan to a scene on sites that see off what is replaced."""
    bundle = bundle_of(things(text), facts)
    return build(replace(bundle, sites=tuple(replace(one, hands_over=True) for one in bundle.sites)), facts)


def deploy(rehearsal: Rehearsal, text: str) -> Plan:
    """The same, carried out."""
    made = plan(text, rehearsal.facts())
    bundle = bundle_of(things(text), rehearsal.facts())
    for part in bundle.sites:
        site = rehearsal.sites[part.site]
        lease = site.acquire("the one who stashes", 60.0)
        site.stash(part.contents, lease)
        site.release(lease)
    assert rehearsal.carry_out(made).ok
    return made


def titles(made: Plan) -> list[str]:
    return [step.title for step in made.steps]


def test_old_copies_are_handed_over_with_all_their_time() -> None:
    """Nobody waits for a drain or a long job: one step an old copy, the last of the plan."""
    rehearsal = empty_sites("box")
    deploy(rehearsal, "api web r1 x2\ngen worker r1")
    made = plan("api web r2 x2\ngen worker r2", rehearsal.facts())
    off = [step for step in made.steps if isinstance(step, SeeOff)]
    assert made.steps[-3:] == tuple(off)
    assert {(one.name, one.drain, one.stop_within) for one in off} == {
        ("api.r1.1", 30.0, 10.0), ("api.r1.2", 30.0, 10.0), ("gen.r1.1", 0.0, 120.0),
    }  # fmt: skip
    assert not [step for step in made.steps if step.kind in ("drain", "stop-instance", "confirm-stopped")]


@pytest.mark.parametrize(
    ("before", "after", "waits"),
    [
        ("relay single r1", "relay single r2", "relay.r1.1"),
        ("api web r1\ngen worker r1", "api web r1", "gen.r1.1"),
        ("db postgres r1\napi web r1", "api web r2", "api.r1.1"),
    ],
    ids=["swap after", "no longer wanted", "its store goes too"],
)
def test_what_others_need_gone_is_waited_for(before: str, after: str, waits: str) -> None:
    """A single service, one that is removed, and one whose store stops after it, end before the plan does."""
    rehearsal = empty_sites("box")
    deploy(rehearsal, before)
    made = plan(after, rehearsal.facts())
    assert not [step for step in made.steps if isinstance(step, SeeOff)]
    assert f"stop {waits}" in titles(made)


def leaving(facts: Facts, name: str, service: str) -> Facts:
    """The same with a copy that an earlier deploy has left to finish by itself."""
    one = InstanceFact(name, service, "r0", "leaving", None, 5.0, 100.0)
    return replace(facts, instances=(*facts.instances, one))


def test_who_leaves_is_no_part_of_a_plan() -> None:
    """Neither the plan nor its digest of the facts knows of a copy that is on its way, or has arrived."""
    rehearsal = empty_sites("box")
    deploy(rehearsal, "api web r1")
    facts = rehearsal.facts()["box"]
    with_one = leaving(facts, "api.r0.1", "api")
    assert with_one.digest == facts.digest
    assert plan("api web r1", {"box": with_one}).empty
    gone = replace(with_one, instances=(*facts.instances, replace(with_one.instances[-1], state="stopped")))
    assert gone.digest == facts.digest


def test_single_service_waits_for_a_copy_that_is_leaving() -> None:
    """Once it is `single`, no new one starts before the last old one is gone, whoever sent that away."""
    facts = leaving(empty_sites("box").facts()["box"], "relay.r0.1", "relay")
    steps = plan("relay single r1", {"box": facts}).steps
    assert AwaitFarewell("relay", 105.0) in steps
    assert steps.index(AwaitFarewell("relay", 105.0)) < next(
        place for place, step in enumerate(steps) if step.kind == "start-instance"
    )


def test_down_and_purge_wait_for_those_that_are_leaving() -> None:
    """Their stores stop after them; no data is deleted under their hands."""
    facts = {"box": leaving(empty_sites("box").facts()["box"], "gen.r0.1", "gen")}
    assert AwaitFarewell("gen", 105.0) in plan_down("shop", "test", facts).steps
    assert AwaitFarewell("gen", 7.0) in plan_down("shop", "test", facts, drain_at_most=7.0).steps
    with pytest.raises(Refused, match=r"gen\.r0\.1"):
        plan_purge("shop", "test", facts)


def test_rollback_hands_over_what_it_takes_back() -> None:
    """The old copies come back, the traffic goes to them, and the new ones finish by themselves."""
    rehearsal = empty_sites("box")
    deploy(rehearsal, "api web r1\ngen worker r1")
    before = rehearsal.moving()
    deploy(rehearsal, "api web r2\ngen worker r2")
    back = rollback(read(rehearsal.home, rehearsal.sites))
    assert {step.name for step in back.steps if isinstance(step, SeeOff)} == {"api.r2.1", "gen.r2.1"}
    assert not [step for step in back.steps if step.kind in ("drain", "stop-instance")]
    assert rehearsal.carry_out(back).ok
    assert rehearsal.moving() == before


def test_rollback_starts_all_before_it_waits_for_any() -> None:
    """Whoever was seen off comes back beside others who serve, so that the way back takes as long as the slowest."""
    rehearsal = empty_sites("box")
    deploy(rehearsal, "api web r1 x2\ngen worker r1")
    deploy(rehearsal, "api web r2 x2\ngen worker r2")
    kinds = [step.kind for step in rollback(read(rehearsal.home, rehearsal.sites)).steps]
    assert kinds[: kinds.index("shift")] == ["start-instance"] * 3 + ["wait-ready"] * 3


def test_rollback_of_a_new_store_waits_for_its_users() -> None:
    """What the run brought is stopped too, so its users end first."""
    rehearsal = empty_sites("box")
    deploy(rehearsal, "api web r1")
    deploy(rehearsal, "db postgres r1\napi web r2 after=db")
    back = rollback(read(rehearsal.home, rehearsal.sites))
    said = titles(back)
    assert said.index("stop api.r2.1") < said.index("stop db")


def test_every_case_has_the_same_end_when_copies_are_handed_over() -> None:
    """Whatever is deployed over whatever, the world is the same as with a deploy that waits."""
    compared = 0
    for case in cases():
        if any(word in case.after for word in ("DOWN", "PURGE")):
            continue
        waited, handed = case.rehearsal(), case.rehearsal()
        assert waited.deploy(case.after).ok
        deploy(handed, case.after)
        assert handed.moving() == waited.moving(), case.path.stem
        compared += 1
    assert compared > 10
