"""The names of targets on a machine that they share: who gets which, what is claimed, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from towline.artifacts.machine_door import FORM
from towline.artifacts.model import Bundle, SiteBundle
from towline.core.errors import Findings
from towline.drivers.host.machine_door import machine_door_in, names_in
from towline.release.build import build
from towline.release.names import CODES, entrance, objections, refuse_taken
from towline.steps.container import Container
from towline.steps.door import ANY_NAME, ClaimNames, MachineDoor, OpenMachineDoor, PublicNames, TakenName
from towline.steps.kinds import Instance, Probe, inverse
from towline.steps.model import Facts, InstanceFact

NAMES = PublicNames(("plain.example",), ("shop.example",))
OPENS = OpenMachineDoor(FORM, "caddy:2", "acme")
OPEN = MachineDoor(FORM, "acme")
PART = SiteBundle("box", (), (), None, None, None, {}, names=NAMES, machine_door=OPENS)


def of(part: SiteBundle) -> Bundle:
    return Bundle("shop", "production", (part,))


def codes(part: SiteBundle, facts: Facts) -> list[str]:
    return [one.code for one in objections(of(part), {"box": facts})]


def test_names_are_claimed_before_the_door_is_opened() -> None:
    """A door closes with the last name: whoever claims first cannot lose it to somebody who leaves."""
    assert entrance(PART, Facts("box")) == (ClaimNames(NAMES), OPENS)
    assert entrance(PART, Facts("box", names=NAMES, machine_door=OPEN)) == ()
    assert entrance(PART, Facts("box", machine_door=OPEN)) == (ClaimNames(NAMES),)
    assert entrance(replace(PART, names=None, machine_door=None), Facts("box", names=NAMES)) == (ClaimNames(),)


def test_a_door_is_replaced_by_a_later_form_and_never_by_an_earlier_one() -> None:
    """So two versions of this program may deploy to one machine in turn."""
    for there, steps in ((FORM - 1, (OPENS,)), (FORM, ()), (FORM + 1, ())):
        assert entrance(PART, Facts("box", names=NAMES, machine_door=MachineDoor(there, "acme"))) == steps


def test_a_replaced_door_is_noted_in_the_plan() -> None:
    """It is every app's door; the first one of a machine is nobody's loss."""
    notes = build(of(PART), {"box": Facts("box", machine_door=MachineDoor(FORM - 1, "acme"))}).notes
    assert [note for note in notes if "door of the machine" in note]
    assert not build(of(PART), {"box": Facts("box")}).notes


def test_a_front_door_with_ports_of_its_own_makes_way_first() -> None:
    """One that was made before machines had a door: only when it is gone can that one open; its pause is told."""
    door = Instance(
        "caddy.r2", "caddy", "r2", "door", Probe("lives", 1.0), container=Container("shop-caddy", "caddy:2")
    )
    there = Facts("box", instances=(InstanceFact("caddy", "caddy", "r1", "ready"),))
    plan = build(of(replace(PART, door=door, hands_over=True)), {"box": there})
    assert [step.kind for step in plan.steps] == [
        "stop-instance", "confirm-stopped", "start-instance", "wait-ready", "lead-names", "claim-names",
        "open-machine-door",
    ]  # fmt: skip
    assert ["nothing answers for a moment" in note for note in plan.notes] == [True]


def test_a_claim_is_taken_back_to_the_names_before() -> None:
    """Also to none at all. A claim of nothing may have closed the door: then it is opened again as it was."""
    door = {"form": "1", "image": "caddy:2", "certificates": "acme"}
    assert inverse(ClaimNames(), {"clear": ["a"], "secure": [], "door": door}) == (
        ClaimNames(PublicNames(("a",))),
        OpenMachineDoor(1, "caddy:2", "acme"),
    )
    assert inverse(ClaimNames(NAMES), {"clear": [], "secure": [], "door": door}) == (ClaimNames(),)
    assert inverse(ClaimNames(NAMES), {"clear": [], "secure": ["old.example"]}) == (
        ClaimNames(PublicNames((), ("old.example",))),
    )
    assert inverse(ClaimNames(NAMES), {"clear": [], "secure": []}) == (ClaimNames(),)
    assert inverse(OPENS, {}) == ()


def test_a_taken_name_is_refused_with_its_owner() -> None:
    """With or without https; what else the owner has does not matter."""
    taken = (
        TakenName("other.example", "blog on test", secure=True),
        TakenName("shop.example", "blog on test", secure=False),
    )
    found = objections(of(PART), {"box": Facts("box", taken=taken, machine_door=OPEN)})
    assert [(one.code, "blog on test has the name shop.example" in one.sentence) for one in found] == [
        ("name-taken", True)
    ]
    with pytest.raises(Findings):
        refuse_taken(of(PART), {"box": Facts("box", taken=taken)})
    refuse_taken(of(PART), {"box": Facts("box")})


def test_one_app_answers_to_all_other_names() -> None:
    """A second one without a name is told who does, and how to get a name."""
    nameless = replace(PART, names=PublicNames((ANY_NAME, "host1")))
    taken = (TakenName(ANY_NAME, "blog on test", secure=False),)
    (found,) = objections(of(nameless), {"box": Facts("box", taken=taken)})
    assert found.code == "name-taken"
    assert "blog on test answers already to every name" in found.sentence
    assert found.hint is not None
    assert "PUBLIC_HOST" in found.hint


def test_certificates_come_one_way_on_a_machine() -> None:
    """Others with https keep the machine's way; without them it may change; an app without https does not care."""
    internal = MachineDoor(FORM, "internal")
    others = (TakenName("other.example", "blog on test", secure=True),)
    assert codes(PART, Facts("box", taken=others, machine_door=internal)) == ["certificates-differ"]
    assert codes(PART, Facts("box", machine_door=internal)) == []
    assert entrance(PART, Facts("box", names=NAMES, machine_door=internal)) == (OPENS,)
    clear = replace(PART, names=PublicNames(("a.example",)), machine_door=replace(OPENS, strict=False))
    assert codes(clear, Facts("box", taken=others, machine_door=internal)) == []
    assert entrance(clear, Facts("box", names=clear.names or NAMES, machine_door=internal)) == ()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("shop.example", []), ("box", []), ("a_b-c.example", []), ("203.0.113.7", []), ("2001:db8::1", []),
        (ANY_NAME, []), ("https://shop.example", ["name-unusable"]), ("shop.example:8080", ["name-unusable"]),
        ("my shop", ["name-unusable"]), ("../../x", ["name-unusable"]), ("*.shop.example", ["name-unusable"]),
        ("", ["name-unusable"]),
    ],
)  # fmt: skip
def test_a_name_is_one_that_is_asked_for(name: str, found: list[str]) -> None:
    """Somebody gives it, and it becomes a file on the machine: a URL or a path is refused before that."""
    assert codes(replace(PART, names=PublicNames((name,))), Facts("box")) == found


