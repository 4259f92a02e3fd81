"""The tables of a data file as values: a source, a region, a price, a limit, a rule, an offer."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast, get_args

from towline.catalog.fields import UNKNOWN, Part
from towline.catalog.offers import (
    CONFIDENCES,
    LIMITS,
    METERS,
    SERVES,
    Cap,
    Clock,
    Credit,
    Evidence,
    Limit,
    Offer,
    Orderable,
    Price,
    Provider,
    Rate,
    Region,
    Rule,
    Source,
    Tier,
    Vat,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.catalog.fields import Desk
    from towline.catalog.measures import Unit

_NOBODY = Source("", "", date.min)
"""Stands in for a source that is missing, which is complained of."""

AREAS = ("north-america", "south-america", "europe", "asia", "oceania", "africa", "everywhere")
RULES: dict[str, str | None] = {
    "sleeps": "second",
    "scales-to-zero": "second",
    "expires": "day",
    "pauses": "day",
    "quota": None,
    "non-commercial": None,
    "no-backups": None,
    "no-private-network": None,
}
"""The kinds of rules, and what their `after` is counted in."""


def source(part: Part) -> Source | None:
    """`[sources.NAME]`; None without a date."""
    url, read = part.text("url", required=True), part.day("read", required=True)
    until, via, note = part.day("until"), part.text("via"), part.text("note")
    part.end()
    return None if read is None else Source(str(part.path[-1]), url, read, until, via, note)


def provider(part: Part) -> Provider:
    """`[providers.NAME]`."""
    found = Provider(
        name=str(part.path[-1]),
        title=part.text("title", required=True),
        currency=part.text("currency", required=True),
        vat=cast("Vat", part.choice("vat", get_args(Vat), "unknown", required=True)),
        clock=cast("Clock", part.choice("clock", get_args(Clock), "month", required=True)),
        stopped=cast("Any", part.choice("stopped", ("billed", "free", "unknown"), "unknown", required=True)),
        note=part.text("note"),
        cap=_cap(part),
    )
    if len(found.currency) != 3 or not found.currency.isupper():
        part.refuse("a currency by its three letters is wanted", "currency", "write for example EUR")
    part.end()
    return found


def _cap(part: Part) -> Cap | None:
    """`cap` of a provider: `how`, `stops`, `url`, `read`; all of it, or nothing."""
    value = part.get("cap")
    if value is None:
        return None
    inner = Part(value, (*part.path, "cap"), part.desk)
    how, url = inner.text("how", required=True), inner.text("url", required=True)
    stops, read = inner.flag("stops"), inner.day("read", required=True)
    inner.end()
    return Cap(how, stops, url, read) if read is not None else None


def region(part: Part) -> Region:
    """`[regions."PROVIDER/NAME"]`: a place of its own, or `same_as` that of another provider."""
    same = part.text("same_as")
    here = not same
    north, east = part.number("north", required=here, negative=True), part.number("east", required=here, negative=True)
    found = Region(
        name=str(part.path[-1]),
        title=part.text("title", required=here),
        north=float(north or 0),
        east=float(east or 0),
        area=part.choice("area", AREAS, "everywhere", required=here),
        evidence=part.text("evidence"),
        same_as=same or None,
    )
    if abs(found.north) > 90 or abs(found.east) > 180:
        part.refuse("at most 90 degrees north and 180 east are wanted")
    part.end()
    return found


def rate(part: Part) -> Rate | None:
    """One of `[[rates]]`; None where a part of it is missing."""
    base, quote = part.text("base", required=True), part.text("quote", required=True)
    amount, read = part.number("rate", required=True), part.day("read", required=True)
    url = part.text("url", required=True)
    part.end()
    if amount is not None and amount <= 0:
        part.refuse("more than 0 is wanted", "rate")
        return None
    return None if amount is None or read is None else Rate(base, quote, amount, read, url)


def evidence(part: Part, sources: Mapping[str, Source], above: Evidence | None) -> Evidence:
    """Why the numbers of this table are believed: its own source and confidence, else those of the table around it."""
    name = part.text("source", required=above is None)
    confidence = part.choice("confidence", CONFIDENCES, required=above is None)
    note, where = part.text("note"), part.desk.where(part.path)
    if name and name not in sources:
        part.desk.complain(
            "unknown-source", f"There is no source `{name}`", (*part.path, "source"), "add [sources.NAME]"
        )
    around = above or Evidence(_NOBODY, "missing", _NOBODY.read)
    found = sources.get(name, around.source)
    read = part.day("date", found.read if name else around.read) or found.read
    return Evidence(found, confidence or around.confidence, read, note, where)


def price(part: Part, proof: Evidence, around: Part) -> Price:
    """One of the prices of the offer `around`, which may say itself what is included."""
    unit = part.unit("unit")
    meter = str(part.path[-1]).rpartition("/")[2]
    tiers = _tiers(part)
    own = part.measured("included", unit.measure)
    if around.value.get(meter) is not None:
        own = around.measured(meter, unit.measure)
    share = part.get("share_of")
    found = Price(
        meter=meter,
        unit=unit,
        tiers=tiers,
        evidence=proof,
        included=own,
        share_of=_share(part, share),
        percent_of=part.choice("percent_of", METERS) or None,
        round_up=part.flag("round_up"),
        minimum=part.number("minimum"),
        hourly=part.number("hourly"),
        pooled=cast("Any", part.choice("pooled", ("sum", "once")) or None),
        others=_others(part),
    )
    if (unit.name == "%") != (part.value.get("percent_of") is not None):
        part.refuse("the unit `%` and `percent_of` go together")
    part.end()
    if part.value.get("amount") == UNKNOWN and found.evidence.confidence not in {"missing", "conflict"}:
        part.refuse("an unknown amount is `missing`, or in `conflict`", "confidence", 'write `confidence = "missing"`')
    return found


def _others(part: Part) -> tuple[Decimal, ...]:
    written = part.get("others") or []
    if not isinstance(written, list):
        part.refuse("a list of amounts is wanted", "others", "write for example `others = [33]`")
        return ()
    inner = [Part({"amount": one}, (*part.path, "others"), part.desk).number("amount") for one in written]
    return tuple(one for one in inner if one is not None)


def _tiers(part: Part) -> tuple[Tier, ...]:
    steps = part.get("tiers")
    if steps is None:
        return (Tier(Decimal(0), part.number("amount", required=True)),)
    if not isinstance(steps, list) or not all(isinstance(one, list) and len(one) == 2 for one in steps) or not steps:
        part.refuse(
            "a list of [from, amount] is wanted", "tiers", "write for example `tiers = [[0, 0.09], [10000, 0.08]]`"
        )
        return (Tier(Decimal(0), None),)
    pairs = [Part({"from": above, "amount": amount}, (*part.path, "tiers"), part.desk) for above, amount in steps]
    tiers = tuple(Tier(one.number("from") or Decimal(0), one.number("amount")) for one in pairs)
    starts = [one.above for one in tiers]
    if starts != sorted(set(starts)) or starts[0] != 0:
        part.refuse("the first tier begins at 0, and each later one above the one before", "tiers")
    return tiers


def _share(part: Part, share: object) -> tuple[str, Decimal] | None:
    if share is None:
        return None
    inner = Part(share, (*part.path, "share_of"), part.desk)
    meter, times = inner.choice("meter", METERS, required=True), inner.number("times", required=True)
    inner.end()
    return (meter, times) if meter and times is not None else None


def limit(part: Part, proof: Evidence) -> Limit:
    """One of an offer's `limits`, written as a value or as a table with a `value`."""
    name = str(part.path[-1])
    value = part.measured("value", LIMITS.get(name, "count"), None)
    part.get("value", required=True)
    part.end()
    return Limit(name, value, proof)


