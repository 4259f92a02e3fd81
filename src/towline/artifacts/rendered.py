"""What `towline render` writes, and what it is made from: plain data, with no secret in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.planner.model import Placement
    from towline.spec.container import Container
    from towline.spec.model import App, Target
    from towline.spec.stack import Stack


@dataclass(frozen=True)
class RenderedFile:
    """One file: `path` is relative to where it is written, with forward slashes; `what` is one sentence about it."""

    path: str
    text: str = field(repr=False)
    what: str
    executable: bool = False


@dataclass(frozen=True)
class Variable:
    """A variable of a service, and where its value comes from.

    `origin`: `reference` = towline.yaml binds it (`reference` is `db.url`); `spelled` = the Compose file itself spells
    `value` out, in clear, and its name is no secret's; `generated` = a secret that any random text serves; `asked` = a
    person must set it. `value` is None for all but `spelled`. `build`: it is read when the service is built.
    `why` is one sentence for people.
    """

    service: str
    name: str
    origin: Literal["reference", "spelled", "generated", "asked"]
    reference: str | None = None
    value: str | None = None
    build: bool = False
    why: str = ""

    @property
    def secret(self) -> bool:
        """Whether its value may stand in no file that is committed."""
        return self.origin in ("generated", "asked")


@dataclass(frozen=True)
class Material:
    """Everything that the renderers of one target read.

    `containers`: every service of the Compose file by name, those of stores included. `stacks`: what the folders of
    services that are built here say, by service. `project` is the name of the project's folder.
    """

    placement: Placement
    containers: Mapping[str, Container]
    variables: tuple[Variable, ...]
    stacks: Mapping[str, Stack]
    project: str

    @property
    def app(self) -> App:
        """The app."""
        return self.placement.app

    @property
    def target(self) -> Target:
        """The target."""
        return self.placement.target

    def variables_of(self, service: str) -> tuple[Variable, ...]:
        """The variables of one service, by name."""
        return tuple(sorted((one for one in self.variables if one.service == service), key=lambda one: one.name))
