"""What changes between today and a release, and what it costs more: from the parts alone."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.planner_scenes import catalog, shop, usage

from towline.catalog.links import read_latency
from towline.planner.changes import Change, Copies, Today, changes
from towline.planner.compare import Scene
from towline.planner.outlook import Aim, Outlook, outlook
from towline.planner.outlook_shown import outlook_json, outlook_lines
from towline.planner.purchase import Machine
from towline.spec.model import Site, Target

GB = 10**9
NAMES = ("page", "api", "gen", "db", "queue", "media")


def target(kind: str = "render", **options: str) -> Target:
    """Everything of the shop on one site, the bucket where buckets are."""
    away = {"media": ("files",)} if kind == "render" else {}
    sites = [Site("one", kind, options)]  # type: ignore[arg-type]  # a word of the test's own
    if away:
        sites.append(Site("files", "s3"))
    place: dict[str, tuple[str, ...]] = {name: away.get(name, ("one",)) for name in NAMES}
    return Target("live", "laptop" if kind == "local" else "managed", tuple(sites), place, None)


def running(**counts: int) -> tuple[Copies, ...]:
    """The shop as it runs, each once but for what is named; 0 is not there."""
    made = {"page": 0, **dict.fromkeys(NAMES[1:], 1)} | counts
    return tuple(Copies(name, count, ("r1",)) for name, count in made.items() if count or name == "page")


def seen(today: Today, after: tuple[Copies, ...], **changed: object) -> Outlook:
    """The outlook of the shop at one platform."""
    scene = Scene(shop(), catalog(), read_latency(catalog().regions), date(2026, 11, 22))
    text = "offers: {api: render/service/starter, gen: render/service/starter}"
    return outlook(scene, usage(text), Aim(target(region="frankfurt"), today, after, **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (None, Copies("api", 2), "new, 2 copies"),
        (None, Copies("page", 0, ("f1",)), "new"),
        (Copies("api", 1), None, "goes, 1 copy"),
        (Copies("api", 1, ("a",)), Copies("api", 1, ("a",)), "stays"),
        (Copies("api", 1, ("a",)), Copies("api", 1, ("b",)), "changed"),
        (Copies("api", 1, ("a",)), Copies("api", 1), "stays"),
        (Copies("api", 1, ("a",)), Copies("api", 3, ("b",)), "1 copy to 3, changed"),
        (Copies("api", 2, ("a",), GB), Copies("api", 2, ("a",), GB // 2), "1.0 GB to 500 MB a copy"),
        (Copies("page", 0, ("f1",)), Copies("page", 0, ("f2",)), "changed"),
    ],
)
def test_words(before: Copies | None, after: Copies | None, said: str) -> None:
    """Each kind of change has its words."""
    assert Change("one", before, after).sentence == said


def test_what_goes_comes_last() -> None:
    """Services and stores in the order of the release, then those that it no longer has."""
    found = changes(Today(1, (Copies("old", 1), Copies("b", 1))), (Copies("a", 1), Copies("b", 1)))
    assert [one.name for one in found] == ["a", "b", "old"]


def test_a_copy_more_costs_an_instance_more() -> None:
    """Today's bill and the release's differ by what the second worker costs, and by nothing else."""
    found = seen(Today(3, running()), running(gen=2))
    assert found.more is not None
    assert found.more.amount == Decimal(7)
    assert [one.name for one in found.changes if not one.stays] == ["gen"]
    before, after = found.memory
    assert after - before == 256_000_000


def test_the_same_again_costs_the_same() -> None:
    """A release that changes nothing changes no amount."""
    found = seen(Today(3, running()), running())
    assert found.more is not None
    assert found.more.amount == 0
    assert all(one.stays for one in found.changes)


def test_nothing_is_claimed_of_a_site_that_nobody_asked() -> None:
    """Where today is not known, no part is called new, and no amount is compared with."""
    found = seen(Today(known=False), running())
    assert (found.before, found.more) == (None, None)
    assert {one.sentence for one in found.changes} == {"1 copy", "built files"}
    text = "\n".join(outlook_lines(found, assumed=False))
    assert text.startswith("what the release makes; what runs there today is not known\n")
    assert "nothing runs today" not in text
    plain = outlook_json(found, None)
    assert plain["today"] == {"known": False, "release": None, "runs": None}


def test_a_first_release_costs_its_whole_bill() -> None:
    """Nothing runs today, so nothing is paid today."""
    found = seen(Today(), running())
    assert found.before is not None
    assert found.before.amount == 0
    assert found.more == found.after


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_more_copies_never_cost_less(api: int, gen: int, more: int) -> None:
    """Whatever runs, copies on top never lower the bill or the memory."""
    found = seen(Today(1, running(api=api, gen=gen)), running(api=api, gen=gen + more))
    assert found.more is not None
    assert found.more.amount >= 0
    before, after = found.memory
    assert after - before == more * 256_000_000


def test_a_part_that_is_gone_from_the_files() -> None:
    """A store that only runs is told to go, weighs what such a thing does, and breaks no sum."""
    found = seen(Today(2, (*running(), Copies("cache", 1, ("r1",)))), running())
    assert found.changes[-1] == Change("cache", Copies("cache", 1, ("r1",), 256_000_000), None)
    assert found.more is not None


def test_this_machine() -> None:
    """On a laptop nothing is paid, no way costs a round trip, and memory is what is there."""
    scene = Scene(shop(), catalog(), read_latency(catalog().regions), date(2026, 11, 22))
    roomy, tight = (
        outlook(scene, usage(), Aim(target("local"), Today(), running(), Machine(memory, 2))).verdict
        for memory in (8 * GB, GB)
    )
    assert roomy.total == 0
    way = roomy.estimate.way("request")
    assert way is not None
    assert (way.low, way.high) == (20.0, 20.0)
    assert roomy.carries is not None
    assert roomy.carries.memory is not None
    assert roomy.carries.memory.fits
    assert roomy.carries.headroom["processors of one"] == pytest.approx(
        2 * 0.7 / (100 * 60 * 0.02 / 3600 + 100 * 0.2 / 3600)
    )
    assert any("of memory during a deploy" in one for one in tight.unmet)
    assert not any("of memory during a deploy" in one for one in roomy.unmet)
