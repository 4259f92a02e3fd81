"""The data files to one catalogue, or to everything that is wrong with them at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import TYPE_CHECKING

from towline.catalog import parts
from towline.catalog.fields import Desk, Part
from towline.catalog.merge import merge
from towline.catalog.toml_lines import read_toml
from towline.core.errors import Finding, Findings, UsageError, Where
from towline.spec.nearest import did_you_mean, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from towline.catalog.offers import Offer, Provider, Rate, Region, Source
    from towline.catalog.toml_lines import Steps, TomlFile

OWN_FILE = "towline-offers.toml"
"""The user's own offers and overrides, beside towline.yaml."""

_NOT_OFFERS = frozenset({"latency.toml"})


@dataclass(frozen=True)
class Catalog:
    """Everything that can be bought, by name and in the order of names; `own` lists what the user's file says."""

    offers: Mapping[str, Offer] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=dict)
    regions: Mapping[str, Region] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    rates: tuple[Rate, ...] = ()
    own: frozenset[str] = frozenset()

    def offer(self, name: str) -> Offer:
        """The offer of that name; UsageError names the nearest when there is none."""
        if name in self.offers:
            return self.offers[name]
        raise UsageError(f"There is no offer `{name}`{did_you_mean(name, self.offers)}", hint="towline catalog list")

    def region(self, name: str) -> Region:
        """The region `PROVIDER/NAME`; UsageError names the provider's own when there is none."""
        if name in self.regions:
            return self.regions[name]
        provider = name.partition("/")[0]
        known = [one.rpartition("/")[2] for one in self.regions if one.startswith(f"{provider}/")]
        hint = f"regions of {provider}: {listed(known, 'and')}" if known else "towline catalog list --json"
        raise UsageError(f"There is no region `{name}`{did_you_mean(name, self.regions)}", hint=hint)

    def select(
        self, *, provider: str | None = None, serves: str | None = None, region: str | None = None
    ) -> tuple[Offer, ...]:
        """The offers of a provider, for a use, in a region; every one where nothing is asked."""
        return tuple(
            one
            for one in self.offers.values()
            if (provider is None or one.provider == provider)
            and (serves is None or serves in one.serves)
            and (region is None or self.sold_in(one, region))
        )

    def sold_in(self, offer: Offer, region: str) -> bool:
        """Whether `offer` can be had in `region`; one without regions can be had in all of its provider's."""
        return region in offer.regions or (not offer.regions and region.startswith(f"{offer.provider}/"))


def read_catalog(own: Path | None = None) -> Catalog:
    """The built-in catalogue with the user's file over it; Findings with file and line for all that is wrong."""
    catalog, findings = look(built_in(), None if own is None else open_own(own))
    if any(one.level == "error" for one in findings):
        refused = Findings(tuple(findings))
        refused.hint = "towline catalog check" if own is None else f"towline catalog check {own}"
        raise refused
    return catalog


def built_in() -> list[TomlFile]:
    """The data files of the package, by name."""
    folder = files("towline.catalog") / "data"
    found = sorted((one for one in folder.iterdir() if one.name.endswith(".toml")), key=lambda one: one.name)
    return [read_toml(one.read_text("utf-8"), one.name) for one in found if one.name not in _NOT_OFFERS]


def own_file(folder: Path, named: Path | None) -> Path | None:
    """The file that `--offers` names, else the one in `folder`, else none; UsageError when a named one is not there."""
    if named is not None and not named.is_file():
        raise UsageError(f"There is no file {named}", hint=f"name one that exists, or write {OWN_FILE}")
    beside = folder / OWN_FILE
    return named or (beside if beside.is_file() else None)


def open_own(path: Path) -> TomlFile:
    """The user's file as read; UsageError when it cannot be opened or is no text."""
    try:
        return read_toml(path.read_text("utf-8"), path.name)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no UTF-8 text"
        raise UsageError(f"{path} cannot be read: {reason}", where=Where(str(path))) from None


def look(base: Sequence[TomlFile], own: TomlFile | None) -> tuple[Catalog, list[Finding]]:
    """What the files say, and every mistake in them; the catalogue holds what could be used."""
    everything = [*base, *((own,) if own is not None else ())]
    document, findings = merge(base, own)
    desk = Desk(lambda path: _where(everything, path))
    desk.findings += [one for file in everything for one in file.findings] + findings
    catalog = _catalog(document, desk)
    _check_names(catalog, desk)
    mine = frozenset(_names(own)) if own is not None else frozenset()
    return replace(catalog, own=mine), desk.findings


def _catalog(document: dict[str, Any], desk: Desk) -> Catalog:
    def each(section: str) -> list[Part]:
        return [Part(value, (section, name), desk) for name, value in sorted(document[section].items())]

    sources = {one.name: one for part in each("sources") if (one := parts.source(part))}
    rates = [Part(value, ("rates", index), desk) for index, value in document["rates"]]
    providers = {one.name: one for one in map(parts.provider, each("providers"))}
    offers = [parts.offer(part, sources, document["prices"]) for part in each("offers")]
    parts.check_unused(document, sources, desk)
    return Catalog(
        offers={one.name: _billed(one, providers.get(one.provider)) for one in offers},
        providers=providers,
        regions=_placed({one.name: one for one in map(parts.region, each("regions"))}, desk),
        sources=sources,
        rates=tuple(one for one in map(parts.rate, rates) if one),
    )


def _billed(offer: Offer, provider: Provider | None) -> Offer:
    return offer if provider is None else replace(offer, currency=provider.currency, vat=provider.vat)


def _placed(regions: dict[str, Region], desk: Desk) -> dict[str, Region]:
    """Regions that are `same_as` another stand where that one stands."""
    found = {}
    for name, one in regions.items():
        there = regions.get(one.same_as) if one.same_as else one
        if there is None:
            desk.complain("unknown-region", f"There is no region `{one.same_as}`", ("regions", name, "same_as"))
            continue
        moved = replace(there, name=name, title=one.title or there.title, same_as=one.same_as)
        found[name] = one if there is one else moved
    return found


def _check_names(catalog: Catalog, desk: Desk) -> None:
    for name, one in catalog.offers.items():
        if one.provider not in catalog.providers:
            close = did_you_mean(one.provider, catalog.providers)
            hint = f"add `[providers.{one.provider}]`, or begin the name with a provider that there is"
            desk.complain("unknown-provider", f"There is no provider `{one.provider}`{close}", ("offers", name), hint)
        for region in one.regions:
            if region not in catalog.regions:
                desk.complain("unknown-region", f"There is no region `{region}`", ("offers", name, "regions"))
        for needed in one.needs:
            if needed not in catalog.offers:
                desk.complain("unknown-offer", f"There is no offer `{needed}`", ("offers", name, "needs"))


def _names(own: TomlFile) -> list[str]:
    offers = own.value.get("offers")
    return list(offers) if isinstance(offers, dict) else []


def _where(files_read: Sequence[TomlFile], path: Steps) -> Where:
    deepest = max((file.depth(path) for file in files_read), default=0)
    holder = [file for file in files_read if file.depth(path) == deepest]
    return holder[-1].where(path) if holder else Where("towline-offers.toml")
