"""Every shape of an app at its cheapest: which one fits the wishes, and why each other lost. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING

from towline.catalog.pricing import exchange
from towline.core.units import Money, show_seconds
from towline.planner.choose import Chosen, cheapest
from towline.planner.cost import MONTH_HOURS, inputs_of
from towline.planner.estimate import Estimate, Ground, estimate
from towline.planner.market import World
from towline.planner.shapes import SHAPES
from towline.planner.traffic import parts_of
from towline.planner.verdict import NO_EFFORT, Carries, Effort, carries, effort, losses, risks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from towline.catalog.links import LatencyTable
    from towline.catalog.read import Catalog
    from towline.planner.market import Slot
    from towline.planner.shapes import Shape
    from towline.planner.usage import Usage
    from towline.spec.model import App


@dataclass(frozen=True)
class Scene:
    """What is compared: an app in a market, on a day. `own` are placements that the user wrote, by target."""

    app: App
    catalog: Catalog
    table: LatencyTable
    today: date
    own: tuple[tuple[Shape, tuple[Slot, ...]], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """One shape at its cheapest. `lost` says why it is not recommended, empty for the one that is.

    `unmet` are the wishes that it misses. `in_stock` is the total without machines that may be out of stock, where
    such a one is part of it.
    """

    shape: Shape
    chosen: Chosen
    estimate: Estimate
    carries: Carries | None = None
    loses: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    effort: Effort = NO_EFFORT
    in_stock: Money | None = None
    unmet: tuple[str, ...] = ()
    lost: str = ""

    @property
    def feasible(self) -> bool:
        """Whether the app can be placed so at all."""
        return self.chosen.bill is not None

    @property
    def total(self) -> Decimal:
        """The total, infinite where there is none."""
        return self.chosen.bill.total.amount if self.chosen.bill is not None else Decimal("Infinity")

    @property
    def request_high(self) -> float:
        """The high end of a request in milliseconds, infinite where it is not known."""
        way = self.estimate.way("request")
        return way.high if way is not None else inf

    @property
    def request_p95(self) -> float:
        """What 95 of 100 estimates like this one of a request stay under, in milliseconds; infinite where unknown."""
        way = self.estimate.way("request")
        p95 = way.p95 if way is not None else None
        return inf if p95 is None else p95


@dataclass(frozen=True)
class Comparison:
    """All shapes, ranked; `recommended` is the first of them or None. `advice` says what a wish costs."""

    verdicts: tuple[Verdict, ...]
    recommended: Verdict | None
    advice: tuple[str, ...]
    inputs: dict[str, str]


def compare(scene: Scene, usage: Usage) -> Comparison:
    """Every shape at its cheapest, ranked by wishes met and then by price."""
    verdicts = [verdict(scene, usage, shape, slots) for shape, slots in _wanted(scene)]
    ranked = sorted(verdicts, key=_rank)
    first = ranked[0] if ranked and not ranked[0].unmet and ranked[0].feasible else None
    told = tuple(replace(one, lost=_why_lost(one, first)) for one in ranked)
    chosen = told[0] if first is not None else None
    return Comparison(told, chosen, _advice(scene, usage, told, chosen), inputs_of(usage))


def _wanted(scene: Scene) -> Iterable[tuple[Shape, tuple[Slot, ...] | None]]:
    yield from scene.own
    for shape in SHAPES:
        yield shape, None


def _rank(one: Verdict) -> tuple[bool, bool, bool, bool, Decimal, float, str]:
    bound = one.chosen.bill.lower_bound if one.chosen.bill is not None else True
    away = one.shape.name == "laptop"
    return not one.feasible, away, bool(one.unmet), bound, one.total, one.request_high, one.shape.panel or ""


def verdict(scene: Scene, usage: Usage, shape: Shape, slots: Sequence[Slot] | None = None) -> Verdict:
    """One shape at its cheapest, and which wishes it misses; `slots` where a target gives them."""
    return judged(scene, World.of(scene.app, usage, scene.catalog, scene.today), shape, slots)


def judged(scene: Scene, world: World, shape: Shape, slots: Sequence[Slot] | None = None) -> Verdict:
    """The same in a world of one's own, whose app is that of the scene."""
    usage = world.usage
    if shape.panel is not None and shape.panel not in scene.catalog.offers:
        return _unplaced(shape, Chosen(None, None, (f"there is no offer {shape.panel}",)))
    chosen = cheapest(world, shape, slots)
    if chosen.choice is None or chosen.bill is None:
        return _unplaced(shape, chosen)
    held = carries(world, chosen.choice)
    ground = Ground(chosen.choice, usage, scene.table, scene.catalog, at_home=world.here is not None)
    crossing = {
        frozenset({one.start, one.end})
        for one in chosen.bill.links
        if one.start != one.end and "/" in one.start + one.end and not {one.start, one.end} & {"users", "others"}
    }
    found = Verdict(
        shape,
        chosen,
        estimate(scene.app, ground, held.worker),
        held,
        losses(world, shape, chosen.choice),
        risks(shape, chosen, held, scene.catalog, scene.today),
        effort(chosen.choice, len(crossing)),
        _in_stock(world, shape, chosen, slots),
    )
    return replace(found, unmet=_unmet(scene, usage, found))


