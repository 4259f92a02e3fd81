"""What can be bought for each part of an app, and why the rest cannot: the market that a choice is made from. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from towline.planner import sizing
from towline.planner.cost import demands_of
from towline.planner.latency import km
from towline.planner.purchase import Choice, Purchase
from towline.planner.sizing import sizes_of
from towline.planner.traffic import flows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from towline.catalog.offers import Offer, Region
    from towline.catalog.read import Catalog
    from towline.planner.purchase import Intake, Machine
    from towline.planner.shapes import Shape
    from towline.planner.sizing import Sizes
    from towline.planner.traffic import Flow
    from towline.planner.usage import Usage
    from towline.spec.model import App, Service, Store

CONTAINER = "container"
"""The slot of the one container that holds all processes."""


FARTHER_KM = 2500.0
"""What is sold so much farther from most users than the nearest of its kind is left out: another continent."""


@dataclass(frozen=True)
class Slot:
    """One thing to buy: who may sell it (anybody, where none is named), what it must serve, and what it holds.

    `region` is given where the user says it; `own` is a slot of the user's own target, whose offers may be fixed.
    """

    name: str
    sellers: tuple[str, ...]
    serves: str
    holds: tuple[str, ...]
    region: str | None = None
    own: bool = False

    def fixed(self, usage: Usage) -> str | None:
        """The offer that the user wants here: by any name in a target, by `server` and `container` everywhere."""
        named = usage.offers.get(self.name) if self.own or self.name == CONTAINER else None
        return named or (usage.offers.get("server") if self.serves == "server" else None)


@dataclass(frozen=True)
class World:
    """Everything that a choice is made from. `here` is known only where this very machine is planned for."""

    app: App
    usage: Usage
    catalog: Catalog
    sizes: Sizes
    flows: Mapping[Intake, tuple[Flow, ...]]
    here: Machine | None = None
    today: date | None = None

    @staticmethod
    def of(app: App, usage: Usage, catalog: Catalog, today: date | None = None) -> World:
        """The world of an app and its use; from `today` on, where rules are to be told with their days."""
        carried: dict[Intake, tuple[Flow, ...]] = {
            "outbox": flows(app, usage, "outbox"),
            "queue": flows(app, usage, "queue"),
        }
        return World(app, usage, catalog, sizes_of(app, usage), carried, today=today)


def slots_of(app: App, shape: Shape) -> tuple[tuple[Slot, ...], tuple[str, ...]]:
    """What must be bought for `app` in `shape`, in the order of the app; and what nobody can hold, as sentences."""
    alone: list[Slot] = []
    joined: dict[str, list[str]] = {"server": [], "container": [], "laptop": []}
    refused = []
    every: tuple[Service | Store, ...] = (*app.services, *app.stores)
    for one in every:
        if one.kind == "task":
            continue
        homes = shape.homes[one.kind]
        if homes and homes[0] in joined:
            joined[homes[0]].append(one.name)
        elif homes:
            alone.append(Slot(one.name, homes, one.kind, (one.name,)))
        else:
            refused.append(f"`{one.name}` keeps data of its own, and nothing managed runs it")
    whole = {"server": "server", "container": "web", "laptop": "laptop"}
    together = [Slot(home, (), whole[home], tuple(names)) for home, names in joined.items() if names]
    return (*together, *alone), tuple(refused)


def candidates(world: World, shape: Shape, slot: Slot) -> tuple[tuple[Purchase, ...], tuple[str, ...]]:
    """What can fill a slot, and why other offers cannot: the two that come nearest."""
    if slot.serves == "laptop":
        return (Purchase(slot.name, None, None, slot.holds),), ()
    found: list[Purchase] = []
    refused = []
    panel = world.catalog.offer(shape.panel) if shape.panel else None
    offers = [(offer, _region(world, offer, slot.region)) for offer in _offers(world, slot)]
    nearest = min((_distance(world, region) for _, region in offers if region is not None), default=0.0)
    for offer, region in offers:
        far = "" if slot.region or slot.fixed(world.usage) else _too_far(world, region, nearest)
        reason = (
            _foreign(slot, offer)
            or _refusal(world, slot, offer, panel)
            or _misplaced(world, slot, offer, region)
            or far
        )
        bought = None if reason else _purchase(world, slot, offer, region, panel)
        reason = reason or _broken_rule(world, bought)
        if reason or bought is None:
            refused.append((_size(offer), offer.name, reason))
        else:
            found.append(bought)
    largest = sorted(refused, reverse=True)[:2]
    why = tuple(f"{slot.name} on {name}: {reason}" for _, name, reason in largest)
    if not found and not why:
        why = (f"{slot.name}: there is no offer for it",)
    return tuple(found), why


def _size(offer: Offer) -> Decimal:
    return offer.limit("memory") or Decimal(0)


def _offers(world: World, slot: Slot) -> Iterator[Offer]:
    usage, catalog = world.usage, world.catalog
    fixed = slot.fixed(usage)
    if fixed is not None:
        yield catalog.offer(fixed)
        return
    for offer in catalog.offers.values():
        if slot.serves not in offer.serves or (slot.sellers and offer.provider not in slot.sellers):
            continue
        if slot.name == CONTAINER and offer.provider != "render":
            continue
        if offer.orderable == "no" or (not usage.stock and offer.orderable != "yes"):
            continue
        if offer.title.startswith("arm64") and not usage.arm:
            continue
        yield offer


def _foreign(slot: Slot, offer: Offer) -> str:
    """Why an offer is not for such a thing at all; only one that the user named can be."""
    if slot.serves in offer.serves:
        return ""
    return f"it is for {', '.join(offer.serves)}, and not for {slot.serves}"


def _refusal(world: World, slot: Slot, offer: Offer, panel: Offer | None) -> str:
    app, usage, sizes = world.app, world.usage, world.sizes
    if slot.serves == "server":
        return sizing.refuse_server(app, usage, sizes, slot.holds, (offer, panel))
    if slot.name == CONTAINER:
        return sizing.refuse_container(app, usage, sizes, slot.holds, offer)
    store = next((one for one in app.stores if one.name == slot.holds[0]), None)
    if store is not None:
        return sizing.refuse_store(app, usage, sizes, store, offer)
    return sizing.refuse_service(app, usage, sizes, app.service(slot.holds[0]), offer)


def _broken_rule(world: World, bought: Purchase | None) -> str:
    """The rule that a purchase breaks whatever else is bought; empty where there is none."""
    if bought is None or bought.offer is None:
        return "nobody says what it costs"
    if not bought.offer.rules:
        return ""
    month = demands_of(world.app, world.usage, Choice((bought,)))[bought.name]
    hard, _ = sizing.hard_breaches(world.app, world.usage, bought.offer, bought.holds, month, world.today)
    return hard[0].sentence if hard else ""


def _misplaced(world: World, slot: Slot, offer: Offer, region: Region | None) -> str:
    area, where = world.usage.wishes.area, slot.region or world.usage.wishes.area
    if region is not None:
        return ""
    sold = bool(offer.regions) or any(name.startswith(f"{offer.provider}/") for name in world.catalog.regions)
    if sold or slot.region:
        return f"it is not sold in {where}" if where else "it is sold nowhere"
    return f"nobody says whether it is in {area}" if area else ""


def _distance(world: World, region: Region) -> float:
    """Kilometres from most users."""
    return km(world.catalog.regions[world.usage.near], region)


def _too_far(world: World, region: Region | None, nearest: float) -> str:
    """Why an offer is out of the way; empty where it is not, or where nobody says where it is."""
    if region is None or _distance(world, region) <= nearest + FARTHER_KM:
        return ""
    there, near = _distance(world, region), world.usage.near
    return f"{region.name} is {there:,.0f} km from {near}, and the same is sold at {nearest:,.0f} km"


def _region(world: World, offer: Offer, named: str | None) -> Region | None:
    """The region that is named, else the one of an offer that is nearest to most users, inside the wished area."""
    regions, area = world.catalog.regions, world.usage.wishes.area
    if named is not None:
        there = world.catalog.sold_in(offer, named) and (not area or regions[named].area == area)
        return regions[named] if there else None
    near = regions[world.usage.near]
    names = offer.regions or [name for name in regions if name.startswith(f"{offer.provider}/")]
    known = [regions[name] for name in names if not area or regions[name].area == area]
    return min(known, key=lambda one: (km(near, one), one.name), default=None)


def _purchase(world: World, slot: Slot, offer: Offer, region: Region | None, panel: Offer | None) -> Purchase | None:
    """The purchase that fills a slot; None where the price of the thing itself is unknown and it was not asked for."""
    fixed = [offer.prices[name] for name in ("instance", "fee", "seat") if name in offer.prices]
    if any(one.amount is None for one in fixed) and slot.fixed(world.usage) is None:
        return None
    if slot.serves == "server" or slot.name == CONTAINER:
        inside = tuple(world.sizes.copies.get(name, 1) for name in slot.holds)
        return Purchase(slot.name, offer, region, slot.holds, 1, panel if slot.serves == "server" else None, inside)
    service = next((one for one in world.app.services if slot.holds == (one.name,) and one.kind != "static"), None)
    copies = sizing.service_copies(service, world.sizes, offer) if service is not None else 1
    return Purchase(slot.name, offer, region, slot.holds, copies)
