"""Offers as plain data for `--json` and as short texts for a table. Amounts are texts, so that they stay exact."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from towline.catalog.measures import plain
from towline.core.units import show_seconds

if TYPE_CHECKING:
    from towline.catalog.offers import Evidence, Limit, Offer, Price, Region, Rule

_FIRST = ("fee", "seat", "instance", "compute", "commands", "requests", "storage")


def amount_text(amount: Decimal | None) -> str | None:
    """`0.15`, `unlimited`, or None for what is unknown."""
    if amount is None:
        return None
    return "unlimited" if amount.is_infinite() else plain(amount).replace(",", "")


def price_text(one: Price, currency: str) -> str:
    """`0.15 USD per GB after 5 GB`, `20 % of instance` or `unknown per GB-month`."""
    if one.percent_of:
        return f"{amount_text(one.amount) or 'unknown'} % of {one.percent_of}"
    amounts = [f"{amount_text(tier.amount) or 'unknown'}" for tier in one.tiers]
    text = f"{' then '.join(amounts)} {currency} per {one.unit.name}"
    if one.others:
        text += f" (also seen: {', '.join(plain(other) for other in one.others)})"
    if one.included is None:
        return f"{text}, after an unknown amount"
    if one.share_of:
        text += f" after {plain(one.share_of[1])} times the {one.share_of[0]}"
    if one.included:
        measure = "" if one.unit.measure == "count" else f" {one.unit.measure}"
        text += f" after {plain(_short(one.included))}{measure}"
    extras = {"rounded up": one.round_up, f"at least {plain(one.minimum or Decimal(0))}": one.minimum is not None}
    return ", ".join([text, *(words for words, holds in extras.items() if holds)])


def main_price(offer: Offer) -> Price | None:
    """The price that names the offer: its fee or machine, else what is metered first; None where nothing is."""
    meters = [*(meter for meter in _FIRST if meter in offer.prices), *offer.prices]
    return offer.prices[meters[0]] if meters else None


def limit_text(one: Limit) -> str:
    """`512 MB`, `15 min`, `unlimited` or `unknown`."""
    if one.value is None:
        return "unknown"
    if one.value.is_infinite():
        return "unlimited"
    if one.measure == "second":
        return show_seconds(float(one.value))
    if one.measure == "GB" and one.value < 1:
        return f"{plain(one.value * 1000)} MB"
    unit = {"GB": " GB", "day": " days"}.get(one.measure, "")
    return f"{plain(round(one.value, 2))}{unit}"


def offer_json(offer: Offer) -> dict[str, object]:
    """Everything that is known of an offer; every number with its source, date and confidence."""
    return {
        "offer": offer.name,
        "provider": offer.provider,
        "title": offer.title,
        "serves": list(offer.serves),
        "regions": list(offer.regions),
        "currency": offer.currency,
        "vat": offer.vat,
        "orderable": offer.orderable,
        "needs": list(offer.needs),
        "prices": {name: _price_json(one) for name, one in offer.prices.items()},
        "limits": {name: _limit_json(one) for name, one in offer.limits.items()},
        "rules": [_rule_json(one) for one in offer.rules],
        "credit": None
        if offer.credit is None
        else {"amount": amount_text(offer.credit.amount), "meters": list(offer.credit.meters)},
        **_proof(offer.evidence),
    }


def region_json(region: Region) -> dict[str, object]:
    """A region with its coordinates in degrees."""
    place = {"north": region.north, "east": region.east}
    return {"region": region.name, "title": region.title, "area": region.area, **place, "evidence": region.evidence}


def _price_json(one: Price) -> dict[str, object]:
    return {
        "unit": one.unit.name,
        "tiers": [{"above": amount_text(tier.above), "amount": amount_text(tier.amount)} for tier in one.tiers],
        "included": amount_text(one.included),
        "included_of": None
        if one.share_of is None
        else {"meter": one.share_of[0], "times": amount_text(one.share_of[1])},
        "percent_of": one.percent_of,
        "round_up": one.round_up,
        "minimum": amount_text(one.minimum),
        "hourly": amount_text(one.hourly),
        "pooled": one.pooled,
        "also_seen": [amount_text(other) for other in one.others],
        **_proof(one.evidence),
    }


def _limit_json(one: Limit) -> dict[str, object]:
    return {"value": amount_text(one.value), "measure": one.measure, **_proof(one.evidence)}


def _rule_json(one: Rule) -> dict[str, object]:
    figures = {"after": amount_text(one.after), "grace": amount_text(one.grace), "most": amount_text(one.most)}
    return {"kind": one.kind, "then": one.then, **figures, "meter": one.meter, "measure": one.measure}


def _proof(one: Evidence) -> dict[str, object]:
    return {
        "source": one.source.url,
        "via": one.source.via,
        "read": str(one.read),
        "confidence": one.confidence,
        "note": one.note,
    }


def _short(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.1")) if number != number.to_integral_value() else number
