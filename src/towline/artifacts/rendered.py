"""What `towline render` writes, and what it is made from: plain data, with no secret in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.core.secret import Secret
    from towline.planner.choose import Chosen
    from towline.planner.model import Placement
    from towline.spec.bound import Bound
    from towline.spec.container import Container, Mount
    from towline.spec.model import App, Target
    from towline.spec.stack import Stack


@dataclass(frozen=True)
class RenderedFile:
    """One file: `path` is relative to where it is written, with forward slashes; `what` is one sentence about it.

    `shared`: every target of the app renders the same bytes under this path.
    """

    path: str
    text: str = field(repr=False)
    what: str
    executable: bool = False
    shared: bool = False


MARK = "Rendered by towline from compose.yaml and towline.yaml, target {target}"
"""What says in a file that it may be written anew; `ops.render` puts it in where a renderer has not."""

SHARED_MARK = "Rendered by towline from compose.yaml and towline.yaml, for every target"
"""The same in a file that is the app's and no one target's."""


@dataclass(frozen=True)
class Variable:
    """A variable of a service, and where its value comes from.

    `origin`: `reference` = towline.yaml binds it (`reference` is `db.url`); `spelled` = the Compose file itself spells
    `value` out, in clear, and its name is no secret's; `generated` = a secret that any random text serves; `asked` = a
    person must set it. `value` is None for all but `spelled`. `build`: it is read when the service is built.
    `why` is one sentence for people.

    `setting` is the name that the rendered files ask for, in `.env` beside them: that of the Compose file's own
    `${NAME}` where it has one, and one with the service in front where two services must not share a value. It is ""
    where nothing is asked. `default` is what an `asked` one may stay at when nobody sets it ("" = it is optional),
    None where somebody must. What a store is reached with is a variable of the store: `service` is then its name.
    """

    service: str
    name: str
    origin: Literal["reference", "spelled", "generated", "asked"]
    reference: str | None = None
    value: str | None = None
    build: bool = False
    why: str = ""
    setting: str = ""
    default: str | None = None

    @property
    def secret(self) -> bool:
        """Whether its value may stand in no file that is committed."""
        return self.origin in ("generated", "asked")


@dataclass(frozen=True)
class Material:
    """Everything that the renderers of one target read.

    `containers`: every service of the Compose file by name, those of stores included. `stacks`: what the folders of
    services that are built here say, by service. `project` is the name of the project's folder, `up` the way to it from
    the folder that the files are written to, `../..` from `deploy/production`, and `out` the way there.

    `chosen` is what the planner buys for this target and its bill, None where there is no usage or it cannot be priced;
    `rests_on` are the numbers of the usage that the bill rests on (`planner.cost.inputs_of`). `rendered` are the files
    of the renderers that came before this one: the page of variables reads which names they ask for, and the
    deployment docs, which come last, list them all. `copied` is what the images of services that are built here have of
    their context as it is (`spec.ground.Ground.copied`), by service: what a development file mounts. `supervisor` are
    the files of towline_supervisor, by name: a combined image carries them. `given` is what is in the files that
    services are given or mount, by path, one character a byte. `bound` is what becomes of what a service mounts of this
    machine, by service.
    """

    placement: Placement
    containers: Mapping[str, Container]
    variables: tuple[Variable, ...]
    stacks: Mapping[str, Stack]
    project: str
    chosen: Chosen | None = None
    rests_on: Mapping[str, str] = field(default_factory=dict)
    rendered: tuple[RenderedFile, ...] = ()
    copied: Mapping[str, tuple[Mount, ...]] = field(default_factory=dict)
    up: str = "../.."
    supervisor: Mapping[str, str] = field(default_factory=dict, repr=False)
    given: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    out: str = ""
    bound: Mapping[str, tuple[Bound, ...]] = field(default_factory=dict)

    @property
    def app(self) -> App:
        """The app."""
        return self.placement.app

    @property
    def target(self) -> Target:
        """The target."""
        return self.placement.target

    @property
    def folder(self) -> str:
        """Where the files are written to, from the project's folder."""
        return self.out or f"deploy/{self.target.name}"

    def variables_of(self, service: str) -> tuple[Variable, ...]:
        """The variables of one service, by name."""
        return tuple(sorted((one for one in self.variables if one.service == service), key=lambda one: one.name))
