"""Comparing: the recommendation fits the wishes, every loser is told why, and the page holds what was computed."""

from __future__ import annotations

import itertools
import re
from datetime import date
from decimal import Decimal
from functools import cache
from xml.etree import ElementTree as ET

import pytest
from tests.unit.artifact_scenes import service
from tests.unit.planner_scenes import catalog, shop, usage

from towline.catalog.links import read_latency
from towline.core.errors import UsageError
from towline.planner.capacity import WaitTarget, Workers, worker_capacity
from towline.planner.compare import Comparison, Scene, compare
from towline.planner.compared import comparison_json, detail_lines, sweep_json
from towline.planner.page import page
from towline.planner.plots import LINE_HEIGHT, _spread
from towline.planner.shapes import SHAPES
from towline.planner.sizing import job_load
from towline.planner.sweep import around, sweep, tiers, users_of

TODAY = date(2026, 11, 22)


def scene(**changes: object) -> Scene:
    return Scene(shop(**changes), catalog(), read_latency(catalog().regions), TODAY)


@cache
def compared(text: str = "") -> Comparison:
    return compare(scene(), usage(text))


def by_key(found: Comparison, key: str) -> object:
    return next(one for one in found.verdicts if one.shape.key == key)


def test_every_shape_is_there_and_every_loser_has_a_reason() -> None:
    """No shape is dropped in silence, and only the recommended one has no reason against it."""
    found = compared()
    assert sorted(one.shape.key for one in found.verdicts) == sorted(one.key for one in SHAPES)
    assert found.recommended is found.verdicts[0]
    assert all(one.lost for one in found.verdicts if one is not found.recommended)
    assert found.recommended.lost == ""


def test_the_recommended_one_is_the_cheapest_that_meets_the_wishes() -> None:
    """Nothing that meets every wish is cheaper."""
    for text in ("", "wishes: {availability: 99.9}", "wishes: {backups: true}", "wishes: {area: europe, growth: 5}"):
        found = compared(text)
        assert found.recommended is not None
        fits = [one.total for one in found.verdicts if one.feasible and not one.unmet]
        assert found.recommended.total == min(fits)


def test_one_server_cannot_promise_what_rebuilding_it_takes() -> None:
    """99.9 % of a month leave 44 minutes: less than building a server anew, so shapes with one miss the wish."""
    found = compared("wishes: {availability: 99.9}")
    for one in found.verdicts:
        if one.effort.servers:
            assert any(
                "99.9 % allow 43 min 48 s a month, and building the one server anew takes 2.0 h" in u for u in one.unmet
            )
    assert found.recommended is not None
    assert found.recommended.effort.servers == 0


def test_a_budget_that_nothing_meets_names_the_cheapest_and_the_dearest_wish() -> None:
    """The advice says the cheapest that meets the rest, and which wish to give up."""
    found = compared("wishes: {budget: $5, availability: 99.9, area: europe}")
    assert found.recommended is None
    first, second = found.advice
    rest = compared("wishes: {availability: 99.9, area: europe}").recommended
    assert rest is not None
    assert rest.chosen.bill is not None
    assert first.endswith(f"({rest.shape.key}) at {rest.chosen.bill.total}")
    assert second.startswith("the wish that costs most is availability")


def test_the_laptop_and_the_exposed_queue_are_never_recommended() -> None:
    """However cheap: one is reached by nobody, the other by everybody."""
    found = compared("wishes: {budget: $1}")
    assert found.recommended is None
    reasons = {one.shape.key: one.unmet for one in found.verdicts}
    assert "only this machine reaches it" in reasons["laptop"]
    assert "a private store would be reachable from the internet" in reasons["hybrid-queue"]


def test_capacity_is_that_of_the_formulas() -> None:
    """The jobs an hour of a placement are those of its slots and copies."""
    found = compared("users: 400\njobs: {seconds: 32.5, cv: 0.1}")
    for one in found.verdicts:
        if one.carries is not None and one.carries.worker is not None:
            expected = worker_capacity(
                job_load(usage("users: 400\njobs: {seconds: 32.5, cv: 0.1}")),
                Workers(5, one.carries.copies),
                WaitTarget(10.0, 0.95),
            )
            assert one.carries.worker == expected
            assert one.carries.worker.at_target >= 400


def test_ways_sum_their_hops() -> None:
    """What a way takes is the sum of its parts, and low is never above high."""
    for one in compared().verdicts:
        for way in one.estimate.ways:
            assert way.low == sum(hop.low for hop in way.hops)
            assert way.low <= way.high
            assert way.mid is None or way.low <= way.mid <= way.high


def test_a_measured_round_trip_wins() -> None:
    """What the user measured between two regions is what the estimate uses."""
    text = "near: hetzner/nbg1\nmeasured: {render/frankfurt hetzner/nbg1: 77ms}\n"
    text += "requests: {statements: 0, commands: 0, cpu: 0s}"
    found = next(one for one in compared(text).verdicts if one.shape.key == "render")
    way = found.estimate.way("request")
    assert way is not None
    assert (way.low, way.mid, way.high) == (77.0, 77.0, 77.0)


