"""From what a bare machine is, and what is wished for, to the steps that harden it (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.core.units import show_bytes
from towline.release.daemon import addition, wanted
from towline.release.stages import Draft
from towline.steps.ensure import Ensure, Item, ProveLogin
from towline.steps.model import Plan

if TYPE_CHECKING:
    from collections.abc import Collection

    from towline.release.wishes import Wishes
    from towline.steps.machine import Machine

ENGINE_API = "1.41"
"""The oldest Engine API that will do: that of Docker 20.10, which Debian 12 ships."""

HOST, HERE = "host", "here"
"""The two sites of a plan: the machine, and the operator's side, from which logging in is proved."""

TRIES = "3"
"""Failures within ten minutes that cost an hour."""

JOURNAL = "500M"
LOGIN_WITHIN = 20.0
APT_WAIT = "180"
_REMEMBERED = 5
"""Addresses of operators that fail2ban is told of: the last ones, so that the list does not grow for ever."""

_STEP, _LEAST_SWAP = 250_000_000, 500_000_000

PROGRAMS: dict[tuple[str, str], tuple[str, ...]] = {
    ("debian", "12"): ("docker.io",),
    ("debian", "13"): ("docker.io", "docker-cli"),
    ("ubuntu", "22.04"): ("docker.io",),
    ("ubuntu", "24.04"): ("docker.io",),
}
"""The systems that can be provisioned, and in which packages each keeps its Docker."""

_RUN = frozenset({"debian"})
"""Where all of it was run; the others are known by what is written about them."""

_ALWAYS = ("ca-certificates", "fail2ban", "iptables", "python3-systemd", "sudo", "ufw", "unattended-upgrades")

_NEEDS_A_WAY_BACK: frozenset[Item] = frozenset({"ssh", "firewall"})
"""What can shut the operator out."""


@dataclass(frozen=True)
class Part:
    """Items that belong together."""

    name: str
    steps: tuple[Ensure, ...]


def parts(machine: Machine, wishes: Wishes, *, remember: bool = True) -> tuple[Part, ...]:
    """Everything that a hardened machine has, in the order in which it is made.

    What a program reads when it starts is placed before the program is installed. `remember`: the operator's address
    is among those that fail2ban never bans; else only those that it was told of before, if any.
    """
    ignored = " ".join(_ignored(machine, remember=remember))
    ports = " ".join(str(port) for port in _ports(machine))
    # Apt computes on one processor: what is next to it before it is done meanwhile.
    programs = (
        Ensure("engine-settings", {"keys": " ".join(wanted(machine.engine)), "add": addition(machine.engine)}),
        Ensure("ban-settings", {"ignored": ignored, "ports": ports.replace(" ", ","), "tries": TRIES}),
        Ensure("upgrades"),
        *_swap(machine, wishes),
        Ensure("kernel"),
        Ensure("journal", {"limit": JOURNAL}),
        Ensure("clean-up"),
        Ensure("packages", {"wanted": " ".join(_packages(machine)), "wait": APT_WAIT}),
    )
    people = (
        Ensure("bans", {"ignored": ignored, "tries": TRIES}),
        Ensure("deployer", {"user": wishes.user, "keys": "\n".join(wishes.keys)}),
    )
    return (
        Part("programs, what they read, and upkeep", programs),
        Part("who is banned, and who deploys", people),
        # One that was just installed takes a moment to start: what is before it is done meanwhile.
        Part(
            "the engine", (Ensure("engine", {"api": ENGINE_API, "live": "false" if machine.engine.swarm else "true"}),)
        ),
        Part(
            "the doors",
            (
                Ensure("ssh", {"user": wishes.user, "ignored": ignored}),
                Ensure("firewall", {"ports": ports, "ipv6": "yes" if machine.ipv6 else "no"}),
            ),
        ),
    )


