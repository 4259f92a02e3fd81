"""Variables that several services of a Blueprint have alike: each value stands in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.artifacts.blueprint_platform import Unit
    from towline.artifacts.blueprint_wiring import Wire

_OWN = frozenset({"PORT", "NODE_VERSION", "PYTHON_VERSION"})


@dataclass(frozen=True)
class Group:
    """Variables that all of `units` have, with one value each."""

    name: str
    units: tuple[str, ...]
    wires: tuple[Wire, ...]


@dataclass(frozen=True)
class Shared:
    """The groups, and what is left to say at each unit by its name."""

    groups: tuple[Group, ...]
    left: Mapping[str, tuple[Wire, ...]]

    def groups_of(self, unit: str) -> tuple[str, ...]:
        """The groups that a unit reads."""
        return tuple(group.name for group in self.groups if unit in group.units)


def shared(app: str, units: tuple[Unit, ...], wires: Mapping[str, tuple[Wire, ...]]) -> Shared:
    """What of the variables is shared. Values and generated secrets go into groups; what a person types in is asked
    at the first service, and the others refer to it: a group cannot ask."""
    running = [unit for unit in units if unit.lead.kind != "static"]
    grouped = _grouped(app, running, wires)
    taken = {(name, wire.key) for group in grouped for name in group.units for wire in group.wires}
    asked: dict[tuple[str, str], Unit] = {}
    left: dict[str, tuple[Wire, ...]] = {}
    for unit in units:
        kept = []
        for wire in wires[unit.name]:
            if (unit.name, wire.key) in taken:
                continue
            first = asked.setdefault((wire.key, wire.bond), unit) if wire.how == "asked" else unit
            kept.append(wire if first == unit else _from(first, wire))
        left[unit.name] = tuple(kept)
    return Shared(grouped, left)


def _grouped(app: str, units: list[Unit], wires: Mapping[str, tuple[Wire, ...]]) -> tuple[Group, ...]:
    owners: dict[Wire, list[Unit]] = {}
    for unit in units:
        for wire in wires[unit.name]:
            if wire.how == "plain" and wire.key not in _OWN:
                owners.setdefault(wire, []).append(unit)
    found: dict[tuple[str, ...], list[Wire]] = {}
    for wire, having in owners.items():
        if len(having) > 1:
            found.setdefault(tuple(unit.name for unit in having), []).append(wire)
    groups = []
    for names, alike in found.items():
        of_all = len(names) == len(units)
        parts = "shared" if of_all else "-".join(name.removeprefix(f"{app}-") for name in names)
        groups.append(Group(f"{app}-{parts}", names, tuple(sorted(alike, key=lambda wire: wire.key))))
    return tuple(groups)


def _from(first: Unit, wire: Wire) -> Wire:
    asked = (("type", first.type), ("name", first.name), ("envVarKey", wire.key))
    return replace(wire, fields=(("fromService", asked),), how="reference", note="")