def test_the_outbox_hybrid_writes_no_job_over_the_link() -> None:
    """The queue is not reached from the API: the relay asks the database; the exposed one is written to directly."""
    ways = {
        key: next(one for one in compared().verdicts if one.shape.key == key).estimate.way("pickup")
        for key in ("hybrid", "hybrid-queue")
    }
    hops = {key: [hop.what for hop in way.hops] for key, way in ways.items() if way is not None}
    assert "the relay reads the outbox" in hops["hybrid"]
    assert "the API writes to the queue" in hops["hybrid-queue"]
    assert "the API writes to the queue" not in hops["hybrid"]


def test_an_app_without_a_worker() -> None:
    """Without jobs there is no capacity of workers and no way of a job, and still a comparison."""
    found = compare(scene(services=(service("api"),)), usage("", shop(services=(service("api"),))))
    assert found.recommended is not None
    assert found.recommended.carries is not None
    assert found.recommended.carries.worker is None
    assert found.recommended.estimate.way("job") is None


@pytest.mark.parametrize("text", ["users=0..5", "users=9..3", "jobs=1..2", "users=1..9:1", "users=1..9:999", "x"])
def test_bad_ranges(text: str) -> None:
    """A range that cannot be swept says how one is written."""
    with pytest.raises(UsageError, match=r"range|points"):
        users_of(text)


def test_a_sweep_covers_its_range() -> None:
    """From the first number to the last, evenly in their ratio."""
    assert users_of("users=10..5000:4") == (10, 79, 630, 5000)
    assert around(usage("users: 100"))[0] == 10
    points = sweep(scene(), usage(), (10, 400))
    found = tiers(points)
    assert found[0].first == 10
    assert found[-1].last == 400
    for early, late in zip(points[0].comparison.verdicts, points[1].comparison.verdicts, strict=True):
        assert early is not late
    totals = [{one.shape.key: one.total for one in point.comparison.verdicts} for point in points]
    assert all(totals[0][key] <= totals[1][key] for key in totals[0])


def test_json_has_every_line_and_sums() -> None:
    """The total in the JSON is the sum of its lines, and amounts are texts."""
    document = comparison_json(compared())
    for shape in document["shapes"]:  # type: ignore[attr-defined]  # a list of dicts
        bill = shape["bill"]
        assert Decimal(bill["total"]) == sum((Decimal(line["counted"]) for line in bill["lines"]), Decimal(0))
    assert document["recommended"] == "vps"
    assert sweep_json((), ()) == {"tiers": [], "points": []}


def test_details_hold_the_inputs() -> None:
    """Beside the total stands what it rests on."""
    found = compared()
    assert found.recommended is not None
    text = "\n".join(detail_lines(found.recommended, found.inputs))
    assert "users at work 100" in text
    assert "of memory during a deploy" in text
    assert "a single point of failure" in text
    assert "idle workers ask 788,400 commands a month (redis)" in text


def test_the_page_stands_alone() -> None:
    """No script, nothing fetched, every plot well-formed, every placement and every line of the bill in it."""
    points = sweep(scene(), usage(), (10, 100, 1000))
    text = page("shop", TODAY, compared(), points)
    assert "<script" not in text
    assert not re.search(r'(src|href)="', text)
    drawn = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawn) == 3
    for one in drawn:
        ET.fromstring(one)
    assert "prefers-color-scheme:dark" in text
    for verdict in compared().verdicts:
        assert f"<b>{verdict.shape.key}</b>" in text
    best = compared().recommended
    assert best is not None
    assert best.chosen.bill is not None
    assert text.count(str(best.chosen.bill.total)) >= 2


def test_names_on_the_page_are_escaped() -> None:
    """A name is text, whatever it holds."""
    assert "<b>x" not in page("<b>x", TODAY, compared(), ()).split("</title>")[0]


def test_labels_never_lie_on_each_other() -> None:
    """Names that want one height are put a line apart, inside the plot."""
    found = _spread([(100.0, name) for name in "abcdefg"] + [(370.0, "z")], 10, 360)
    heights = sorted(found.values())
    assert all(b - a >= LINE_HEIGHT for a, b in itertools.pairwise(heights))
    assert heights[-1] <= 360


def test_copies_inside_a_server_are_counted_where_they_ask() -> None:
    """Six workers on one server block on a Redis elsewhere six times as often as one; their sweeper is one."""
    text = "users: 2000\njobs: {seconds: 30s, slots: 3}"
    found = next(one for one in compared(text).verdicts if one.shape.key == "vps-stores")
    assert found.carries is not None
    assert found.carries.copies > 1
    assert f"idle workers ask {525_600 * found.carries.copies + 262_800:,} commands" in found.carries.idle
