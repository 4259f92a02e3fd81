"""In which order processes start, from the names each one comes after; pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from towline_supervisor.spec import ProcessSpec


def start_order(specs: Sequence[ProcessSpec]) -> list[ProcessSpec]:
    """Every process behind the ones it comes after, else in the order given; the specs must hold no cycle."""
    ordered: list[ProcessSpec] = []
    placed: set[str] = set()
    known = {spec.name for spec in specs}
    left = list(specs)
    while left:
        free = next((spec for spec in left if placed.issuperset(known.intersection(spec.after))), left[0])
        left.remove(free)
        placed.add(free.name)
        ordered.append(free)
    return ordered


def find_cycle(specs: Iterable[ProcessSpec]) -> list[str] | None:
    """The names of one circle of processes that wait for each other, its first name repeated at the end."""
    after = {spec.name: spec.after for spec in specs}
    done: set[str] = set()
    for name in after:
        cycle = _walk(name, after, [], done)
        if cycle:
            return cycle
    return None


def _walk(name: str, after: dict[str, tuple[str, ...]], trail: list[str], done: set[str]) -> list[str] | None:
    if name in trail:
        return [*trail[trail.index(name) :], name]
    if name in done or name not in after:
        return None
    for other in after[name]:
        cycle = _walk(other, after, [*trail, name], done)
        if cycle:
            return cycle
    done.add(name)
    return None
