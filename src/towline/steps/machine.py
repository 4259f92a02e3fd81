"""A machine as it answered before anything of Towline was on it: plain facts, the basis of `provision`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from towline.steps.driver import Driver
    from towline.steps.ensure import Ensure


@dataclass(frozen=True)
class Engine:
    """The container engine of a machine.

    `package` is the installed one ("docker.io", "docker-ce", "snap"), None when there is none. `swarm`: it belongs to
    a swarm. `settings` is the text of /etc/docker/daemon.json, None when there is no such file; it may hold passwords
    of proxies, so no printed form shows it.
    """

    package: str | None = None
    swarm: bool = False
    settings: str | None = None

    def __repr__(self) -> str:
        there = "no settings" if self.settings is None else "settings"
        return f"Engine({self.package}, swarm={self.swarm}, {there})"


@dataclass(frozen=True)
class Door:
    """How the machine is entered: `ports` that sshd is configured for, `serves` the one it was reached on just now.

    `client` is the operator's address as the machine sees it. Port and client are None when there is no SSH_CONNECTION.
    `socket`: systemd listens in sshd's place.
    """

    ports: tuple[int, ...] = ()
    serves: int | None = None
    client: str | None = None
    socket: bool = False


@dataclass(frozen=True)
class Machine:
    """What a machine is and has. Sizes in bytes.

    `system` and `version` as os-release has them ("debian", "12"); `title` for people. `firewalls` are active services
    of another kind and foreign nftables tables. `bridges` look like Docker's by their name and are not. `ignored` are
    addresses that fail2ban was told of before; `armed`: an earlier run is not confirmed.
    """

    system: str
    version: str
    title: str
    systemd: bool = True
    apt: bool = True
    engine: Engine = Engine()
    door: Door = Door()
    firewalls: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    apparmor: bool = False
    ipv6: bool = True
    swap: int = 0
    disk_free: int = 0
    filesystem: str = ""
    ignored: tuple[str, ...] = ()
    armed: bool = False


@dataclass(frozen=True)
class Seen:
    """Whether a step holds, and what was seen, or the reason why it does not."""

    holds: bool
    saw: str


class BareMachine(Protocol):
    """A machine that is no site yet. Every call may raise SiteUnreachable."""

    @property
    def address(self) -> str:
        """How a person writes it."""

    def look(self) -> Machine:
        """What it is. Changes nothing."""

    def ask(self, steps: Sequence[Ensure]) -> tuple[Seen, ...]:
        """Whether each step holds, in one round trip. Changes nothing."""

    def sites(self, host: str, here: str) -> Mapping[str, Driver]:
        """The machine as a site named `host`, and the operator's side as one named `here`."""

    def put_back(self) -> bool:
        """Take the way back at once, where one is kept; False where there is none."""

    def close(self) -> None:
        """End the connection."""