def plan(parted: tuple[Part, ...], lacking: Collection[Item], machine: Machine, wishes: Wishes, number: int) -> Plan:
    """The steps that are lacking, and around those that could shut the operator out a proof and a way back.

    An earlier run that nobody confirmed is proved and confirmed as well.
    """
    draft = Draft()
    guarded = machine.armed or not _NEEDS_A_WAY_BACK.isdisjoint(lacking)
    *before, engine, doors = ({HOST: tuple(step for step in part.steps if step.item in lacking)} for part in parted)
    *names, engines, at_doors = (part.name for part in parted)
    for name, steps in zip(names, before, strict=True):
        draft.add(name, steps)
    if guarded:
        draft.add("a second way in", {HERE: (ProveLogin(wishes.user, LOGIN_WITHIN),)})
        doors = {HOST: (Ensure("way-back", {"within": str(wishes.revert_within)}), *doors[HOST])}
    draft.add(engines, engine)
    draft.add(at_doors, doors)
    if guarded:
        draft.add("seen from outside", {HERE: (ProveLogin(wishes.user, LOGIN_WITHIN, refused="root"),)})
        draft.add("kept", {HOST: (Ensure("kept"),)})
    return Plan(
        app=HOST,
        target="provision",
        release=number,
        intent="deploy",
        stages=draft.stages(),
        facts={},
        notes=notes(machine, wishes) if not draft.empty else (),
    )


def notes(machine: Machine, wishes: Wishes) -> tuple[str, ...]:
    """What a person should know before saying yes."""
    told = []
    if machine.engine.package == "docker-ce":
        told.append("docker-ce is installed: it stays, and the distribution's Docker is not installed beside it")
    size = swap_size(machine, wishes)
    if 0 < size < wishes.swap:
        told.append(f"{show_bytes(size)} of swap, not {show_bytes(wishes.swap)}: a quarter of the free disk at most")
    if size == 0 and not machine.swap and wishes.swap:
        told.append(f"no swap: only {show_bytes(machine.disk_free)} of disk is free")
    if machine.engine.swarm:
        told.append("the engine belongs to a swarm, which cannot have live-restore: its restart restarts containers")
    if machine.system not in _RUN:
        told.append(f"what is known of {machine.title} is from its documentation: it was not run")
    told += [
        f"{name} looks like a bridge of Docker's, so what comes from it is let through" for name in machine.bridges
    ]
    return tuple(told)


def swap_size(machine: Machine, wishes: Wishes) -> int:
    """Bytes of swap to make: what was wished for, at most a quarter of the free disk; 0 where that is too little."""
    if machine.swap or not wishes.swap:
        return 0
    if wishes.swap <= machine.disk_free // 4:
        return wishes.swap
    size = machine.disk_free // 4 // _STEP * _STEP
    return size if size >= _LEAST_SWAP else 0


def _swap(machine: Machine, wishes: Wishes) -> tuple[Ensure, ...]:
    size = machine.swap or swap_size(machine, wishes)
    return (Ensure("swap", {"bytes": str(size), "size": show_bytes(size)}),) if size else ()


def _packages(machine: Machine) -> tuple[str, ...]:
    engine = machine.engine.package
    docker = PROGRAMS.get((machine.system, machine.version), ()) if engine != "docker-ce" else ()
    # A kernel that has AppArmor on starts no container without its parser, which docker.io only recommends.
    armor = ("apparmor",) if machine.apparmor else ()
    return tuple(sorted((*docker, *armor, *_ALWAYS)))


def _ports(machine: Machine) -> tuple[int, ...]:
    serves = () if machine.door.serves is None else (machine.door.serves,)
    return tuple(sorted({*machine.door.ports, *serves} or {22}))


def _ignored(machine: Machine, *, remember: bool) -> tuple[str, ...]:
    client, known = machine.door.client, machine.ignored
    if client is None or client in known or (not remember and known):
        return known
    return (*known, client)[-_REMEMBERED:]
