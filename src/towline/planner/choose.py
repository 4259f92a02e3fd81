"""The cheapest offers that hold an app in one shape: a search that gives up a branch once it cannot win. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from towline.catalog.pricing import Item, price_all
from towline.planner import sizing
from towline.planner.cost import Bill, demands_of, metered, priced
from towline.planner.market import candidates, slots_of
from towline.planner.purchase import Choice, Purchase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from towline.catalog.offers import Offer
    from towline.catalog.rules import Breach
    from towline.planner.market import Slot, World
    from towline.planner.purchase import Intake
    from towline.planner.shapes import Shape
    from towline.planner.traffic import Flow


@dataclass(frozen=True)
class Candidate:
    """An offer that can fill a slot, and the part of its price that does not depend on the other slots.

    `out` is what leaves its place in any case, in GB: to browsers and strangers, and to parts that cannot be there.
    """

    purchase: Purchase
    own: Decimal
    out: Decimal = Decimal(0)


@dataclass(frozen=True)
class Chosen:
    """The cheapest choice and its bill, None where there is none; why what was refused was; rules that are a risk."""

    choice: Choice | None
    bill: Bill | None
    refused: tuple[str, ...] = ()
    risks: tuple[Breach, ...] = ()
    considered: int = 0


@dataclass
class _Best:
    key: tuple[bool, Decimal, tuple[str, ...]] | None = None
    choice: Choice | None = None
    bill: Bill | None = None
    risks: tuple[Breach, ...] = ()
    leaves: int = 0
    refused: list[str] = field(default_factory=list)
    floors: dict[tuple[str, Decimal], Decimal] = field(default_factory=dict)


def cheapest(world: World, shape: Shape, slots: Sequence[Slot] | None = None) -> Chosen:
    """The cheapest choice for `shape` that holds the app; `slots` where the sites are given."""
    refused: tuple[str, ...] = ()
    if slots is None:
        slots, refused = slots_of(world.app, shape)
    refused += tuple(world.sizes.refused.values())
    found = [candidates(world, shape, slot) for slot in slots]
    if refused or not all(ones for ones, _ in found):
        return Chosen(None, None, (*refused, *(why for ones, reasons in found if not ones for why in reasons)))
    best, filled = _Best(), weighed(world, shape.intake, [ones for ones, _ in found])
    _descend(world, shape.intake, filled, _rest(world, filled), best)
    if best.choice is None:
        reasons = [*best.refused, *(why for _, reasons in found for why in reasons)]
        return Chosen(None, None, tuple(dict.fromkeys(reasons))[:6], (), best.leaves)
    return Chosen(best.choice, best.bill, (), best.risks, best.leaves)


def weighed(world: World, intake: Intake, found: Sequence[tuple[Purchase, ...]]) -> tuple[tuple[Candidate, ...], ...]:
    """The purchases of each slot with the least that each costs, cheapest first, without those that cannot win."""
    places = {name: {_place(one) for one in ones} for ones in found for name in ones[0].holds}
    away = [one for one in world.flows[intake] if _never_meet(places.get(one.start), places.get(one.end))]
    return tuple(_undominated(sorted((_candidate(world, one, away) for one in ones), key=_by_price)) for ones in found)


def _by_price(one: Candidate) -> tuple[Decimal, str]:
    return one.own, one.purchase.offer.name if one.purchase.offer is not None else ""


def _place(one: Purchase) -> str | None:
    """Where a purchase is; None where nobody says, which is no place to meet at."""
    return one.place if one.region is not None or one.offer is None else None


def _never_meet(start: set[str | None] | None, end: set[str | None] | None) -> bool:
    """Whether a flow leaves its place whatever is bought at both ends; None as an end is browsers and strangers."""
    return start is not None and (end is None or not (start & end) - {None})


def _rest(world: World, filled: Sequence[tuple[Candidate, ...]]) -> list[Decimal]:
    """The least that the slots from each on can cost, less every credit that there could be."""
    offers = (one.purchase.offer for ones in filled for one in ones)
    names = {name for one in offers if one is not None for name in (one.name, *one.needs)}
    known = (world.catalog.offers[name].credit for name in sorted(names))
    total = -sum((one.amount for one in known if one is not None), Decimal(0))
    found = [total]
    for ones in reversed(filled):
        total += min(one.own for one in ones)
        found.append(total)
    return found[::-1]


def _descend(
    world: World,
    intake: Intake,
    filled: Sequence[tuple[Candidate, ...]],
    rest: Sequence[Decimal],
    best: _Best,
    taken: tuple[Candidate, ...] = (),
) -> None:
    spent = sum((one.own for one in taken), Decimal(0)) + _floor(world, taken, best)
    # Only a known total can cut a branch: one with an unknown price is just the least.
    if best.key is not None and not best.key[0] and spent + rest[len(taken)] > best.key[1]:
        return
    if len(taken) < len(filled):
        for one in filled[len(taken)]:
            _descend(world, intake, filled, rest, best, (*taken, one))
        return
    _weigh(world, Choice(tuple(one.purchase for one in taken), intake), best)


def _floor(world: World, taken: Sequence[Candidate], best: _Best) -> Decimal:
    """The least that the accounts of what is taken cost: their fees, and the traffic that leaves in any case."""
    out: dict[str, Decimal] = {}
    for one in taken:
        offer = one.purchase.offer
        for name in offer.needs if offer is not None else ():
            counted = "egress" not in offer.prices  # type: ignore[union-attr]
            out[name] = out.get(name, Decimal(0)) + (one.out if counted else Decimal(0))
    for name, gb in out.items():
        if (name, gb) not in best.floors:
            month = {"fee": Decimal(1), "seat": Decimal(world.usage.seats), "egress": gb}
            best.floors[name, gb] = _least(world, world.catalog.offer(name), month)
    return sum((best.floors[key] for key in out.items()), Decimal(0))


def _weigh(world: World, choice: Choice, best: _Best) -> None:
    """Price one whole choice, and keep it when it is the best so far."""
    best.leaves += 1
    judged = judge(world, choice)
    if judged.refused:
        best.refused += judged.refused
        return
    bill = judged.bill
    names = tuple(one.offer.name if one.offer is not None else "" for one in choice.purchases)
    key = (bill.lower_bound, bill.total.amount, names)
    if best.key is None or key < best.key:
        best.key, best.choice, best.bill, best.risks = key, choice, bill, judged.soft


@dataclass(frozen=True)
class Judged:
    """A choice with its bill, and the rules that it meets."""

    bill: Bill
    refused: tuple[str, ...]
    soft: tuple[Breach, ...]


def judge(world: World, choice: Choice) -> Judged:
    """The bill of a choice, and every rule of an offer or account that the use of it meets."""
    asked, links = metered(world.app, world.usage, choice, world.catalog, world.flows[choice.intake])
    refused, soft = [], []
    for one in asked:
        if not one.offer.rules:
            continue
        holds = tuple(name for purchase in one.purchases for name in purchase.holds)
        hard, risks = sizing.hard_breaches(world.app, world.usage, one.offer, holds, one.month, world.today)
        refused += [f"{one.owner} ({found.offer}): {found.sentence}" for found in hard]
        soft += risks
    return Judged(priced(asked, links, world.usage, world.catalog), tuple(refused), tuple(soft))


def _undominated(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The cheapest of those that look alike to the rest of the bill; `found` is cheapest first.

    Two offers of one provider in one region, with the same accounts, traffic prices, rules and copies, change nothing
    elsewhere: the dearer one can never be part of a cheapest choice.
    """
    kept: dict[tuple[object, ...], Candidate] = {}
    for one in found:
        kept.setdefault(_outside(one.purchase), one)
    return tuple(kept.values())


