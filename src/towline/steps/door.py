"""What opens the door that all targets of a machine share, and gives each of them its names there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Certificates = Literal["acme", "internal"]

LONGEST_NAME = 90
"""Characters of a name: with the folder before it, it must fit into the address of a socket."""

ANY_NAME = "_"
"""Stands for every name that nobody has."""


@dataclass(frozen=True)
class PublicNames:
    """The names by which browsers find a target on a machine: `clear` without https, `secure` with it. Sorted."""

    clear: tuple[str, ...] = ()
    secure: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Both kinds."""
        return (*self.secure, *self.clear)


@dataclass(frozen=True)
class TakenName:
    """A name on a machine that another target has; `owner` is "APP on TARGET"."""

    name: str
    owner: str
    secure: bool


@dataclass(frozen=True)
class MachineDoor:
    """The door of a machine as it runs. A higher `form` can do all that a lower one can."""

    form: int
    certificates: str


@dataclass(frozen=True)
class ClaimNames:
    """Have exactly these names on the machine; the others that the target had are given back.

    The machine's door closes with the last name of all targets.
    """

    names: PublicNames = field(default_factory=PublicNames)
    kind: Literal["claim-names"] = "claim-names"

    @property
    def title(self) -> str:
        """What a person reads."""
        shown = ", ".join("any other name" if one == ANY_NAME else one for one in self.names.all)
        return f"have {shown} on this machine" if shown else "give back every name on this machine"


@dataclass(frozen=True)
class OpenMachineDoor:
    """See that the machine's door is open, in this form or a later one; an older one is replaced beside it.

    Without `strict` one that is open may have other certificates: the target has no https.
    """

    form: int
    image: str
    certificates: Certificates
    strict: bool = True
    kind: Literal["open-machine-door"] = "open-machine-door"

    @property
    def title(self) -> str:
        """What a person reads."""
        return "open ports 80 and 443 of this machine"

    def is_met(self, there: MachineDoor | None) -> bool:
        """Whether this one does."""
        if there is None or there.form < self.form:
            return False
        return not self.strict or self.certificates == there.certificates


@dataclass(frozen=True)
class LeadNames:
    """Let all names of the target lead to its front door of this revision, from the next request on."""

    revision: str
    kind: Literal["lead-names"] = "lead-names"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"lead the names of the app to its front door {self.revision}"


def claimed_before(before: dict[str, Any]) -> tuple[ClaimNames | OpenMachineDoor, ...]:
    """What takes a claim back: `before` has the names as `clear` and `secure`, and the machine's `door` or null.

    That is its form, image and certificates. A claim of nothing may have closed it, and the names need it again.
    """
    names = PublicNames(tuple(before.get("clear", ())), tuple(before.get("secure", ())))
    door = before.get("door")
    if not door or not names.all:
        return (ClaimNames(names),)
    return (ClaimNames(names), OpenMachineDoor(int(door["form"]), str(door["image"]), door["certificates"]))