def test_a_name_has_to_fit_a_socket() -> None:
    """It is said before anything is done."""
    long = replace(PART, names=PublicNames((), ("x" * 60 + "." + "y" * 40 + ".example",)))
    assert codes(long, Facts("box")) == ["name-too-long"]
    assert set(CODES) == {"name-taken", "name-too-long", "name-unusable", "certificates-differ"}


def test_other_targets_are_no_reason_to_plan_anew() -> None:
    """What others claim meanwhile leaves a plan as good as it was; a name of one's own does not."""
    alone = Facts("box", names=NAMES)
    assert replace(alone, taken=(TakenName("a", "b on c", secure=True),), machine_door=OPEN).digest == alone.digest
    assert replace(alone, names=PublicNames()).digest != alone.digest


def test_what_a_machine_answers_is_read() -> None:
    """Own names by kind, others with their owner; a door that does not run is none."""
    own, taken = names_in(
        ["secure shop.example", "clear _"], ["secure blog.example /var/lib/towline/blog/test", "clear b /srv/a/b"]
    )
    assert own == PublicNames((ANY_NAME,), ("shop.example",))
    assert taken == (TakenName("b", "a on b", secure=False), TakenName("blog.example", "blog on test", secure=True))
    assert machine_door_in(['{"towline.form":"3","towline.certificates":"internal"}']) == MachineDoor(3, "internal")
    assert machine_door_in([]) is None