def rule(part: Part, proof: Evidence, units: Mapping[str, Unit]) -> Rule:
    """One of an offer's `rules`. A quota is in the unit of its meter's price, and counts where there is none."""
    kind, then = part.choice("kind", RULES, required=True), part.text("then", required=True)
    meter = part.choice("meter", METERS, required=kind == "quota") or None
    measure = RULES.get(kind)
    unit = units.get(meter or "")
    counted = part.text("measure") or (unit.measure if unit else "count")
    found = Rule(
        kind=kind,
        then=then,
        evidence=proof,
        after=part.measured("after", measure, None) if measure else None,
        grace=part.measured("grace", "day", None),
        meter=meter,
        most=part.measured("most", counted, None),
        measure=counted,
    )
    if measure and found.after is None:
        part.refuse(f"`after` says when it {kind}", hint='add for example `after = "15m"`')
    part.end()
    return found


def offer(part: Part, sources: Mapping[str, Source], shared: Mapping[str, Any]) -> Offer:
    """`[offers."PROVIDER/PRODUCT/PLAN"]`, with the shared prices that its `also` names."""
    name = str(part.path[-1])
    proof = evidence(part, sources, None)
    prices = _prices(part, sources, shared, proof)
    limits = {key: limit(one, evidence(one, sources, proof)) for key, one in _inner(part, "limits", LIMITS)}
    units = {meter: one.unit for meter, one in prices.items()}
    rules = [Part(one, (*part.path, "rules", index), part.desk) for index, one in enumerate(part.get("rules") or ())]
    found = Offer(
        name=name,
        provider=name.partition("/")[0],
        serves=part.words("serves", SERVES),
        evidence=proof,
        title=part.text("title"),
        regions=tuple(_full(name, one) for one in part.words("regions")),
        prices=prices,
        limits=limits,
        rules=tuple(rule(one, evidence(one, sources, proof), units) for one in rules),
        credit=_credit(part, proof),
        needs=part.words("needs"),
        orderable=cast("Orderable", part.choice("orderable", get_args(Orderable), "yes")),
    )
    if "serves" not in part.value:
        part.get("serves", required=True)
    part.end()
    return found


