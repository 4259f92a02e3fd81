"""Services on one server: what each may grow by while the others stay; and what caps a bill without an end."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.planner_scenes import catalog, shop, usage

from towline.catalog.links import read_latency
from towline.planner.compare import Scene, Verdict, verdict
from towline.planner.compared import detail_lines, verdict_json
from towline.planner.cost import inputs_of
from towline.planner.shapes import SHAPES
from towline.planner.target import shape_of_target
from towline.spec.model import Site, Target

if TYPE_CHECKING:
    from towline.catalog.read import Catalog

BOX = "offers: {server: hetzner/server/cpx32}\n"
MANAGED = """\
users: 500
busy_hours: 300
offers: {page: vercel/plan/pro, api: render/service/standard, gen: render/service/standard,
         db: neon/plan/launch, queue: upstash/redis/payg, media: aws/s3/standard}
"""
SITES = {"page": "vercel", "api": "render", "gen": "render", "db": "neon", "queue": "upstash", "media": "s3"}


def judged(shape: str, text: str) -> Verdict:
    """The shop in one shape."""
    scene = Scene(shop(), catalog(), read_latency(catalog().regions), date(2026, 11, 22))
    found = next(one for one in SHAPES if one.key == shape)
    return verdict(scene, usage(text), found)


def bought(whole: Catalog) -> Verdict:
    """The shop as its owner placed it: each part at the provider that the usage names."""
    sites = tuple(Site(name, kind) for name, kind in SITES.items())  # type: ignore[arg-type]  # words of the test
    target = Target("live", "managed", sites, {name: (name,) for name in SITES}, None)
    scene = Scene(shop(), whole, read_latency(whole.regions), date(2026, 11, 22))
    return verdict(scene, usage(MANAGED), *shape_of_target(shop(), target, whole))


def carried(found: Verdict) -> tuple[dict[str, float], dict[str, float]]:
    """The headroom of all together, and of each alone."""
    assert found.carries is not None, found.chosen.refused
    return found.carries.headroom, dict(found.carries.alone)


def test_each_service_of_a_server_has_a_headroom_of_its_own() -> None:
    """The API and the worker share four processors: what one may grow by is what the other leaves."""
    text = BOX + "users: 200\nrequests: {cpu: 30ms}\njobs: {cpu: 900ms, seconds: 2s}"
    together, alone = carried(judged("vps", text))
    api, gen = 200 * 60 * 0.03 / 3600, 200 * 0.9 / 3600
    box = next(value for name, value in together.items() if name.startswith("processors of"))
    assert box == pytest.approx(0.7 * 4 / (api + gen))
    assert alone == {
        "api": pytest.approx((0.7 * 4 - gen) / api),
        "gen": pytest.approx((0.7 * 4 - api) / gen),
    }


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 1500), st.integers(1, 40))
def test_alone_is_never_less_than_together(users: int, cpu: int) -> None:
    """Whatever all may grow by together, each may grow by while the others stay; growing so fills the processors."""
    together, alone = carried(judged("vps", f"{BOX}users: {users}\nrequests: {{cpu: {cpu}ms}}"))
    box = next(value for name, value in together.items() if name.startswith("processors of"))
    assert alone
    assert box >= 1
    assert all(value >= box - 1e-9 for value in alone.values())


def test_a_service_with_processors_of_its_own_has_no_second_number() -> None:
    """On a platform nothing is shared, and nothing is said of it."""
    _, alone = carried(judged("managed", "users: 500"))
    assert alone == {}


def test_it_is_said_with_its_rule() -> None:
    """People read what the number means; JSON has it by service."""
    found = judged("vps", BOX)
    lines = list(detail_lines(found, inputs_of(usage(BOX))))
    assert next(line for line in lines if line.startswith("headroom of api alone: ")).endswith(
        "(the others on its processors stay at today's load)"
    )
    carries = verdict_json(found)["carries"]
    assert isinstance(carries, dict)
    assert set(carries["headroom_alone"]) == {"api", "gen"}


def test_what_caps_a_bill_is_said_by_provider() -> None:
    """A provider that stops, one that only tells, and those of which nobody tells anything are told apart."""
    risks = bought(catalog()).risks
    grows = [one for one in risks if one.startswith("grows with use: ")]
    stops = [one for one in grows if "set the cap there" in one]
    tells = [one for one in grows if "it only tells" in one]
    assert [one for one in stops if "Upstash" in one and "https://upstash.com/" in one]
    assert len(tells) == 1
    assert "Neon" in tells[0]
    nobody = [one for one in risks if one.startswith("nothing that anybody tells of caps these")]
    assert len(nobody) == 1
    assert "media" in nobody[0]
    assert not any("media" in one for one in grows)


def test_every_line_without_an_end_is_named_once() -> None:
    """No line is lost between the providers."""
    found = bought(catalog())
    assert found.chosen.bill is not None
    said = " ".join(one for one in found.risks if "grow with use" in one or "grows with use" in one)
    open_ended = [
        f"{one.owner} {one.line.meter} ("
        for one in found.chosen.bill.lines
        if not one.line.fixed and one.line.meter != "credit" and one.line.counted.amount
    ]
    assert len(open_ended) > 3
    assert all(said.count(one) == 1 for one in open_ended)


def test_a_cap_of_ones_own_counts() -> None:
    """A provider without a cap gets one in the user's own file, and the risk names it."""
    whole = catalog()
    neon = whole.providers["neon"]
    assert neon.cap is not None
    aws = replace(whole.providers["aws"], cap=replace(neon.cap, how="an alarm of ours", stops=True))
    changed = replace(whole, providers={**whole.providers, "aws": aws})
    risks = bought(changed).risks
    assert any("an alarm of ours" in one and "media" in one for one in risks)