def _unplaced(shape: Shape, chosen: Chosen) -> Verdict:
    return Verdict(shape, chosen, Estimate(()), unmet=("it cannot be placed so",))


def _in_stock(world: World, shape: Shape, chosen: Chosen, slots: Sequence[Slot] | None) -> Money | None:
    bought = chosen.choice.purchases if chosen.choice is not None else ()
    if all(one.offer is None or one.offer.orderable == "yes" for one in bought):
        return None
    sure = cheapest(replace(world, usage=replace(world.usage, stock=False)), shape, slots)
    return sure.bill.total if sure.bill is not None and sure.bill.total != _total(chosen) else None


def _total(chosen: Chosen) -> Money | None:
    return chosen.bill.total if chosen.bill is not None else None


ONLY_HERE = "only this machine reaches it"


def _unmet(scene: Scene, usage: Usage, one: Verdict) -> tuple[str, ...]:
    """The wishes that a placement misses, each with its numbers."""
    wishes, bill = usage.wishes, one.chosen.bill
    found = []
    if one.shape.name == "laptop":
        found.append(ONLY_HERE)
    if one.shape.exposed:
        found.append("a private store would be reachable from the internet")
    if bill is not None:
        found += _over_budget(scene, usage, one.shape, bill.total)
    found += _too_rarely_there(usage, one)
    way = one.estimate.way("request")
    most = 1000 * float(wishes.api_latency)
    if most and way is not None and way.high > most:
        found.append(f"a request may take {way.high:.0f} ms, and {most:.0f} ms are wished for")
    if wishes.backups and (why := _not_backed_up(scene, usage, one)):
        found.append(why)
    return tuple(found)


def _over_budget(scene: Scene, usage: Usage, shape: Shape, total: Money) -> list[str]:
    """What the usage and the target itself say that it may cost, where it costs more."""
    own = exchange(shape.budget, usage.currency, scene.catalog.rates) if shape.budget is not None else None
    limits = dict.fromkeys(one for one in (usage.wishes.budget, own) if one is not None)
    return [f"{total} is {total - most} over the budget of {most}" for most in limits if most.amount < total.amount]


def _too_rarely_there(usage: Usage, one: Verdict) -> list[str]:
    wished, rebuild = usage.wishes.availability, usage.wishes.rebuild
    allowed = MONTH_HOURS * 3600 * (1 - wished)
    if not wished or not one.effort.servers or rebuild <= allowed:
        return []
    lost = f"{wished * 100:f}".rstrip("0").rstrip(".")
    spans = _span(allowed), _span(rebuild)
    return [f"{lost} % allow {spans[0]} a month, and building the one server anew takes {spans[1]}"]


def _span(seconds: Decimal) -> str:
    return f"{round(seconds / 3600, 1)} h" if seconds >= 5400 else show_seconds(float(seconds))


