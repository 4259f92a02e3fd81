"""The door of a machine and the names there, in the world of a fake site: of one target, since a fake has no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from towline.steps.door import MachineDoor, PublicNames

if TYPE_CHECKING:
    from towline.steps.door import ClaimNames, LeadNames, OpenMachineDoor

    World = dict[str, Any]

NOTHING: dict[str, Any] = {"names": {"clear": [], "secure": []}, "led_to": None, "machine_door": None}
"""The part of an empty world."""


def names(world: World) -> PublicNames:
    """The names that the target has."""
    there = world.get("names", NOTHING["names"])
    return PublicNames(tuple(there["clear"]), tuple(there["secure"]))


def machine_door(world: World) -> MachineDoor | None:
    """The door that is open."""
    there = world.get("machine_door")
    return MachineDoor(there["form"], there["certificates"]) if there else None


def names_before(world: World) -> dict[str, Any]:
    """What takes a claim back."""
    there = names(world)
    return {"clear": list(there.clear), "secure": list(there.secure), "door": world.get("machine_door")}


def has_names(world: World, step: ClaimNames) -> str | None:
    """Whether these are all."""
    return "it has these names" if names(world) == step.names else None


def claim(world: World, step: ClaimNames) -> str:
    """These and no others; without any the door closes."""
    world["names"] = {"clear": list(step.names.clear), "secure": list(step.names.secure)}
    if not step.names.all:
        world["machine_door"] = None
    return "it has these names"


def half_claim(world: World, step: ClaimNames) -> None:
    """Some of the new ones, and all of the old ones still."""
    there = names(world)
    world["names"] = {
        "clear": sorted({*there.clear, *step.names.clear[:1]}),
        "secure": sorted({*there.secure, *step.names.secure[:1]}),
    }


def leads_to(world: World, step: LeadNames) -> str | None:
    """Whether it is this one."""
    return "they lead there" if world.get("led_to") == step.revision else None


def lead_to(world: World, step: LeadNames) -> str:
    """One link, so that there is no half of it."""
    world["led_to"] = step.revision
    return "they lead there"


def is_open(world: World, step: OpenMachineDoor) -> str | None:
    """Whether one is that does."""
    return "it is open" if step.is_met(machine_door(world)) else None


def open_door(world: World, step: OpenMachineDoor) -> str:
    """In the form that is wanted."""
    world["machine_door"] = {"form": step.form, "image": step.image, "certificates": step.certificates}
    return "it is open"
