"""What is doubtful in a catalogue: numbers that are old, contested, second-hand or missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Finding, Where

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from towline.catalog.offers import Evidence, Offer, Rate
    from towline.catalog.read import Catalog

FRESH_DAYS = 90
"""A number older than this may no longer be so: one provider changed its prices twice within 75 days of 2026."""

CODES: dict[str, tuple[str, str]] = {
    "toml-syntax": ("error", "A data file is no TOML."),
    "unknown-key": ("error", "A key is not known at this place of a data file."),
    "missing-key": ("error", "A table lacks a key that it cannot do without."),
    "wrong-value": ("error", "A value has another type or form than is wanted, or two values do not go together."),
    "unknown-unit": ("error", "A unit is not known. The hint lists the ones that are."),
    "unknown-meter": ("error", "A price or limit has a name that is not known."),
    "unknown-source": ("error", "A number names a source that no file has."),
    "unknown-provider": ("error", "An offer's name begins with a provider that no file has."),
    "unknown-region": ("error", "A region is named that no file has."),
    "unknown-offer": ("error", "An offer needs another one that no file has."),
    "defined-twice": ("error", "Two files define the same thing. The user's own file may: it wins."),
    "stale": ("warning", f"A number was last surely so more than {FRESH_DAYS} days ago."),
    "conflict": ("warning", "Copies of the vendor's page disagree."),
    "third-party": ("warning", "Only an undated or second-hand source has the number."),
    "missing": ("warning", "Nobody says. Totals with it are lower bounds."),
    "old-rate": ("warning", "The newest exchange rate of a pair of currencies is old."),
}
"""Every finding of `towline catalog check`: its level and what it means."""

_DOUBTS = {
    "conflict": "copies disagree",
    "third-party": "only a second-hand source says so",
    "missing": "nobody says",
}


def doubts(catalog: Catalog, today: date) -> list[Finding]:
    """Every warning about the numbers of a catalogue, in the order of its offers."""
    found = [one for offer in catalog.offers.values() for one in offer_doubts(offer, today)]
    return found + _old_rates(catalog.rates, today)


def offer_doubts(offer: Offer, today: date) -> list[Finding]:
    """The warnings about one offer: each kind once, with the numbers that it is about."""
    if offer.orderable == "no":
        return []
    found = [
        _finding(code, f"`{offer.name}`: {reason} ({', '.join(names)})", _proofs(offer, names)[0])
        for code, reason in _DOUBTS.items()
        if (names := [name for name, proof in _numbers(offer) if proof.confidence == code])
    ]
    old = {name: proof for name, proof in _numbers(offer) if proof.age(today) > FRESH_DAYS}
    if old:
        oldest = max(old.values(), key=lambda proof: proof.age(today))
        sentence = f"`{offer.name}`: {', '.join(old)} as of {oldest.read}, {oldest.age(today)} days ago"
        found.append(_finding("stale", sentence, oldest))
    return found


def _numbers(offer: Offer) -> Iterable[tuple[str, Evidence]]:
    """Every number of an offer, by name, with its evidence."""
    yield from ((name, one.evidence) for name, one in offer.prices.items())
    yield from ((f"limit {name}", one.evidence) for name, one in offer.limits.items() if one.value is None)


def _proofs(offer: Offer, names: list[str]) -> list[Evidence]:
    return [proof for name, proof in _numbers(offer) if name in names]


def _finding(code: str, sentence: str, proof: Evidence) -> Finding:
    hint = f"look at {proof.source.url}"
    if code == "missing":
        hint += ", and write what you find into towline-offers.toml"
    return Finding(code, sentence, proof.where, hint, "warning")


def _old_rates(rates: tuple[Rate, ...], today: date) -> list[Finding]:
    newest: dict[tuple[str, str], Rate] = {}
    for one in sorted(rates, key=lambda rate: rate.read):
        newest[one.base, one.quote] = one
    return [
        Finding(
            "old-rate",
            f"{one.base} to {one.quote} as of {one.read}, {(today - one.read).days} days ago",
            Where("[[rates]]"),
            f"look at {one.url}",
            "warning",
        )
        for one in newest.values()
        if (today - one.read).days > FRESH_DAYS
    ]
