"""An end of a private link in the world of a fake site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from towline.core.errors import StepFailed
from towline.steps.links import link_to_json
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from towline.steps.links import ConfirmLink, JoinLink, LeaveLink

    World = dict[str, Any]

NOTHING: dict[str, Any] = {"link": None}
"""The part of an empty world."""

HALF = {"half": "made"}
"""An end that whoever made it did not finish."""


def seen(world: World) -> str | None:
    """The digest of the end, or what says that there is one which nobody knows."""
    if world["link"] is None:
        return None
    return "gone" if world["link"] == HALF else digest_of(world["link"])


def before(world: World, step: JoinLink | LeaveLink) -> dict[str, Any]:
    """What takes either step back."""
    del step
    return {"link": None if world["link"] == HALF else world["link"]}


def has_joined(world: World, step: JoinLink) -> str | None:
    """Whether it is this end."""
    return "it has joined" if world["link"] == link_to_json(step) else None


def join(world: World, step: JoinLink) -> str:
    """This end and no other."""
    world["link"] = link_to_json(step)
    return "it is up"


def half(world: World, step: JoinLink | LeaveLink) -> None:
    """Something of one, of which nobody knows how much."""
    if step.kind == "join-link" or world["link"] is not None:
        world["link"] = dict(HALF)


def confirm(world: World, step: ConfirmLink) -> str:
    """An end that is there is answered."""
    if world["link"] in (None, HALF):
        raise StepFailed(f"no answer from {', '.join(one.site for one in step.peers)}")
    return "they answered"


def has_left(world: World, step: LeaveLink) -> str | None:
    """Whether there is none."""
    del step
    return "there is no link" if world["link"] is None else None


def leave(world: World, step: LeaveLink) -> str:
    """No end is left."""
    del step
    world["link"] = None
    return "it has left"
