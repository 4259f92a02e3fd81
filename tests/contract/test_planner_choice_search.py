"""Choosing: the cheapest is the cheapest, more load never costs less, and order of input never matters."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.artifact_scenes import service, store
from tests.unit.planner_scenes import catalog, cut, shop, usage

from towline.planner import choose
from towline.planner.choose import cheapest, judge, weighed
from towline.planner.market import World, candidates, slots_of
from towline.planner.purchase import Choice
from towline.planner.shapes import SHAPES, Shape, shape_of

WORLD_OFFERS = (
    (
        "hetzner/server/cx23",
        "hetzner/server/cpx22",
        "digitalocean/droplet/s-1vcpu-2gb",
        "digitalocean/droplet/s-2vcpu-4gb",
        "linode/instance/linode-4gb",
    ),
    ("render/service/starter", "render/service/standard", "render/service/pro"),
    ("render/static/free",),
    ("vercel/plan/pro",),
    ("render/postgres/basic-256mb", "render/postgres/basic-1gb", "neon/plan/launch"),
    ("supabase/compute/micro", "supabase/compute/small"),
    ("upstash/redis/payg", "upstash/redis/fixed-250mb", "render/redis/starter"),
    ("cloudflare/r2/standard", "backblaze/b2/pay-as-you-go", "digitalocean/spaces/base", "aws/s3/standard"),
)
"""What small worlds are made of, by the kind of part."""


APPS = (
    shop(),
    shop(services=(service("api"),), stores=(store("db", "postgres"),)),
    shop(
        services=(service("api"), service("gen", "worker")), stores=(store("db", "postgres"), store("media", "bucket"))
    ),
)


def shape(key: str) -> Shape:
    found = shape_of(key)
    assert found is not None
    return found


def by_brute_force(world: World, of: Shape, monkeypatch: pytest.MonkeyPatch) -> Decimal | None:
    """The least total of every combination of every offer that fits, none left out."""
    with monkeypatch.context() as patch:
        patch.setattr(choose, "_undominated", tuple)
        found = [candidates(world, of, slot)[0] for slot in slots_of(world.app, of)[0]]
        filled = weighed(world, of.intake, found) if all(found) else ((),)
    totals = []
    for each in itertools.product(*filled):
        judged = judge(world, Choice(tuple(one.purchase for one in each), of.intake))
        if not judged.refused:
            totals.append((judged.bill.lower_bound, judged.bill.total.amount))
    return min(totals)[1] if totals else None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), users=st.integers(0, 3000), key=st.sampled_from([one.key for one in SHAPES]))
def test_the_cheapest_is_the_cheapest(seed: int, users: int, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In small worlds with prices at random, the search finds what trying everything finds."""
    world = small_world(seed, users)
    if not fits(world, key):
        return
    chosen = cheapest(world, shape(key))
    found = None if chosen.bill is None else chosen.bill.total.amount
    assert found == by_brute_force(world, shape(key), monkeypatch)


def small_world(seed: int, users: int) -> World:
    """A few offers for each kind of part, at prices of the dice's, for one of three apps with traffic of the dice's."""
    dice = random.Random(seed)
    names = [name for kind in WORLD_OFFERS for name in dice.sample(kind, min(len(kind), 3))]
    times = {name: Decimal(dice.randint(1, 40)) / 10 for name in names}
    times |= {"supabase/plan/pro": Decimal(dice.choice((0, 1))), "render/workspace/hobby": Decimal(1)}
    app = dice.choice(APPS)
    traffic = f"out: {dice.choice((200, 20_000))}kB"
    text = f"users: {users}\njobs: {{per_user_hour: 0.2, in: 200kB, cpu: 20ms, {traffic}}}\nrequests: {{cpu: 2ms}}\n"
    text += f"statement: {{reply: {dice.choice((1, 100))}kB}}\naccept: [quota]"
    return World.of(app, usage(text, app), cut(names, times))


def test_small_worlds_are_worth_trying() -> None:
    """Most of them can hold the app, in more than one way, so that the search has something to miss."""
    found = [cheapest(small_world(seed, 10 * seed), shape("managed")) for seed in range(10)]
    assert sum(one.choice is not None for one in found) >= 8
    names = {tuple(p.offer.name for p in one.choice.purchases if p.offer) for one in found if one.choice}
    assert len(names) >= 4


def fits(world: World, key: str) -> bool:
    """Whether the small world has the panel that a shape needs."""
    panel = shape(key).panel
    return panel is None or panel in world.catalog.offers


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000), st.sampled_from(["vps", "hybrid", "render", "managed"]))
def test_more_load_never_lowers_the_bill(a: int, b: int, key: str) -> None:
    """The cheapest that holds more users costs at least as much; what holds no fewer may hold no more."""
    few, many = sorted((a, b))
    less, more = (cheapest(World.of(shop(), usage(f"users: {n}"), catalog()), shape(key)) for n in (few, many))
    if more.bill is None:
        return
    assert less.bill is not None
    assert less.bill.total.amount <= more.bill.total.amount


@pytest.mark.parametrize("key", ["vps", "hybrid", "managed"])
def test_order_of_input_never_matters(key: str) -> None:
    """Services, stores and offers in another order: the same purchases at the same price."""
    app = shop()
    turned = replace(app, services=app.services[::-1], stores=app.stores[::-1])
    mixed = replace(catalog(), offers=dict(reversed(list(catalog().offers.items()))))
    one = cheapest(World.of(app, usage(), catalog()), shape(key))
    other = cheapest(World.of(turned, usage(), mixed), shape(key))
    assert one.bill is not None
    assert other.bill is not None
    assert one.choice is not None
    assert other.choice is not None
    assert one.bill.total == other.bill.total
    names = [sorted((p.name, p.offer.name) for p in c.purchases if p.offer) for c in (one.choice, other.choice)]
    assert names[0] == names[1]


def test_a_dearer_server_with_more_traffic_in_it_can_win() -> None:
    """4 TB out: 6 USD more for the machine save 9 USD of traffic, so the cheaper machine must not hide it."""
    names = ("digitalocean/droplet/s-2vcpu-2gb", "digitalocean/droplet/s-2vcpu-4gb")
    world = World.of(shop(), usage("backups: false\npages: {size: 100MB}"), cut(names))
    found = cheapest(world, shape("vps"))
    assert found.choice is not None
    assert found.choice.purchases[0].offer is not None
    assert found.choice.purchases[0].offer.name == names[1]
