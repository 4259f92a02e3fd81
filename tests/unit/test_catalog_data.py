"""The built-in data: complete, dated, in range, and the same figures that other parts of the program rely on."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from towline.catalog.offers import CONFIDENCES, LIMITS, METERS, SERVES, Evidence
from towline.catalog.read import Catalog, built_in, look
from towline.catalog.show import offer_json, price_text

PROVIDERS = {
    "aws", "backblaze", "betterstack", "cloudflare", "coolify", "digitalocean", "dokploy", "fly", "github", "hetzner",
    "linode", "neon", "railway", "render", "sentry", "supabase", "upstash", "uptimerobot", "vercel", "vultr",
}  # fmt: skip


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The built-in catalogue, which has no mistakes."""
    found, findings = look(built_in(), None)
    assert findings == []
    return found


def proofs(catalog: Catalog) -> list[Evidence]:
    """The evidence of every number."""
    found: list[Evidence] = []
    for offer in catalog.offers.values():
        found += [one.evidence for one in offer.prices.values()]
        found += [one.evidence for one in offer.limits.values()]
        found += [one.evidence for one in offer.rules]
    return found


def test_every_provider_is_there(catalog: Catalog) -> None:
    """All providers have offers, and every offer is of one of them."""
    assert set(catalog.providers) == PROVIDERS
    assert {one.provider for one in catalog.offers.values()} == PROVIDERS


def test_every_number_has_a_source_a_date_and_a_confidence(catalog: Catalog) -> None:
    """No price, limit or rule stands without a link, a day, and how well it is known."""
    found = proofs(catalog)
    assert len(found) > 800
    assert all(one.source.url and one.read > date(2020, 1, 1) for one in found)
    assert {one.confidence for one in found} <= set(CONFIDENCES) - {"own"}
    assert all(one.source.until is None or one.source.read <= one.source.until for one in found)


def test_unknown_is_said_in_both_places(catalog: Catalog) -> None:
    """An amount is unknown exactly where its confidence says that nobody says it; nothing unknown is a zero."""
    for offer in catalog.offers.values():
        for one in offer.prices.values():
            assert (one.amount is None) == (one.evidence.confidence == "missing"), (offer.name, one.meter)
    missing = {one.name for one in catalog.offers.values() if any(p.amount is None for p in one.prices.values())}
    assert {"render/service/pro-plus", "render/postgres/basic-4gb", "render/disk/ssd", "render/redis/pro"} <= missing


def test_a_zero_is_a_gift_and_not_a_gap(catalog: Catalog) -> None:
    """Prices of 0 are only on plans that are free, flat, or whose traffic the vendor gives away."""
    zeros = {
        offer.name
        for offer in catalog.offers.values()
        if any(one.amount == 0 and len(one.tiers) == 1 for one in offer.prices.values())
    }
    kinds = {name.rpartition("/")[2].partition("-")[0] for name in zeros}
    assert kinds <= {
        "free", "hobby", "nano", "pay", "standard", "infrequent", "fixed", "developer", "team", "own",
    }, kinds  # fmt: skip


def test_words_are_used(catalog: Catalog) -> None:
    """Every meter, limit and use in the vocabulary occurs in the data."""
    offers = catalog.offers.values()
    assert {meter for one in offers for meter in one.prices} == set(METERS)
    assert {word for one in offers for word in one.serves} == set(SERVES)
    assert {name for one in offers for name in one.limits} <= set(LIMITS)


def test_regions_lie_where_their_names_say(catalog: Catalog) -> None:
    """Coordinates are in the part of the world that the region says."""
    boxes = {
        "north-america": (15, 60, -170, -50),
        "south-america": (-56, 15, -85, -34),
        "europe": (35, 71, -25, 45),
        "asia": (-10, 55, 45, 150),
        "oceania": (-50, 0, 110, 180),
        "africa": (-35, 37, -20, 52),
    }
    for one in catalog.regions.values():
        south, north, west, east = boxes[one.area]
        assert south <= one.north <= north, one
        assert west <= one.east <= east, one
        assert one.evidence


def test_limits_of_machines_are_plausible(catalog: Catalog) -> None:
    """What runs code has at least 0.25 GB of memory, and a bigger plan of a family costs more."""
    for one in catalog.select(serves="server"):
        assert one.limit("stop") == Decimal("Infinity")
        assert (one.limit("memory") or 0) >= Decimal("0.5")
        assert one.regions or one.provider in {"linode", "vultr"}
    for family in (
        "render/service/",
        "hetzner/server/cx",
        "hetzner/server/ccx",
        "digitalocean/droplet/",
        "supabase/compute/",
    ):
        sized = sorted(
            (one.limit("memory") or Decimal(0), one.prices["instance"].amount)
            for name, one in catalog.offers.items()
            if name.startswith(family) and not name.endswith("-sin") and one.prices["instance"].amount is not None
        )
        assert [amount for _, amount in sized] == sorted(amount for _, amount in sized if amount is not None), family


def test_the_stop_limit_that_workers_need(catalog: Catalog) -> None:
    """A platform for workers says how long a program may finish; where nobody says, it is unknown."""
    assert catalog.offer("render/service/starter").limit("stop") == 300
    assert catalog.offer("fly/machine/shared-cpu-1x-1gb").limit("stop") is None
    assert "stop" in catalog.offer("railway/plan/pro").limits
    assert catalog.offer("railway/plan/pro").limit("stop") is None


def test_what_a_reader_sees(catalog: Catalog) -> None:
    """A price is one short text with its unit, what is included and what is contested."""
    texts = {
        ("render/workspace/hobby", "egress"): "0.15 USD per GB after 5 GB",
        ("hetzner/server/cx33", "backup"): "20 % of instance",
        ("uptimerobot/plan/team-100", "fee"): "29 USD per month (also seen: 33)",
        ("backblaze/b2/pay-as-you-go", "egress"): "0.01 USD per GB after 3 times the storage",
        ("cloudflare/r2/standard", "storage"): "0.015 USD per GB-month after 10 GB-month, rounded up",
        ("render/workspace/pro", "egress"): "0.15 USD per GB, after an unknown amount",
        ("render/cron/starter", "instance"): "7 USD per month, at least 1",
    }
    for (name, meter), text in texts.items():
        offer = catalog.offer(name)
        assert price_text(offer.prices[meter], offer.currency) == text


def test_json_keeps_numbers_exact(catalog: Catalog) -> None:
    """Amounts are texts, unknown is null, and unlimited is a word."""
    shown = offer_json(catalog.offer("backblaze/b2/pay-as-you-go"))
    prices = shown["prices"]
    assert isinstance(prices, dict)
    assert prices["storage"]["tiers"] == [{"above": "0", "amount": "0.00695"}]
    limits = offer_json(catalog.offer("hetzner/server/cx33"))["limits"]
    assert isinstance(limits, dict)
    assert limits["stop"]["value"] == "unlimited"
    unknown = offer_json(catalog.offer("render/disk/ssd"))["prices"]
    assert isinstance(unknown, dict)
    assert unknown["storage"]["tiers"][0]["amount"] is None
