"""What must never be seen while a plan is carried out: watchers for a fake site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from towline.lab.world import answers, door_is_ready, live
from towline.steps.farewell import SeeOff
from towline.steps.kinds import ConfirmShift, Shift, StopInstance

if TYPE_CHECKING:
    from towline.lab.world import World
    from towline.steps.kinds import AnyStep


class Violated(AssertionError):
    """Something was seen that must never be."""


class NeverTwice:
    """No two copies of these services at once, not even for a moment."""

    def __init__(self, *services: str) -> None:
        self._services = services

    def __call__(self, moment: Literal["before", "after"], world: World, step: AnyStep) -> None:
        """Look at the copies."""
        del moment
        for service in self._services:
            names = [entry["instance"]["name"] for entry in live(world, service)]
            if len(names) > 1:
                raise Violated(f"{', '.join(names)} run at once at `{step.title}`")


class Served:
    """While the door is open, no step lets traffic go where nobody answers; what was dead before the step is not its
    doing."""

    def __init__(self) -> None:
        self._dead: set[tuple[str, str]] = set()

    def __call__(self, moment: Literal["before", "after"], world: World, step: AnyStep) -> None:
        """Follow the traffic."""
        now = _dead(world)
        if moment == "after" and door_is_ready(world) and (worse := now - self._dead):
            raise Violated(f"requests go where nobody is, at `{step.title}`: {sorted(worse)}")
        self._dead = now


def _dead(world: World) -> set[tuple[str, str]]:
    every = ((service, address) for service, to in world["upstreams"].items() for address in to)
    return {(service, address) for service, address in every if not answers(world, service, address)}


class ConfirmedFirst:
    """No copy of a service stops between a shift of its traffic and the confirmation of it."""

    def __init__(self) -> None:
        self._unconfirmed: set[str] = set()

    def __call__(self, moment: Literal["before", "after"], world: World, step: AnyStep) -> None:
        """Follow shifts and stops."""
        match step:
            case Shift(service, upstreams) if upstreams and moment == "before":
                self._unconfirmed.add(service)
            case Shift(service, _) if moment == "before":
                self._unconfirmed.discard(service)
            case ConfirmShift(service, _) if moment == "after":
                self._unconfirmed.discard(service)
            case StopInstance(name) | SeeOff(name) if moment == "before" and name in world["instances"]:
                service = world["instances"][name]["instance"]["service"]
                if service in self._unconfirmed:
                    raise Violated(f"{name} is stopped before the shift of {service} was confirmed")
            case _:
                pass
