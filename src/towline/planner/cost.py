"""Purchases and use to a bill: what each part asks of each meter, what each link carries, and what that costs. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from towline.catalog.measures import plain
from towline.catalog.pricing import Item, Line, price_all
from towline.core.units import Money
from towline.planner.traffic import doorbell_of, flows, idle_asks, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from towline.catalog.offers import Offer
    from towline.catalog.read import Catalog
    from towline.planner.purchase import Choice, Purchase
    from towline.planner.traffic import Flow
    from towline.planner.usage import Usage
    from towline.spec.model import App, Store

DEFAULT_STORAGE = {"postgres": Decimal(1), "bucket": Decimal(10), "redis": Decimal("0.05"), "sqs": Decimal(0)}
"""GB that a store keeps where the usage does not say, by its kind."""

CU_MEMORY = Decimal(4)
"""GB of memory of one compute unit of a serverless Postgres (Neon)."""

BOUGHT = frozenset({"instance", "fee", "seat"})
"""Meters of the thing itself: an account has its own, and counts nothing of these for what needs it."""

LEAST_CU = Decimal("0.25")
MONTH_HOURS = Decimal(730)


@dataclass(frozen=True)
class BillLine:
    """One line of the bill, and what it is for: a service, a store, a server, or an account."""

    owner: str
    line: Line


@dataclass(frozen=True)
class Link:
    """A flow between two places; `paid` says whose egress it is, empty where nobody counts it, and why."""

    flow: Flow
    start: str
    end: str
    paid: str
    why: str


@dataclass(frozen=True)
class Bill:
    """A month's bill in one currency. The total is the sum of the lines; `vat` comes on top, and is not in it."""

    currency: str
    lines: tuple[BillLine, ...]
    links: tuple[Link, ...]
    vat: Money

    @property
    def total(self) -> Money:
        """The sum of the lines; where a price is unknown, the least that it can be."""
        return self._sum(one.line.counted for one in self.lines)

    @property
    def fixed(self) -> Money:
        """The part that is due without any use."""
        return self._sum(one.line.counted for one in self.lines if one.line.fixed)

    @property
    def low(self) -> Money:
        """The least, where copies of a price disagree."""
        return self._sum(one.line.low for one in self.lines)

    @property
    def high(self) -> Money | None:
        """The most, where copies of a price disagree; None where a price is unknown."""
        ends = [one.line.high for one in self.lines]
        known = [one for one in ends if one is not None]
        return self._sum(known) if len(known) == len(ends) else None

    @property
    def lower_bound(self) -> bool:
        """Whether a price is unknown, so that the total is only the least."""
        return any(one.line.money is None for one in self.lines)

    def _sum(self, amounts: Iterable[Money]) -> Money:
        return Money(sum((one.amount for one in amounts), Decimal(0)), self.currency)


@dataclass(frozen=True)
class Metered:
    """A purchase or an account with what a month asks of it, by meter, priced or not."""

    owner: str
    offer: Offer
    month: Mapping[str, Decimal]
    purchases: tuple[Purchase, ...] = ()


def bill_of(app: App, usage: Usage, choice: Choice, catalog: Catalog) -> Bill:
    """The bill of `choice` under `usage`. Raises UsageError where there is no rate into the currency of the usage."""
    asked, links = metered(app, usage, choice, catalog, flows(app, usage, choice.intake))
    return priced(asked, links, usage, catalog)


def priced(asked: Sequence[Metered], links: tuple[Link, ...], usage: Usage, catalog: Catalog) -> Bill:
    """The bill of what is asked."""
    # Each item under a name of its own, so that two purchases of one offer can be told apart in the lines.
    items = [
        Item(replace(one.offer, name=str(number)), {m: q for m, q in one.month.items() if q and m in one.offer.prices})
        for number, one in enumerate(asked)
    ]
    quote = price_all(items, usage.currency, catalog.rates)
    lines = [
        BillLine(asked[int(line.offer)].owner, replace(line, offer=asked[int(line.offer)].offer.name))
        for line in quote.lines
    ]
    lines += _unpriced(asked, usage.currency)
    taxed = sum(
        (one.line.counted.amount for one in lines if catalog.offers[one.line.offer].vat != "included"), Decimal(0)
    )
    return Bill(usage.currency, tuple(lines), links, Money(taxed * usage.vat / 100, usage.currency).cents())


