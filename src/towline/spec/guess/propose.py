"""From a scene to a proposal: what each service is, then every line of the page, then what is told beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast, get_args

from towline.spec.check import in_order
from towline.spec.guess.bindings import binds, spread
from towline.spec.guess.elsewhere import findings
from towline.spec.guess.model import Guess, Proposal, once, told
from towline.spec.guess.release import with_release
from towline.spec.guess.roles import roles as roles_of
from towline.spec.guess.services import of_services
from towline.spec.guess.stores import of_stores, store_guesses
from towline.spec.layout import app_name
from towline.spec.model import ServiceKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.core.errors import Finding
    from towline.spec.guess.roles import Role
    from towline.spec.guess.scene import Scene

_SECTIONS = ("app", "compose", "services", "stores", "bind", "release")
# fmt: off
_FIELDS = (
    "omit", "kind", "domain", "port", "ready", "cwd", "setup", "build", "output", "run", "max_job", "scale", "single",
)
# fmt: on


def propose(scene: Scene) -> Proposal:
    """The page for a Compose file; pure, and the same for the same files."""
    roles, release = with_release(scene, tuple(_as_told(scene, role) for role in roles_of(scene)))
    stores = store_guesses(scene, roles)
    app = app_name(scene.compose.name)
    guesses = once(
        (
            *scene.told,
            Guess(("app",), app, "the name of the Compose project", "likely"),
            *of_services(scene, roles),
            *of_stores(scene, roles, stores),
            *spread(binds(scene, roles, stores)),
            *release,
            *scene.otherwise,
        )
    )
    ordered = _in_page_order(scene, guesses)
    own = next((str(guess.value) for guess in ordered if guess.field == ("app",) and guess.value), app)
    return Proposal(own, ordered, in_order((*findings(scene, roles, stores), *_todo(scene, ordered))))


def _as_told(scene: Scene, role: Role) -> Role:
    """The role, when another file says that it is left out or of what kind it is."""
    told = {guess.field[2]: guess for guess in scene.told if guess.field[:2] == ("services", role.name)}
    if "omit" in told:
        return replace(role, kind="omit", reason=told["omit"].reason)
    kind = told["kind"].value if "kind" in told else None
    return replace(role, kind=cast("ServiceKind", kind)) if kind in get_args(ServiceKind) else role


def _in_page_order(scene: Scene, guesses: tuple[Guess, ...]) -> tuple[Guess, ...]:
    """By section, services in the order of the file; within one, as they were guessed."""
    place = {container.name: number for number, container in enumerate(scene.containers)}

    def rank(guess: Guess) -> tuple[int, int, str, int]:
        section = guess.field[0]
        owner = guess.field[1] if len(guess.field) > 1 and section != "release" else ""
        after = -1 if owner == "*" else place.get(owner, len(place))
        field = _FIELDS.index(guess.field[-1]) if section == "services" and guess.field[-1] in _FIELDS else 0
        return _SECTIONS.index(section), after, owner, field

    return tuple(sorted(guesses, key=rank))


def _todo(scene: Scene, guesses: tuple[Guess, ...]) -> Iterator[Finding]:
    for guess in guesses:
        if guess.confidence == "open":
            of, name = guess.field[0], guess.field[-1]
            owner = guess.field[1] if len(guess.field) > 2 else of
            known = scene.compose.container(owner) is not None
            where = scene.where(owner) if known else scene.compose.where("services")
            yield told("todo", f"`{name}` of `{owner}`: {guess.reason}", where)
