"""Who waits for whom: services in levels, each of which may start side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Defect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from towline.artifacts.model import Bundle


def waits_of(bundle: Bundle) -> dict[str, frozenset[str]]:
    """Each service, with the services that must be ready before it, on whichever site they are."""
    waits: dict[str, frozenset[str]] = {}
    for part in bundle.sites:
        for service in part.services:
            waits[service.name] = waits.get(service.name, frozenset()) | frozenset(service.after)
    return {name: after & waits.keys() for name, after in waits.items()}


def levels(waits: Mapping[str, frozenset[str]]) -> tuple[tuple[str, ...], ...]:
    """The names in levels, first those that wait for nobody; by name within a level. Raises Defect for a circle."""
    left, found = dict(waits), []
    while left:
        level = sorted(name for name, after in left.items() if not after & left.keys())
        if not level:
            raise Defect(f"these services wait for each other: {', '.join(sorted(left))}", hint="towline check")
        found.append(tuple(level))
        for name in level:
            del left[name]
    return tuple(found)


def needed_by(names: Iterable[str], waits: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """All services that any of `names` waits for, directly or through others."""
    found: set[str] = set()
    more = set(names)
    while more:
        more = {after for name in more for after in waits.get(name, frozenset())} - found
        found |= more
    return frozenset(found)