def _unpriced(asked: Sequence[Metered], currency: str) -> list[BillLine]:
    """Traffic that somebody counts and nobody prices: a line without an amount, so that the total says "at least"."""
    found = []
    for one in asked:
        gb = one.month.get("egress", Decimal(0))
        if gb and "egress" not in one.offer.prices and not _allowed(one.offer, "egress"):
            how = f"{plain(round(gb, 3))} GB, and nobody says what they cost"
            zero = Money(Decimal(0), currency)
            line = Line(one.offer.name, "egress", how, None, zero, None, fixed=False, evidence=one.offer.evidence)
            found.append(BillLine(one.owner, line))
    return found


def metered(
    app: App, usage: Usage, choice: Choice, catalog: Catalog, carried: Sequence[Flow]
) -> tuple[list[Metered], tuple[Link, ...]]:
    """What a month asks of every purchase and of the accounts that they need; `carried` is the traffic of the month."""
    demands = demands_of(app, usage, choice)
    links = links_of(choice, carried)
    for link in links:
        if link.paid:
            month = demands[link.paid]
            month["egress"] = month.get("egress", Decimal(0)) + link.flow.gb
    owners = _accounts(choice, catalog)
    asked: list[Metered] = []
    shared: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for one in choice.purchases:
        if one.offer is None:
            continue
        own = dict(demands[one.name])
        for meter in [name for name in own if name not in one.offer.prices and name not in BOUGHT]:
            bearer = _bearer(one.offer, owners.get(one.provider, ()), meter)
            if bearer is not None:
                month = shared[bearer.name]
                month[meter] = month.get(meter, Decimal(0)) + own.pop(meter)
        asked.append(Metered(one.name, one.offer, own, (one,)))
    for provider, accounts in owners.items():
        users = tuple(one for one in choice.purchases if one.provider == provider)
        for account in accounts:
            own = {"fee": Decimal(1), "seat": Decimal(usage.seats), **shared[account.name]}
            asked.append(Metered(f"{provider} account", account, own, users))
    return asked, links


def _bearer(offer: Offer, accounts: Iterable[Offer], meter: str) -> Offer | None:
    """The account that counts what the offer itself does not; None where the offer allows it, or nobody counts it."""
    if _allowed(offer, meter):
        return None
    known = list(accounts)
    priced_by = [one for one in known if meter in one.prices]
    limited_by = [one for one in known if _allowed(one, meter)]
    return next(iter([*priced_by, *limited_by]), None)


def _allowed(offer: Offer, meter: str) -> bool:
    """Whether a rule gives so much of a meter, at no price."""
    return any(rule.kind == "quota" and rule.meter == meter for rule in offer.rules)


def _accounts(choice: Choice, catalog: Catalog) -> dict[str, tuple[Offer, ...]]:
    """The accounts that purchases need, once each, by provider and in the order of their names."""
    named = {name for one in choice.purchases if one.offer is not None for name in one.offer.needs}
    found: dict[str, tuple[Offer, ...]] = {}
    for name in sorted(named):
        account = catalog.offer(name)
        found[account.provider] = (*found.get(account.provider, ()), account)
    return found


def demands_of(app: App, usage: Usage, choice: Choice) -> dict[str, dict[str, Decimal]]:
    """What each purchase is asked for, by meter, without traffic."""
    found = {}
    for one in choice.purchases:
        month: dict[str, Decimal] = {"instance": Decimal(one.copies)}
        if one.is_server:
            month |= {"ipv4": Decimal(one.copies)}
            month |= {"backup": Decimal(one.copies)} if usage.backups else {}
        else:
            for name in one.holds:
                _add(month, _of_part(app, usage, choice, name))
        found[one.name] = month
    return found


def _add(month: dict[str, Decimal], more: Mapping[str, Decimal]) -> None:
    for meter, amount in more.items():
        month[meter] = month.get(meter, Decimal(0)) + amount


