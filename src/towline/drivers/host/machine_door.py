"""The door that all targets of a machine share, and their names: what is seen of them, and programs of steps (pure)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from towline.artifacts.machine_door import GRACE, config
from towline.drivers.host.batch import StepProgram
from towline.drivers.host.programs import part, quote, settings
from towline.steps.door import MachineDoor, PublicNames, TakenName

if TYPE_CHECKING:
    from collections.abc import Iterable

    from towline.steps.door import ClaimNames, LeadNames, OpenMachineDoor


def claim_names(step: ClaimNames) -> StepProgram:
    """Files and links, each change a rename; refused, with the owner, where somebody else has one of them."""
    words = " ".join(quote("\n".join(one)) for one in (step.names.clear, step.names.secure))
    body = _parts()
    return StepProgram(holds=f"{body}has_names {words}\n", before=f"{body}had_names\n", apply=f"{body}claim {words}\n")


def lead_names(step: LeadNames) -> StepProgram:
    """One link for all names of the target."""
    body = _parts()
    return StepProgram(
        holds=f"{body}leads_to {quote(step.revision)}\n",
        before=f"{body}led_to\n",
        apply=f"{body}lead_to {quote(step.revision)}\n",
    )


def open_machine_door(step: OpenMachineDoor) -> StepProgram:
    """A container of its own, which no target's label is on; what is older is replaced beside it."""
    told = settings(
        form=step.form,
        image=step.image,
        certificates=step.certificates,
        any="" if step.strict else "yes",
        grace=f"{GRACE + 5:.0f}",
        config=config(step.certificates),
    )
    body = _parts() + told
    return StepProgram(holds=f"{body}is_open\n", apply=f"{body}open_door\n")


def names_in(own: Iterable[str], taken: Iterable[str]) -> tuple[PublicNames, tuple[TakenName, ...]]:
    """From lines `KIND NAME`, and `KIND NAME HOME` where the home is another target's: /var/lib/towline/APP/TARGET."""
    found: dict[str, list[str]] = {"clear": [], "secure": []}
    for line in own:
        kind, _, name = line.partition(" ")
        found[kind].append(name)
    others = []
    for line in taken:
        kind, name, home = line.split(" ", 2)
        app, _, target = home.rpartition("/")
        others.append(TakenName(name, f"{app.rpartition('/')[2]} on {target}", secure=kind == "secure"))
    names = PublicNames(tuple(sorted(found["clear"])), tuple(sorted(found["secure"])))
    return names, tuple(sorted(others, key=lambda one: (one.name, one.secure)))


def machine_door_in(lines: Iterable[str]) -> MachineDoor | None:
    """From the labels of the one that runs, as JSON; there may be none."""
    for line in lines:
        labels = json.loads(line)
        return MachineDoor(int(labels["towline.form"]), str(labels["towline.certificates"]))
    return None


def _parts() -> str:
    return part("files.sh") + part("docker.sh") + part("machine_door.sh")
