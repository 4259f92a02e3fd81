"""Round trips: the order of methods, the line, its band, and what no estimate may be."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.catalog.links import LatencyTable, Pair, latency_of, read_latency
from towline.catalog.offers import Region
from towline.catalog.read import Catalog, read_catalog
from towline.core.errors import Findings
from towline.planner.latency import estimate, fibre_ms, km, rtt

CATALOG = read_catalog()
TABLE = read_latency(CATALOG.regions)
NAMES = sorted(CATALOG.regions)

places = st.builds(
    lambda north, east, area: Region(f"{north} {east}", "", north, east, area, ""),
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.sampled_from(["north-america", "europe", "asia"]),
)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The built-in catalogue."""
    return CATALOG


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    """What is published."""
    return TABLE


@given(places, places)
def test_distance_is_one(a: Region, b: Region) -> None:
    """The distance is the same both ways, none from a place to itself, and at most half way round the Earth."""
    assert km(a, b) == pytest.approx(km(b, a), abs=1e-6)
    assert km(a, a) == pytest.approx(0, abs=1e-6)
    assert 0 <= km(a, b) <= 20_016


@given(places, places)
def test_nothing_is_faster_than_light(a: Region, b: Region) -> None:
    """Low, mid and high rise, and none of them is below light in straight fibre."""
    said = estimate(a, b, TABLE.line)
    assert fibre_ms(km(a, b), TABLE.line) <= said.low <= said.high
    assert said.mid is None or said.low <= said.mid <= said.high
    assert (said.mid is None) == (km(a, b) < 500)


