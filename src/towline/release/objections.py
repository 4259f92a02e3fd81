"""Why a machine cannot be provisioned as it is: everything that is wrong with it at once (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Finding, Where
from towline.release.daemon import against
from towline.release.provision import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.steps.machine import Machine

CODES: dict[str, tuple[str, str]] = {
    "host-system": ("error", "The machine runs another system than those that Towline knows how to harden."),
    "host-no-systemd": ("error", "systemd is not the first process: there are no units to start or to watch."),
    "host-no-apt": ("error", "There is no apt-get, so nothing can be installed."),
    "host-docker-snap": ("error", "Docker is installed as a snap, which reads other settings and starts otherwise."),
    "host-podman-docker": ("error", "podman-docker stands in for Docker's command; both cannot be installed."),
    "host-docker-settings": ("error", "Docker's settings say something that they must not, or cannot be read."),
    "host-other-firewall": ("error", "Another firewall is active; two that do not know each other close too much."),
    "host-ssh-port": ("error", "sshd's files name other ports than the one it was reached on."),
}
"""Every finding about a machine: its level and what it means."""


def objections(machine: Machine, address: str) -> tuple[Finding, ...]:
    """What must be changed first, each with a command to run. `address` is what a person types after `ssh`."""
    return tuple(
        Finding(code, sentence, Where(address), hint) for code, sentence, hint in _objections(machine, address)
    )


def _objections(machine: Machine, address: str) -> Iterator[tuple[str, str, str]]:
    yield from _of_the_system(machine, address)
    yield from _of_the_engine(machine, address)
    for name in machine.firewalls:
        off = f"systemctl disable --now {name}" if " " not in name else f"nft delete table {name.split(' ', 2)[2]}"
        yield ("host-other-firewall", f"another firewall is active: {name}", f"ssh {address} {off}")
    serves, ports = machine.door.serves, machine.door.ports
    if serves is not None and ports and serves not in ports and not machine.door.socket:
        named = ", ".join(str(port) for port in ports)
        yield (
            "host-ssh-port",
            f"sshd serves on port {serves}, and its files say {named}: the next reload would move it",
            f"ssh {address} systemctl restart ssh",
        )


def _of_the_system(machine: Machine, address: str) -> Iterator[tuple[str, str, str]]:
    if (machine.system, machine.version) not in PROGRAMS:
        known = ", ".join(f"{system.capitalize()} {version}" for system, version in PROGRAMS)
        named = machine.title or machine.system or "a system that does not tell its name"
        yield (
            "host-system",
            f"it runs {named}, and these can be provisioned: {known}",
            f"ssh {address} cat /etc/os-release",
        )
    if not machine.systemd:
        yield ("host-no-systemd", "systemd is not its first process", f"ssh {address} ps -p 1")
    if not machine.apt:
        yield ("host-no-apt", "there is no apt-get on it", f"ssh {address} command -v apt-get")


def _of_the_engine(machine: Machine, address: str) -> Iterator[tuple[str, str, str]]:
    if machine.engine.package == "snap":
        hint = f"ssh {address} snap remove docker"
        yield ("host-docker-snap", "Docker is installed as a snap, which reads none of the usual settings", hint)
    if machine.engine.package == "podman-docker":
        yield (
            "host-podman-docker",
            "podman-docker stands in for Docker's command",
            f"ssh {address} apt-get remove podman-docker",
        )
    if wrong := against(machine.engine):
        yield ("host-docker-settings", wrong, f"ssh {address} editor /etc/docker/daemon.json")
