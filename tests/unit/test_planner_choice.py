"""Choosing: what does not fit is refused with its numbers, and what fits better is taken."""

from __future__ import annotations

from datetime import date

from tests.unit.artifact_scenes import service, store
from tests.unit.planner_scenes import catalog, shop, usage

from towline.planner.choose import cheapest, judge
from towline.planner.market import World
from towline.planner.purchase import Choice, Purchase
from towline.planner.shapes import Shape, shape_of


def shape(key: str) -> Shape:
    found = shape_of(key)
    assert found is not None
    return found


def test_a_job_longer_than_the_platform_allows_is_refused_with_numbers() -> None:
    """A worker with jobs of ten minutes is not put where it would be stopped after five; a server lets it finish."""
    app = shop(services=(service("api"), service("gen", "worker", max_job=600.0)))
    managed = cheapest(World.of(app, usage("", app), catalog()), shape("render"))
    assert managed.choice is None
    assert any("a job may take 10 min 0 s" in why and "after 5 min 0 s" in why for why in managed.refused)
    assert cheapest(World.of(app, usage("", app), catalog()), shape("hybrid")).choice is not None


def test_memory_that_does_not_fit_moves_to_a_larger_machine() -> None:
    """The overlap of a deploy counts: what fits idle and not during a deploy is not chosen."""
    small = cheapest(World.of(shop(), usage("memory: {gen: 500MB}"), catalog()), shape("vps"))
    large = cheapest(World.of(shop(), usage("memory: {gen: 1500MB}"), catalog()), shape("vps"))
    assert small.choice is not None
    assert large.choice is not None
    first, second = (one.purchases[0].offer for one in (small.choice, large.choice))
    assert first is not None
    assert second is not None
    assert (first.limit("memory") or 0) < (second.limit("memory") or 0)


def test_the_panel_has_a_weight() -> None:
    """With a panel on it a machine carries less."""
    text = "memory: {gen: 1000MB}"
    bare, panel = (cheapest(World.of(shop(), usage(text), catalog()), shape(key)) for key in ("vps", "vps-coolify"))
    assert bare.bill is not None
    assert panel.bill is not None
    assert bare.bill.total.amount < panel.bill.total.amount


def test_connections_that_do_not_fit() -> None:
    """Pools of ten copies overflow a small database; the sum is told."""
    text = "pool: {api: 30, gen: 30}"
    found = cheapest(World.of(shop(), usage(text), catalog()), shape("render"))
    assert found.choice is not None
    assert found.choice.of("db") is not None
    database = found.choice.of("db")
    assert database is not None
    assert database.offer is not None
    assert (database.offer.limit("connections") or 0) >= 2 * 30 + 2 * 30
    none = cheapest(World.of(shop(), usage("pool: {api: 300, gen: 300}"), catalog()), shape("render"))
    assert any("connections during a deploy" in why for why in none.refused)


def test_free_offers_are_judged_by_their_rules() -> None:
    """A queue worker in a sleeping container, and a queue without persistence, are refused unless accepted."""
    free = "offers: {container: render/service/free}\n"
    refused = cheapest(World.of(shop(), usage(free), catalog()), shape("combined"))
    assert refused.choice is None
    assert any("jobs wait until a request comes" in why for why in refused.refused)
    accepted = cheapest(World.of(shop(), usage(f"{free}accept: [sleeps]"), catalog()), shape("combined"))
    assert accepted.choice is not None
    assert any("jobs wait until a request comes" in one.sentence for one in accepted.risks)


def test_what_ends_is_told_with_its_day() -> None:
    """A free database taken today is refused with the days on which it closes and is deleted; accepted it is a risk."""
    choice = Choice((Purchase("db", catalog().offer("render/postgres/free"), None, ("db",)),))
    days = "ends on 2026-12-22, and its data is gone on 2027-01-05"
    refused, accepted = (
        judge(World.of(shop(), usage(text), catalog(), date(2026, 11, 22)), choice)
        for text in ("", "accept: [expires, no-backups]")
    )
    assert any(days in why for why in refused.refused)
    assert any(days in one.sentence for one in accepted.soft)


def test_what_is_paused_is_told_with_its_day() -> None:
    """A free project that nobody uses for a week is paused a week from today at the earliest."""
    choice = Choice((Purchase("db", catalog().offer("supabase/compute/nano"), None, ("db",)),))
    world = World.of(shop(), usage("idle_days: 8"), catalog(), date(2026, 11, 22))
    rules = [one for one in judge(world, choice).refused if "paused" in one]
    assert rules
    assert all("on 2026-11-29 at the earliest" in one for one in rules)


def test_what_keeps_data_and_is_no_known_store_needs_a_server() -> None:
    """A stateful service has no home in a managed shape, and says so."""
    app = shop(services=(service("api"), service("search", "stateful")))
    found = cheapest(World.of(app, usage("", app), catalog()), shape("managed"))
    assert found.refused == ("`search` keeps data of its own, and nothing managed runs it",)


def test_a_single_worker_cannot_be_many() -> None:
    """More load than one copy carries is refused for a worker that never runs twice."""
    app = shop(services=(service("api"), service("gen", "worker", single=True)), stores=(store("db", "postgres"),))
    found = cheapest(World.of(app, usage("users: 5000", app), catalog()), shape("vps"))
    assert any("never runs twice" in why for why in found.refused)


def test_nothing_is_bought_on_another_continent() -> None:
    """A cheaper server across an ocean is left out where one is sold nearby, and the kilometres are told."""
    found = cheapest(World.of(shop(), usage("near: render/virginia"), catalog()), shape("hybrid"))
    assert found.choice is not None
    assert {one.region.area for one in found.choice.purchases if one.region is not None} == {"north-america"}
    pinned = usage("near: render/virginia\noffers: {server: hetzner/server/cx23}")
    forced = cheapest(World.of(shop(), pinned, catalog()), shape("hybrid"))
    assert forced.choice is not None
    assert forced.choice.purchases[0].place.startswith("hetzner/")


def test_a_load_beyond_all_planning_is_refused_at_once() -> None:
    """A trillion users are no use of a small team's: refused in words, and not computed for hours."""
    found = cheapest(World.of(shop(), usage("users: 100000000000"), catalog()), shape("vps"))
    assert found.choice is None
    assert any("at most 10,000 are planned for" in why for why in found.refused)