def _not_backed_up(scene: Scene, usage: Usage, one: Verdict) -> str:
    name = parts_of(scene.app, usage).database
    home = one.chosen.choice.of(name) if one.chosen.choice is not None and name is not None else None
    if home is None:
        return ""
    if home.offer is None or home.is_server:
        return "the database is on your own machine, and nobody else backs it up"
    accounts = [scene.catalog.offers[need] for need in home.offer.needs]
    kept = any(offer.limit("backups") for offer in (home.offer, *accounts))
    return "" if kept else f"{home.offer.name} has no backups that anybody tells of"


def _why_lost(one: Verdict, first: Verdict | None) -> str:
    if one is first:
        return ""
    if not one.feasible:
        return one.chosen.refused[0] if one.chosen.refused else "it cannot be placed so"
    return "; ".join(one.unmet) or _dearer(one, first)


def _dearer(one: Verdict, first: Verdict | None) -> str:
    """Why a placement that meets every wish is not the first."""
    if first is None or one.chosen.bill is None or first.chosen.bill is None:
        return "nothing is recommended"
    if one.chosen.bill.lower_bound:
        return f"a price of it is unknown: it costs at least {one.chosen.bill.total}"
    more = one.chosen.bill.total - first.chosen.bill.total
    if more.amount:
        return f"costs {more} more"
    if one.shape.panel is not None:
        return "costs the same, and its panel takes memory and is one more thing that can be broken into"
    if one.request_high == first.request_high:
        return f"is as dear and as fast as {first.shape.key}"
    return f"costs the same, and a request may take {one.request_high:.0f} ms"


NEUTRAL: dict[str, object] = {
    "availability": Decimal(0),
    "api_latency": Decimal(0),
    "backups": False,
    "area": "",
    "growth": Decimal(1),
}
"""The wishes other than the budget, and what they are when nothing is wished."""


def _advice(scene: Scene, usage: Usage, told: Sequence[Verdict], chosen: Verdict | None) -> tuple[str, ...]:
    """Where nothing fits: the cheapest there is, and which wish costs most."""
    if chosen is not None:
        note = f"if its server is out of stock: {chosen.in_stock}" if chosen.in_stock is not None else ""
        return (note,) if note else ()
    free = usage.with_wishes(budget=None)
    kept = _cheapest_of(scene, free, told)
    if kept is None:
        found = ["nothing meets the wishes at any price"]
    else:
        found = [f"nothing fits the budget: the cheapest that meets every other wish is {_priced(kept)}"]
    dropped = []
    for name, neutral in NEUTRAL.items():
        if getattr(usage.wishes, name) != neutral:
            other = _cheapest_of(scene, free.with_wishes(**{name: neutral}), None)
            if other is not None and (kept is None or other.total < kept.total):
                dropped.append((other.total, name, other))
    for _, name, other in sorted(dropped, key=lambda one: one[:2])[:1]:
        why = "the wish that costs most is" if kept is not None else "what stands in the way is"
        found.append(f"{why} {name}: without it {_priced(other)}")
    return tuple(found)


def _cheapest_of(scene: Scene, usage: Usage, told: Sequence[Verdict] | None) -> Verdict | None:
    """The cheapest verdict that meets the wishes of `usage`: of those already made, else of all made anew."""
    ones = told
    if ones is None:
        ones = [verdict(scene, usage, shape, slots) for shape, slots in _wanted(scene)]
    fits = [one for one in ones if one.feasible and not _unmet(scene, usage, one)]
    return min(fits, key=_rank_by_price, default=None)


def _rank_by_price(one: Verdict) -> tuple[bool, Decimal, str]:
    return one.chosen.bill is None or one.chosen.bill.lower_bound, one.total, one.shape.key


def _priced(one: Verdict) -> str:
    bill = one.chosen.bill
    bound = "at least " if bill is not None and bill.lower_bound else ""
    return f"{one.shape.title} ({one.shape.key}) at {bound}{bill.total if bill is not None else 'no price'}"
