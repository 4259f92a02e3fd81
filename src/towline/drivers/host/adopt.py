"""What else runs on a host, and the steps that end it and take its data, as the programs of a batch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from towline.core.secret import Secret
from towline.drivers.host.batch import StepProgram
from towline.drivers.host.facts import seen_in
from towline.drivers.host.programs import part, quote
from towline.steps.adopt import OtherContainer, OtherMount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.drivers.host.target import Target
    from towline.steps.adopt import StartOthers, StopOthers, TakeData

SURVEY_WITHIN = 120.0


def others_on(target: Target) -> tuple[OtherContainer, ...]:
    """Every container that is not of Towline, by name; the sizes of what they keep are counted, which may take long."""
    seen = seen_in(target.ask("others\n", "adopt.sh", within=SURVEY_WITHIN))
    sizes = {}
    for line in seen.get("size", ()):
        size, _, folder = line.partition(" ")
        sizes[folder] = int(size or 0)
    found = [_other(json.loads(text), sizes) for text in seen.get("other", ())]
    return tuple(sorted(found, key=lambda one: one.name))


def stop_others(step: StopOthers) -> StepProgram:
    """Stopped, and not by their restart policy started again."""
    words = " ".join(quote(name) for name in step.containers)
    body = _parts()
    return StepProgram(before=f"{body}others_ran {words}\n", apply=f"{body}stop_others {words}\n")


def start_others(step: StartOthers) -> StepProgram:
    """The way back."""
    words = " ".join(f"{quote(name)} {quote(policy)}" for name, policy in step.containers)
    return StepProgram(apply=f"{_parts()}start_others {words}\n")


def take_data(step: TakeData) -> StepProgram:
    """A copy, marked as whole when it is."""
    body, names = _parts(), f"{quote(step.source)} {quote(step.volume)}"
    of = " ".join(quote(one) for one in (step.store, step.store_kind, step.major))
    words = " ".join(quote(one) for one in (step.volume, step.image, step.server))
    again = f"write_again {words}\n" if step.server else ""
    return StepProgram(
        holds=f"{body}was_taken {names}\n", apply=f"{body}take_data {names} {of}\n{again}taken {names}\n"
    )


def _parts() -> str:
    return part("files.sh") + part("docker.sh") + part("adopt.sh")


def _other(plain: Mapping[str, Any], sizes: Mapping[str, int]) -> OtherContainer:
    labels = plain["labels"] or {}
    mounts = tuple(
        OtherMount(
            str(one.get("Type", "")),
            str(one.get("Name", "")),
            str(one["Source"]),
            str(one["Destination"]),
            sizes.get(str(one["Source"]), 0),
        )
        for one in plain["mounts"] or ()
    )
    bound = [one for ports in (plain["ports"] or {}).values() for one in ports or ()]
    pairs = (text.partition("=") for text in plain["environment"] or ())
    return OtherContainer(
        name=str(plain["name"]).removeprefix("/"),
        project=str(labels.get("com.docker.compose.project", "")),
        service=str(labels.get("com.docker.compose.service", "")),
        image=str(plain["image"]),
        state=str(plain["state"]),
        ports=tuple(sorted({int(one["HostPort"]) for one in bound if str(one.get("HostPort", "")).isdigit()})),
        mounts=mounts,
        environment={name: Secret(value) for name, _, value in pairs},
    )
