"""What a release of one target comes to: its bill, estimate and verdict, and what changes against today. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from towline.core.units import Money
from towline.planner.changes import Copies, Today, changes
from towline.planner.choose import cheapest
from towline.planner.compare import ONLY_HERE, judged
from towline.planner.cost import inputs_of
from towline.planner.estimate import Estimate
from towline.planner.market import World
from towline.planner.sizing import GB, default_memory, known_memory, parts_on
from towline.planner.target import shape_of_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from towline.planner.changes import Change
    from towline.planner.compare import Scene, Verdict
    from towline.planner.purchase import Machine
    from towline.planner.usage import Usage
    from towline.spec.model import App, Target

SMALLEST = Decimal("0.256")
"""GB of memory of a copy of something that the app no longer has; an assumption."""


@dataclass(frozen=True)
class Aim:
    """What is planned: a target, what runs there now, and what the release makes.

    `after` is None where nobody can tell that but the files; `here` is given where the target is on this machine.
    """

    target: Target
    today: Today = field(default=Today())
    after: tuple[Copies, ...] | None = None
    here: Machine | None = None


@dataclass(frozen=True)
class Outlook:
    """The verdict on a target with the copies that towline.yaml asks for, and what the release changes.

    `before` is what today's parts cost in a month, None where nobody can say. `inputs` is what all totals rest on.
    """

    verdict: Verdict
    inputs: dict[str, str]
    today: Today
    changes: tuple[Change, ...]
    before: Money | None

    @property
    def after(self) -> Money | None:
        """What the release costs in a month, at least; None where it cannot be placed so."""
        bill = self.verdict.chosen.bill
        return bill.total if bill is not None else None

    @property
    def more(self) -> Money | None:
        """What it costs more than today, below 0 for less; None where one of the two is not known."""
        return self.after - self.before if self.after is not None and self.before is not None else None

    @property
    def memory(self) -> tuple[int, int]:
        """Bytes of memory of all copies today, and after the release."""
        today = sum(one.before.together for one in self.changes if one.before is not None)
        return today, sum(one.after.together for one in self.changes if one.after is not None)


def outlook(scene: Scene, usage: Usage, aim: Aim) -> Outlook:
    """The outlook of a target. Raises Findings for a site that sells no such thing, or has no such region."""
    after = aim.after if aim.after is not None else _written(scene.app)
    heavy = tuple(_weighed(scene.app, usage, one) for one in after)
    today = replace(aim.today, copies=tuple(_weighed(scene.app, usage, one) for one in aim.today.copies))
    sized = World.of(scene.app, usage, scene.catalog, scene.today)
    world = replace(_with_copies(sized, heavy), here=aim.here)
    shape, slots = shape_of_target(scene.app, aim.target, scene.catalog)
    found = judged(scene, world, shape, slots)
    if aim.here is not None:
        found = _here_only(found)
    misses = (*found.unmet, *_too_few(sized, world), *_too_large(found, aim))
    return Outlook(
        replace(found, unmet=misses),
        inputs_of(usage),
        today,
        changes(today, heavy),
        _cost_today(scene, usage, aim.target, today),
    )


def _here_only(found: Verdict) -> Verdict:
    """Without what goes without saying on this machine: that it is not in the internet, and hops that take no time."""
    ways = [replace(way, hops=tuple(hop for hop in way.hops if hop.high)) for way in found.estimate.ways]
    timed = Estimate(tuple(way for way in ways if way.hops))
    return replace(found, loses=(), estimate=timed, unmet=tuple(one for one in found.unmet if one != ONLY_HERE))


def _written(app: App) -> tuple[Copies, ...]:
    """The services and stores with the copies that the files ask for."""
    services = [one for one in app.services if one.kind != "task"]
    made = [Copies(one.name, 0 if one.kind == "static" else one.replicas, (), one.memory or 0) for one in services]
    return (*made, *(Copies(one.name, 1) for one in app.stores))


def _weighed(app: App, usage: Usage, one: Copies) -> Copies:
    """The same with what a copy takes: as the usage says, as it is limited, else as its kind usually does."""
    part = next(iter(parts_on(app, (one.name,))), None)
    known = known_memory(usage, one.name, one.memory)
    if known is None:
        known = default_memory(usage, part) if part is not None else SMALLEST
    return replace(one, memory=int(known * GB))


def _with_copies(world: World, after: Sequence[Copies]) -> World:
    """The world with these copies of its services, whether or not they are enough."""
    made = {one.name: one.count for one in after if one.count and one.name in world.sizes.copies}
    return replace(world, sizes=replace(world.sizes, copies={**world.sizes.copies, **made}, refused={}))


def _too_few(sized: World, world: World) -> Iterator[str]:
    """Services of which the use asks for more copies than the release makes."""
    yield from sized.sizes.refused.values()
    for name, needed in sized.sizes.copies.items():
        made = world.sizes.copies[name]
        if made < needed:
            noun = "copy" if made == 1 else "copies"
            yield f"{made} {noun} of {name}, and the use asks for {needed}: `{name}: {{scale: {{min: {needed}}}}}`"


def _too_large(found: Verdict, aim: Aim) -> Iterator[str]:
    """Memory that this machine does not have; elsewhere such an offer is not chosen in the first place."""
    fit = found.carries.memory if found.carries is not None and aim.here is not None else None
    if fit is not None and not fit.fits:
        yield fit.sentence


def _cost_today(scene: Scene, usage: Usage, target: Target, today: Today) -> Money | None:
    """What runs today at today's prices and use; parts that the app no longer has are not in it."""
    if not today.known:
        return None
    names = {one.name for one in today.copies}
    services = tuple(one for one in scene.app.services if one.name in names)
    stores = tuple(one for one in scene.app.stores if one.name in names)
    if not services and not stores:
        return Money(Decimal(0), usage.currency)
    if usage.jobs.worker and usage.jobs.worker not in names:
        usage = replace(usage, jobs=replace(usage.jobs, worker=""))
    app = replace(scene.app, services=services, stores=stores)
    shape, slots = shape_of_target(app, target, scene.catalog)
    bill = cheapest(_with_copies(World.of(app, usage, scene.catalog, scene.today), today.copies), shape, slots).bill
    return bill.total if bill is not None else None