def _outside(bought: Purchase) -> tuple[object, ...]:
    """Everything of a purchase that other parts of the bill depend on."""
    offer = bought.offer
    if offer is None:
        return ()
    traffic = tuple(
        (m, one.unit.name, one.tiers, one.included, one.share_of, one.round_up, one.pooled)
        for m, one in offer.prices.items()
        if one.pooled or m == "egress"
    )
    rules = tuple((one.kind, one.meter, one.most, one.after) for one in offer.rules)
    absent = tuple(meter in offer.prices for meter in ("storage", "compute", "commands", "seat", "fee"))
    return (bought.place, bought.copies, bought.inside, offer.needs, offer.credit, traffic, rules, absent)


def _candidate(world: World, bought: Purchase, away: Sequence[Flow]) -> Candidate:
    """A purchase with what it costs whatever else is bought: without shared allowances, credits and accounts."""
    offer = bought.offer
    if offer is None:
        return Candidate(bought, Decimal(0))
    month = demands_of(world.app, world.usage, Choice((bought,)))[bought.name]
    inside = set(bought.holds)
    out = sum((one.gb for one in away if one.start in inside and one.end not in inside), Decimal(0))
    return Candidate(bought, _least(world, offer, {**month, "egress": out}), out)


def _least(world: World, offer: Offer, month: Mapping[str, Decimal]) -> Decimal:
    """The least that so much of an offer costs; what a plan of several parts shares counts nothing."""
    shared = {m for m, one in offer.prices.items() if one.pooled and "account" not in offer.serves}
    kept = {m: q for m, q in month.items() if q and m in offer.prices and m not in shared}
    return price_all([Item(offer, kept)], world.usage.currency, world.catalog.rates).low.amount
