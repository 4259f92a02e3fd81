"""Steps about private links: WireGuard between the hosts of one target, for what must not be open to anybody else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter


def interface_of(app: str, target: str) -> str:
    """The name of the link's interface: fifteen characters are the most that Linux takes."""
    return f"tl-{digest_of_link(app, target)[:10]}"


def digest_of_link(app: str, target: str) -> str:
    """What tells the link of one target from every other: 64 hexadecimal digits."""
    return hashlib.sha256(f"{app}/{target}".encode()).hexdigest()


@dataclass(frozen=True)
class Peer:
    """Another host of the link: its public key, its address in the link, and where its UDP packets go."""

    site: str
    key: str
    address: str
    endpoint: str


@dataclass(frozen=True)
class Opening:
    """A TCP port of this host's end that some peers, by their addresses in the link, may connect to."""

    name: str
    port: int
    users: tuple[str, ...]


@dataclass(frozen=True)
class JoinLink:
    """This host's end as it should be: `address` is its own in the link, `port` the UDP port that it listens on.

    Its private key was made on the host and never leaves it. Nobody gets in but through `openings`.
    """

    interface: str
    address: str
    port: int
    peers: tuple[Peer, ...]
    openings: tuple[Opening, ...] = ()
    kind: Literal["join-link"] = "join-link"

    @property
    def title(self) -> str:
        """What a person reads."""
        opened = ", ".join(f"{one.name} on port {one.port}" for one in self.openings)
        sites = ", ".join(one.site for one in self.peers)
        return (
            f"join the private link with {sites} as {self.address} (udp {self.port}){opened and f', opening {opened}'}"
        )


@dataclass(frozen=True)
class ConfirmLink:
    """See that every peer has answered with its key."""

    interface: str
    peers: tuple[Peer, ...]
    within: float = 20.0
    kind: Literal["confirm-link"] = "confirm-link"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"confirm that {', '.join(one.site for one in self.peers)} answers through the private link"


@dataclass(frozen=True)
class LeaveLink:
    """Take this host's end away; its key stays."""

    interface: str
    kind: Literal["leave-link"] = "leave-link"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"leave the private link ({self.interface})"


@cache
def _link() -> TypeAdapter[JoinLink]:
    """Made when it is first needed: most targets have no link."""
    return TypeAdapter(JoinLink)


def link_to_json(link: JoinLink) -> dict[str, Any]:
    """Plain JSON data of an end of a link."""
    plain: dict[str, Any] = _link().dump_python(link, mode="json")
    return plain


def back(step: JoinLink | LeaveLink, before: dict[str, Any]) -> tuple[JoinLink | LeaveLink, ...]:
    """The steps that lead back to the end that was there before: `{"link": J or null}`."""
    plain = before.get("link")
    if plain:
        return (_link().validate_python(plain),)
    return (LeaveLink(step.interface),) if step.kind == "join-link" else ()