def _prices(part: Part, sources: Mapping[str, Source], shared: Mapping[str, Any], proof: Evidence) -> dict[str, Price]:
    included = Part(part.get("included") or {}, (*part.path, "included"), part.desk)
    wanted = [
        (one, evidence(one, sources, None))
        for key in part.words("also", shared)
        if (one := Part(shared.get(key, {}), ("prices", key), part.desk))
    ]
    wanted += [(one, evidence(one, sources, proof)) for _, one in _inner(part, "prices", METERS)]
    made = [price(one, why, included) for one, why in wanted]
    rank = list(METERS)
    kept = [one for one in made if one.meter in METERS]
    found = {one.meter: one for one in sorted(kept, key=lambda one: rank.index(one.meter))}
    for meter in included.value:
        if meter not in found:
            included.refuse(f"`{meter}` is included and has no price", meter, "add it to `prices`, or to `also`")
    return found


def _inner(part: Part, key: str, known: Mapping[str, str]) -> list[tuple[str, Part]]:
    table = Part(part.get(key) or {}, (*part.path, key), part.desk)
    found = []
    for name, one in table.value.items():
        if name not in known:
            close = ", ".join(known)
            part.desk.complain(
                "unknown-meter", f"There is no `{name}` in `{key}`", (*table.path, name), f"known: {close}"
            )
            continue
        value = one if isinstance(one, dict) or key == "prices" else {"value": one}
        found.append((name, Part(value, (*table.path, name), part.desk)))
    return found


def _full(offer_name: str, region_name: str) -> str:
    return region_name if "/" in region_name else f"{offer_name.partition('/')[0]}/{region_name}"


def _credit(part: Part, proof: Evidence) -> Credit | None:
    value = part.get("credit")
    if value is None:
        return None
    inner = Part(value, (*part.path, "credit"), part.desk)
    amount, meters = inner.number("amount", required=True), inner.words("meters", METERS)
    inner.end()
    return Credit(amount, meters, proof) if amount is not None else None


def check_unused(document: Mapping[str, Any], sources: Mapping[str, Source], desk: Desk) -> None:
    """Complain of what is wrong in shared prices that no offer names: the others were read with their offers."""
    named = [one.get("also") for one in document["offers"].values() if isinstance(one, dict)]
    used = {key for keys in named if isinstance(keys, list) for key in keys if isinstance(key, str)}
    for key, value in sorted(document["prices"].items()):
        if key not in used:
            part = Part(value, ("prices", key), desk)
            price(part, evidence(part, sources, None), Part({}, (), desk))
