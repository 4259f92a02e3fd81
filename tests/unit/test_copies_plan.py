"""More, fewer or new copies of what runs: the plans, and how a rollback goes back over them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.release_scenes import empty_sites

from towline.artifacts.copies import copy_name, copy_numbers, free_numbers
from towline.core.errors import Refused
from towline.release.copies import Subject, Wish, plan_copies, plan_restart_of_servers
from towline.release.journal import fold
from towline.release.rollback import rollback, taken_back
from towline.steps.container import Container
from towline.steps.kinds import Instance, Probe, StartInstance, StopInstance
from towline.steps.model import Facts, InstanceFact, Plan
from towline.steps.show import plan_lines

SCALE = Subject("shop", "production", "scale", "scaled")
STEM = ("api", "r1")


def made(service: str, number: int, revision: str = "r1") -> Instance:
    """A copy as the journal has it."""
    name = copy_name(service, revision, number)
    container = Container(f"shop-production-{name}", "shop:1")
    return Instance(name, service, revision, "service", Probe("lives", 30.0), drain=5.0, container=container)


def there(*copies: Instance, state: str = "ready") -> Facts:
    """A host on which these run, and the API has traffic."""
    facts = tuple(InstanceFact(one.name, one.service, one.revision, state, drain=one.drain) for one in copies)
    addresses = tuple(f"{one.container.name}:8000" for one in copies if one.container and one.service == "api")
    return Facts("box", instances=facts, upstreams={"api": addresses} if addresses else {})


def known(*copies: Instance) -> dict[tuple[str, str, str], Instance]:
    return {("box", one.name, one.revision): one for one in copies}


def lines(plan: Plan) -> list[str]:
    return [line.strip() for line in plan_lines(plan)]


@given(
    st.integers(1, 9),
    st.dictionaries(st.integers(1, 20).map(lambda n: copy_name(*STEM, n)), st.sampled_from(["ready", "leaving"])),
)
def test_numbers_keep_what_runs_and_never_call_back_what_leaves(wanted: int, state_of: dict[str, str]) -> None:
    """As many as wanted, none twice, ready ones first, and no number of a copy that finishes by itself."""
    numbers = copy_numbers(STEM, wanted, state_of)
    ready = {int(name.rpartition(".")[2]) for name, state in state_of.items() if state == "ready"}
    leaving = {int(name.rpartition(".")[2]) for name, state in state_of.items() if state == "leaving"}
    assert len(set(numbers)) == len(numbers) == wanted
    assert len(ready & set(numbers)) == min(wanted, len(ready))
    assert not leaving & set(numbers)
    assert not (ready | leaving) & set(free_numbers(STEM, wanted, state_of))


def test_numbers_are_of_one_service_and_revision_alone() -> None:
    """A service whose name begins alike, and another revision, take no number away."""
    others = {"api.r1.extra.1": "ready", "api.r10.1": "ready", "api2.r1.1": "ready"}
    assert copy_numbers(STEM, 2, others) == (1, 2)


def test_more_copies_start_beside_those_that_run() -> None:
    """The new one is made as they are, the traffic goes to all, nothing is stopped."""
    one = made("api", 1)
    plan = plan_copies(SCALE, [Wish("api", "beside", "", {"box": 3})], {"box": there(one)}, known(one))
    assert plan.intent == "scale"
    started = [step.instance for step in plan.steps if isinstance(step, StartInstance)]
    assert [new.name for new in started] == ["api.r1.2", "api.r1.3"]
    assert started[0].container == replace(one.container, name="shop-production-api.r1.2") if one.container else False
    assert "confirm that api answers from shop-production-api.r1.1:8000" in " ".join(lines(plan))
    assert not [step for step in plan.steps if isinstance(step, StopInstance)]
    assert plan.notes == ("scaled",)


def test_fewer_copies_finish_by_themselves() -> None:
    """The lowest numbers stay; who goes has lost its traffic before, and nobody waits for it."""
    copies = [made("api", 1), made("api", 2), made("api", 10)]
    plan = plan_copies(SCALE, [Wish("api", "beside", "", {"box": 2})], {"box": there(*copies)}, known(*copies))
    assert [step.name for step in plan.steps if step.kind == "see-off"] == ["api.r1.10"]
    kinds = [step.kind for step in plan.steps]
    assert kinds.index("confirm-shift") < kinds.index("see-off")
    assert not {"drain", "stop-instance"} & {*kinds}


def test_as_many_as_there_are_is_no_plan() -> None:
    """Nothing to do is said as such."""
    copies = [made("api", 3), made("api", 4)]
    wishes = [Wish("api", "beside", "", {"box": 2})]
    assert plan_copies(SCALE, wishes, {"box": there(*copies)}, known(*copies)).empty


def test_restart_replaces_every_copy_under_another_number() -> None:
    """New ones first for `beside`; for `after` the old one first, and the pause is a note."""
    one, worker = made("api", 1), made("gen", 1)
    wishes = [Wish("api", "beside", "", {"box": 1}, anew=True), Wish("gen", "after", "`single`", {"box": 1}, anew=True)]
    plan = plan_copies(SCALE, wishes, {"box": there(one, worker)}, known(one, worker))
    done = [step.title for step in plan.steps]
    gone = next(place for place, step in enumerate(plan.steps) if step.kind == "see-off")
    assert "let api.r1.1 finish" in done[gone]
    assert done.index("start api.r1.2") < gone
    assert done.index("stop gen.r1.1") < done.index("start gen.r1.2")
    assert any("`gen` pauses" in note for note in plan.notes)


def test_a_copy_that_leaves_is_neither_kept_nor_stopped() -> None:
    """It finishes by itself; its name is not given away meanwhile."""
    one, old = made("api", 1), made("api", 2)
    facts = there(one)
    facts = replace(facts, instances=(*facts.instances, InstanceFact(old.name, "api", "r1", "leaving")))
    plan = plan_copies(SCALE, [Wish("api", "beside", "", {"box": 2})], {"box": facts}, known(one, old))
    assert [step.instance.name for step in plan.steps if isinstance(step, StartInstance)] == ["api.r1.3"]
    assert not [step for step in plan.steps if isinstance(step, StopInstance)]


@pytest.mark.parametrize(
    ("facts", "journal", "sentence"),
    [
        (there(), (), "nothing of `api` runs"),
        (there(made("api", 1), made("api", 1, "r2")), (made("api", 1),), "two versions of `api`"),
        (there(made("api", 1)), (), "the journal does not tell how api.r1.1 was started"),
    ],
    ids=["nothing", "two-versions", "unknown"],
)
def test_what_cannot_be_scaled_is_refused(facts: Facts, journal: tuple[Instance, ...], sentence: str) -> None:
    """With the reason, before anything is done."""
    with pytest.raises(Refused, match=sentence):
        plan_copies(SCALE, [Wish("api", "beside", "", {"box": 2})], {"box": facts}, known(*journal))


def test_a_store_stops_and_starts_and_the_plan_says_so() -> None:
    """In two stages, so that a resume never stops what has come back."""
    store = replace(made("db", 1), name="db", runs="postgres")
    plan = plan_restart_of_servers(SCALE, ["db"], {"box": there(store)}, known(store))
    assert [stage.name for stage in plan.stages] == ["stop db", "replace db"]
    assert "nothing reaches it for a moment" in plan.notes[1]
    with pytest.raises(Refused, match="does not run"):
        plan_restart_of_servers(SCALE, ["queue"], {"box": there(store)}, known(store))


def test_rollback_goes_back_over_what_was_scaled() -> None:
    """Release 1, release 2, scaled, restarted: a rollback leads to release 1, and all that came after is taken back."""
    sites = empty_sites("box")
    for scene in ("api web r1", "api web r2"):
        assert sites.deploy(scene).ok
    # Wherever it came from, what is scaled starts and stops copies as a deploy does.
    assert sites.carry_out(replace(sites.prepare("api web r2 x3"), intent="scale")).ok
    assert sites.carry_out(replace(sites.prepare("api web r2 x2"), intent="restart")).ok
    state = fold(sites.home.journal())
    assert [run.plan.intent for run in taken_back(state)] == ["deploy", "scale", "restart"]
    assert state.releases == (1, 2)
    plan = rollback(state)
    assert plan.release == 1
    assert sites.carry_out(plan).ok
    world = sites.moving()["box"]
    assert [one["instance"]["revision"] for one in world["instances"].values() if "api" in one["instance"]["name"]] == [
        "r1"
    ]


def test_a_scale_that_fails_is_taken_back_alone() -> None:
    """The release under it stays."""
    sites = empty_sites("box")
    assert sites.deploy("api web r1").ok
    before = sites.moving()
    sites.home.fail("wait until api.r1.2", "it does not start")
    assert not sites.carry_out(replace(sites.prepare("api web r1 x2"), intent="scale")).ok
    sites.home.heal()
    state = fold(sites.home.journal())
    assert [run.plan.intent for run in taken_back(state)] == ["scale"]
    assert sites.carry_out(rollback(state)).ok
    assert sites.moving() == before


def test_who_began_a_run_is_in_the_journal() -> None:
    """The owner of the lock, with the time."""
    sites = empty_sites("box")
    assert sites.deploy("api web r1").ok
    (run,) = fold(sites.home.journal()).runs
    assert run.by == "operator"
    assert run.at.startswith("20")