def _of_part(app: App, usage: Usage, choice: Choice, name: str) -> dict[str, Decimal]:
    """What a managed service or store is asked for."""
    store = next((one for one in app.stores if one.name == name), None)
    if store is None:
        service = app.service(name)
        if service.kind == "static":
            loads = usage.pages_a_month * usage.pages.files
            return {"fee": Decimal(1), "seat": Decimal(usage.seats), "edge-requests": loads}
        return {}
    kept = {"storage": storage_of(usage, store)}
    if store.kind == "postgres":
        return {**kept, "compute": _compute(app, usage, name), "fee": Decimal(1)}
    if store.kind == "bucket":
        return {**kept, "fee": Decimal(1), **_bucket_calls(usage)}
    calls = _queue_calls(app, usage, choice, name)
    return {"requests": calls} if store.kind == "sqs" else {**kept, "commands": calls}


def storage_of(usage: Usage, store: Store) -> Decimal:
    """GB that a store keeps."""
    return usage.storage.get(store.name, DEFAULT_STORAGE[store.kind])


def _compute(app: App, usage: Usage, name: str) -> Decimal:
    """CU-hours of a serverless Postgres: an app with a worker asks it every few seconds, so it never sleeps."""
    size = max(LEAST_CU, usage.memory.get(name, Decimal(0)) / CU_MEMORY)
    awake = MONTH_HOURS if any(one.kind == "worker" for one in app.services) else min(MONTH_HOURS, usage.busy_hours)
    return size * awake


def _bucket_calls(usage: Usage) -> dict[str, Decimal]:
    jobs, uploads, results = usage.jobs_a_month, bool(usage.jobs.size_in), bool(usage.jobs.size_out)
    return {"class-a": jobs * (uploads + results), "class-b": jobs * (uploads + results * usage.jobs.views)}


def _queue_calls(app: App, usage: Usage, choice: Choice, name: str) -> Decimal:
    """Commands or requests of a month: those of requests, of jobs, and of workers that only wait."""
    parts = parts_of(app, usage)
    doorbell = doorbell_of(parts, usage)
    rung = parts.queue is not None and parts.queue.name == name and doorbell.asks != "statements"
    calls = usage.requests_a_month * usage.requests.commands if parts.redis[:1] == (name,) else Decimal(0)
    if rung:
        calls += usage.jobs_a_month * doorbell.per_job
        calls += sum(idle_asks(doorbell, copies_of(choice, one.name)) for one in parts.workers)
    return calls.quantize(Decimal(1))


def copies_of(choice: Choice, name: str) -> int:
    """Copies of a service; 1 where it is not placed."""
    found = choice.of(name)
    return 1 if found is None else found.copies_of(name)


def links_of(choice: Choice, carried: Sequence[Flow]) -> tuple[Link, ...]:
    """Every flow that leaves a purchase, and who counts it."""
    found = []
    for flow in carried:
        start, end = choice.of(flow.start), choice.of(flow.end)
        if start is None and end is None:
            continue
        here = start.place if start is not None else flow.start
        there = end.place if end is not None else flow.end
        paid, why = _paid(start, end)
        if start is not end or start is None:
            found.append(Link(flow, here, there, paid, why))
    return tuple(found)


def _paid(start: Purchase | None, end: Purchase | None) -> tuple[str, str]:
    if start is None:
        return "", "what comes in is not counted"
    if start.offer is None:
        return "", "your own line"
    if end is not None and end.place == start.place and start.region is not None:
        return "", "the provider's private network"
    return start.name, f"out of {start.place}"


def inputs_of(usage: Usage) -> dict[str, str]:
    """The numbers that every total rests on, for a reader who does the sum again."""
    return {
        "users at work": plain(usage.users),
        "busy hours a month": plain(usage.busy_hours),
        "requests a month": plain(usage.requests_a_month),
        "page loads a month": plain(usage.pages_a_month),
        "jobs a month": plain(usage.jobs_a_month),
        "most users near": usage.near,
        "backups of servers": "yes" if usage.backups else "no",
        "people in the team": str(usage.seats),
    }