@given(st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_any_two_regions_have_an_answer(first: str, second: str) -> None:
    """Every pair of regions has a band with a method and a basis, the same from either end."""
    a, b = CATALOG.regions[first], CATALOG.regions[second]
    said = rtt(a, b, TABLE)
    assert said == rtt(b, a, TABLE)
    assert 0 < said.low <= said.high
    assert said.basis


def test_the_order_of_methods(catalog: Catalog, table: LatencyTable) -> None:
    """Measured, table (also for the same towns), published pair, same metro, band, line: the first that knows."""
    expected = {
        ("render/oregon", "hetzner/fsn1"): ("table", 145),
        ("supabase/eu-central-1", "hetzner/fsn1"): ("table", 5),
        ("vercel/iad1", "supabase/eu-central-1"): ("table", 93),
        ("supabase/eu-north-1", "upstash/us-west-2"): ("published pair", 155),
        ("render/frankfurt", "supabase/eu-central-1"): ("same metro", 1.5),
        ("fly/ams", "supabase/eu-central-1"): ("band", None),
        ("digitalocean/nyc1", "supabase/us-west-1"): ("line", pytest.approx(73, abs=1)),
    }
    for (first, second), (method, mid) in expected.items():
        said = rtt(catalog.region(first), catalog.region(second), table)
        assert (said.method, said.mid) == (method, mid), (first, second, said)
    ends = frozenset({"render/oregon", "hetzner/fsn1"})
    own = rtt(catalog.region("hetzner/fsn1"), catalog.region("render/oregon"), table, {ends: 151.0})
    assert (own.method, own.low, own.mid, own.high) == ("measured", 151, 151, 151)


def test_under_500_km_there_is_no_number(catalog: Catalog, table: LatencyTable) -> None:
    """Near places have a band and the advice to measure."""
    said = rtt(catalog.region("fly/ams"), catalog.region("vultr/fra"), table)
    assert said.mid is None
    assert "measure" in said.basis
    assert str(said).startswith("4.")
    assert "(band)" in str(said)


def test_the_line_is_the_published_one(table: LatencyTable) -> None:
    """13.0 + 0.01466 d, with a narrow high end between North America and Europe only."""
    a = Region("a", "", 0, 0, "north-america", "")
    b = Region("b", "", 0, 60, "europe", "")
    far = Region("b", "", 0, 60, "asia", "")
    said, wide = estimate(a, b, table.line), estimate(a, far, table.line)
    distance = km(a, b)
    assert said.mid == pytest.approx(12.998 + 0.01466 * distance)
    assert said.high == pytest.approx(29.584 + 0.016 * distance)
    assert wide.high == pytest.approx(50.249 + 0.02239 * distance)


def test_round_trips_add_up(catalog: Catalog, table: LatencyTable) -> None:
    """Ten statements cost ten round trips and the time of the bytes, at low, mid and high."""
    one = rtt(catalog.region("render/oregon"), catalog.region("hetzner/fsn1"), table)
    ten = one.times(10, 400)
    assert (ten.low, ten.mid, ten.high) == (1800, 1850, 2060)
    near = estimate(catalog.region("fly/ams"), catalog.region("vultr/fra"), table.line).times(2)
    assert near.mid is None


def test_every_published_figure_is_possible(table: LatencyTable) -> None:
    """No figure of the table or of a pair is below light in fibre; each link's own estimate stands in its band."""
    for pair in table.pairs:
        a, b = (table.places[name] for name in pair.ends)
        assert pair.ms > fibre_ms(km(a, b), table.line)
    for link in table.links.values():
        a, b = (table.places[name] for name in link.between)
        assert link.low > fibre_ms(km(a, b), table.line)
        assert link.low <= link.mid <= link.high


def test_a_broken_table_is_told_whole() -> None:
    """All mistakes of the file at once, with lines."""
    text = '[line]\nbase = 1\n[[links]]\nbetween = ["a", "b"]\nlow = 3\nmid = 2\nhigh = 4\nsource = "x"\nbasis = "y"\n'
    with pytest.raises(Findings) as refused:
        latency_of(text, {})
    said = [str(one.where) + " " + one.sentence for one in refused.value.findings]
    assert any("latency.toml:1 `per_km` is missing in `line`" in one for one in said)
    assert any("low, mid and high in rising order" in one for one in said)
    assert any("There is no place `a`" in one for one in said)


FIGURE = re.compile(r"(?<![\w.+-])(?:([A-Za-z][\w.-]*) )?(\d+(?:\.\d+)?)(?![\w.-])")
SHORT = {"gwc": "germanywestcentral"}


def named_by(basis: str) -> list[tuple[str, str, float]]:
    """What a basis quotes: whose figure, between what (empty where it does not say), and how many milliseconds."""
    found = []
    parts = re.split(r"(WonderProxy|AWS|Azure)", re.sub(r"\+ \d+", "", basis))
    for whose, rest in zip(parts[1::2], parts[2::2], strict=True):
        own = rest.partition(";")[0]
        if "bucket" not in own:
            found += [(whose.lower(), ends, float(ms)) for ends, ms in FIGURE.findall(own)]
    return found


def test_the_package_holds_every_pair_that_its_table_names() -> None:
    """Each figure that a link was chosen from stands in the data too, so that the line can be held against it."""
    known = {(one.source.url, frozenset(end.partition("/")[2] for end in one.ends)): one.ms for one in all_pairs()}
    values = {(frozenset(end.partition("/")[0] for end in one.ends), one.ms) for one in all_pairs()}
    quoted = [one for link in TABLE.links.values() for one in named_by(link.basis)]
    assert len(quoted) >= 50
    for whose, ends, ms in quoted:
        assert (frozenset({whose}), ms) in values, (whose, ends, ms)
        names = [SHORT.get(end, end).lower() for end in re.split(r"\.\.|-", ends) if end]
        if ".." in ends:
            between = frozenset(SHORT.get(end, end) for end in ends.split(".."))
            assert ms in [value for (_, pair), value in known.items() if pair == between], (whose, ends, ms)
        elif whose == "wonderproxy" and len(names) == 2:
            assert ms in [value for (_, pair), value in known.items() if pair == frozenset(names)], (whose, ends, ms)


def test_how_many_pairs_there_are() -> None:
    """Nine of AWS, ten of Azure, seventeen of rented hosts, thirty of the table: none was lost."""
    families = [one.ends[0].partition("/")[0] for one in all_pairs()]
    assert {name: families.count(name) for name in set(families)} == {"aws": 9, "azure": 10, "wonderproxy": 17}
    assert len(TABLE.links) == 30


def all_pairs() -> tuple[Pair, ...]:
    """The published pairs, those of rented hosts among them."""
    return (*TABLE.pairs, *TABLE.hosts)
