"""What a placement carries, what it loses, what may go wrong with it, and what it takes to run it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING

from towline.catalog.judge import offer_doubts
from towline.core.units import show_bytes
from towline.planner.capacity import Users, Workers, users, worker_capacity
from towline.planner.cost import copies_of
from towline.planner.sizing import BUSY, budget_of, job_load, machine_fit, server_fit, wait_target
from towline.planner.traffic import doorbell_of, idle_asks, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from towline.catalog.read import Catalog
    from towline.planner.capacity import ConnectionBudget, MemoryFit, WorkerCapacity
    from towline.planner.choose import Chosen
    from towline.planner.cost import Bill, BillLine
    from towline.planner.market import World
    from towline.planner.purchase import Choice, Purchase
    from towline.planner.shapes import Shape


ALONE = "the others on its processors stay at today's load"
"""How processors are shared: what is free of the 70 % that may be busy goes to whichever service grows."""


@dataclass(frozen=True)
class Carries:
    """What a placement carries. `headroom` is times today's load of all of it; infinite where there is none.

    `alone` is how many times its own load each service on shared processors may have while the others stay as they are.
    `idle` says what the workers ask of their doorbell in a month without any job; empty without workers.
    """

    worker: WorkerCapacity | None
    copies: int
    people: Users | None
    headroom: dict[str, float]
    connections: ConnectionBudget | None
    memory: MemoryFit | None
    idle: str = ""
    alone: Mapping[str, float] = field(default_factory=dict)

    @property
    def least(self) -> float:
        """The headroom of the part that is full first."""
        return min(self.headroom.values(), default=inf)


@dataclass(frozen=True)
class Effort:
    """What there is to look after."""

    accounts: int
    servers: int
    links: int

    @property
    def sentence(self) -> str:
        """In words."""
        parts = [
            (self.accounts, "account"),
            (self.servers, "server to look after"),
            (self.links, "link over the internet"),
        ]
        words = [f"{count} {noun if count == 1 else _plural(noun)}" for count, noun in parts if count]
        return ", ".join(words) or "nothing to look after"


NO_EFFORT = Effort(0, 0, 0)


def _plural(noun: str) -> str:
    head, _, tail = noun.partition(" ")
    return f"{head}s {tail}".strip()


def carries(world: World, choice: Choice) -> Carries:
    """How much `choice` carries, and how much of that is used."""
    app, usage, sizes = world.app, world.usage, world.sizes
    parts, headroom = parts_of(app, usage), dict[str, float]()
    worker, people, copies, alone = None, None, 1, dict[str, float]()
    if parts.worker is not None and usage.jobs.per_user_hour:
        home = choice.of(parts.worker)
        copies = home.copies_of(parts.worker) if home is not None and home.offer else sizes.copies[parts.worker]
        worker = worker_capacity(job_load(usage), Workers(usage.jobs.slots, copies), wait_target(usage))
        people = users(worker.at_target, float(usage.jobs.per_user_hour))
        headroom[parts.worker] = worker.headroom
    for one in choice.purchases:
        cpus = one.offer.limit("cpu") if one.offer is not None else _here(world)
        busy = sizes.cpus(one.holds) / usage.wishes.growth if usage.wishes.growth else 0
        if cpus and busy:
            headroom[f"processors of {one.name}"] = float(cpus * BUSY * one.copies / busy)
            alone |= _alone(world, one, cpus * BUSY * one.copies - busy)
    bounds = _connections(world, choice), _memory(world, choice)
    return Carries(worker, copies, people, headroom, *bounds, _idle(world, choice), alone)


def _alone(world: World, one: Purchase, left: Decimal) -> dict[str, float]:
    """The headroom of each service that shares the processors of a purchase: `left` of them are free."""
    growth = world.usage.wishes.growth
    busy = {name: world.sizes.cpus((name,)) / growth for name in one.holds}
    shared = {name: own for name, own in busy.items() if own}
    return {name: float((left + own) / own) for name, own in shared.items()} if len(shared) > 1 else {}


def _here(world: World) -> Decimal | None:
    return Decimal(world.here.cpus) if world.here is not None else None


def _idle(world: World, choice: Choice) -> str:
    parts = parts_of(world.app, world.usage)
    if not parts.workers:
        return ""
    bell = doorbell_of(parts, world.usage)
    asked = sum(idle_asks(bell, copies_of(choice, one.name)) for one in parts.workers)
    return f"idle workers ask {asked:,.0f} {bell.asks} a month ({bell.name})"


def _connections(world: World, choice: Choice) -> ConnectionBudget | None:
    database = parts_of(world.app, world.usage).database
    home = choice.of(database) if database is not None else None
    if home is None:
        return None
    bought = home.offer if home.offer is not None and "postgres" in home.offer.serves else None
    return budget_of(world.app, world.usage, world.sizes, bought)


def _memory(world: World, choice: Choice) -> MemoryFit | None:
    for one in choice.purchases:
        if one.is_server and one.offer is not None:
            return server_fit(world.app, world.usage, world.sizes, one.holds, (one.offer, one.panel))
        if one.offer is None and world.here is not None:
            return machine_fit(world.app, world.usage, world.sizes, one.holds, world.here)
    return None


def losses(world: World, shape: Shape, choice: Choice) -> tuple[str, ...]:
    """What an app gives up in this placement against what others give."""
    parts, found = parts_of(world.app, world.usage), []
    page, web, worker, database = (
        choice.of(name) if name is not None else None
        for name in (parts.static or parts.web, parts.web, parts.worker, parts.database)
    )
    if page is not None and (page.is_server or page.holds != (parts.static,)):
        found.append("CDN: pages and their files come from one place")
    if any(one is not None and one.is_server for one in (web, worker)):
        found.append("autoscaling: more load needs a larger server, or a second one")
    elif shape.name == "combined":
        found.append("scaling apart: API and workers share one container, and restart together")
    if web is not None and web.is_server:
        found.append("protection from floods of requests: the server stands in front alone")
    if database is not None and database.is_server:
        found.append("the provider's backups of the database: you dump it yourself")
    if any(one.is_server for one in choice.purchases):
        found.append("failover: the server is a single point of failure")
    return tuple(found)


def risks(shape: Shape, chosen: Chosen, held: Carries, catalog: Catalog, today: date) -> tuple[str, ...]:
    """What may go wrong, of this placement and not of every one."""
    if chosen.choice is None or chosen.bill is None:
        return ()
    found = [f"{one.offer}: {one.sentence}" for one in chosen.risks]
    if held.connections is not None and held.connections.fits is False:
        found.append(f"{held.connections.sentence}: raise max_connections of your own Postgres")
    if shape.exposed:
        found.append(
            "the queue is reachable from the internet: it needs TLS, a password and a filter in Docker's own path"
        )
        found.append("an allow-list of a platform's addresses is shared by all its customers: it is no authentication")
    bought = [one.offer for one in chosen.choice.purchases if one.offer is not None]
    names = {"stock": "is in stock on some days only", "unknown": "may not be sold at all any more"}
    found += [f"{one.name} {names[one.orderable]}" for one in bought if one.orderable in names]
    found += _uncapped(chosen.bill, catalog)
    doubts = [finding for one in bought for finding in offer_doubts(one, today)]
    if doubts:
        codes = {code: sum(one.code == code for one in doubts) for code in dict.fromkeys(one.code for one in doubts)}
        counts = ", ".join(f"{count} {code}" for code, count in codes.items())
        found.append(f"prices to look at before buying: {counts} (towline catalog show)")
    return tuple(dict.fromkeys(found))


def _uncapped(bill: Bill, catalog: Catalog) -> Iterator[str]:
    """The lines that grow with use without an end, and what each provider has against it."""
    by_provider: dict[str, list[BillLine]] = {}
    for one in bill.lines:
        if not one.line.fixed and one.line.meter != "credit" and one.line.counted.amount:
            by_provider.setdefault(catalog.offer(one.line.offer).provider, []).append(one)
    nobody = []
    for name, lines in by_provider.items():
        provider = catalog.providers.get(name)
        cap = provider.cap if provider is not None else None
        if provider is None or cap is None:
            nobody += lines
            continue
        word = "set the cap there" if cap.stops else "nothing stops them there, and it only tells"
        yield f"grows with use: {_lines(lines)}; {provider.title}: {word}: {cap.how} ({cap.url})"
    if nobody:
        yield f"nothing that anybody tells of caps these, they grow with use: {_lines(nobody)}"


def _lines(ones: Sequence[BillLine]) -> str:
    return ", ".join(f"{one.owner} {one.line.meter} ({one.line.counted})" for one in ones)


def effort(choice: Choice, crossing: int) -> Effort:
    """Accounts, servers, and links between places."""
    accounts = {one.provider for one in choice.purchases if one.offer is not None}
    return Effort(len(accounts), sum(_servers(one) for one in choice.purchases), crossing)


def _servers(one: Purchase) -> int:
    return one.copies if one.is_server else 0


def machine_text(one: Purchase) -> str:
    """`2 x render/service/starter` or `hetzner/server/cx33 (8.0 GB)`."""
    if one.offer is None:
        return "this machine"
    times = f"{one.copies} x " if one.copies > 1 else ""
    memory = one.offer.limit("memory")
    size = f" ({show_bytes(int(memory * 10**9))})" if one.is_server and memory else ""
    return f"{times}{one.offer.name}{size}"
