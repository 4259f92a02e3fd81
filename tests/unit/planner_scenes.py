"""Apps to be placed, their usage, and catalogues cut down to a few offers."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.unit.artifact_scenes import ROOT, service, store

from towline.catalog.read import Catalog, read_catalog
from towline.planner.usage_file import Known, usage_of
from towline.spec.model import App

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from towline.catalog.offers import Offer
    from towline.planner.usage import Usage


@cache
def catalog() -> Catalog:
    """The built-in catalogue, read once."""
    return read_catalog()


def shop(**changes: Any) -> App:
    """A page, an API, a worker, and the three kinds of stores."""
    plain = App(
        name="shop",
        root=ROOT,
        services=(service("page", "static"), service("api"), service("gen", "worker", max_job=60.0)),
        stores=(store("db", "postgres"), store("queue", "redis", use="queue"), store("media", "bucket")),
        bindings=(),
        release=None,
        job=None,
    )
    return replace(plain, **changes)


def usage(text: str = "", app: App | None = None) -> Usage:
    """The usage in `text`, for the shop unless another app is given."""
    of = app or shop()
    known = Known(tuple(one.name for one in of.services), tuple(one.name for one in of.stores), ("cloud", "box"))
    return usage_of(text, "usage.yaml", known, catalog())


def cut(names: Iterable[str], times: Mapping[str, Decimal] | None = None) -> Catalog:
    """The catalogue with these offers only, and the accounts that they need; `times` multiplies what each costs."""
    whole, factors = catalog(), times or {}
    kept = set(names)
    kept |= {need for name in kept for need in whole.offers[name].needs}
    found = {name: one for name, one in whole.offers.items() if name in kept}
    return replace(whole, offers={name: _times(one, factors.get(name, Decimal(1))) for name, one in found.items()})


def _times(offer: Offer, factor: Decimal) -> Offer:
    """The offer with its machine and its fee so many times as dear."""
    prices = dict(offer.prices)
    for meter in {"instance", "fee"} & set(prices):
        price = prices[meter]
        tiers = tuple(replace(one, amount=None if one.amount is None else one.amount * factor) for one in price.tiers)
        prices[meter] = replace(price, tiers=tiers)
    return replace(offer, prices=prices)
