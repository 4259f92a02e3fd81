"""Taking over what already runs on a machine under Compose: what it is, and the steps that end it and take its data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from towline.core.units import many

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.core.secret import Secret


@dataclass(frozen=True)
class OtherMount:
    """What a container mounts: `source` is the folder on the machine, `size` what lies in it, in bytes."""

    kind: str
    name: str
    source: str
    target: str
    size: int


@dataclass(frozen=True)
class OtherContainer:
    """A container that Towline did not start. `ports` are those of the machine that lead to it.

    `project` and `service` are those of Compose, "" where it was started by hand.
    """

    name: str
    project: str
    service: str
    image: str
    state: str
    ports: tuple[int, ...]
    mounts: tuple[OtherMount, ...]
    environment: Mapping[str, Secret] = field(default_factory=dict, repr=False)


@runtime_checkable
class Surveyor(Protocol):
    """A site that can tell what else runs there."""

    def others(self) -> tuple[OtherContainer, ...]:
        """Every container that is not of Towline, running or not, by name."""


@dataclass(frozen=True)
class StopOthers:
    """Stop containers that Towline did not start, in this order, and keep them from starting again by themselves."""

    project: str
    containers: tuple[str, ...]
    kind: Literal["stop-others"] = "stop-others"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"stop {many(len(self.containers), 'container')} of {self.project}, to be kept"


@dataclass(frozen=True)
class StartOthers:
    """The way back: start them again, each with the restart policy that it had. `containers` are (name, policy)."""

    project: str
    containers: tuple[tuple[str, str], ...]
    kind: Literal["start-others"] = "start-others"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"start {many(len(self.containers), 'container')} of {self.project} again"


@dataclass(frozen=True)
class TakeData:
    """Copy a folder of the machine into a new volume of the target; the folder stays as it is.

    `store` is "" for the volume of a service. `server` is the program of a redis whose data may have to be written
    again as an append-only file, which `image` has; both are "" for all others.
    """

    source: str
    volume: str
    store: str = ""
    store_kind: str = ""
    major: str = ""
    image: str = ""
    server: str = ""
    kind: Literal["take-data"] = "take-data"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"copy {self.source} into the volume {self.volume}"


def back(step: StopOthers, before: Mapping[str, Any]) -> tuple[StartOthers, ...]:
    """What starts again the containers that ran before the step, those first that ended last."""
    ran = tuple((str(name), str(policy)) for name, policy in before.get("running", ()))
    return (StartOthers(step.project, tuple(reversed(ran))),) if ran else ()
