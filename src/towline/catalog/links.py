"""What is published about round trips between places: a table, pairs of cloud regions, and a line for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from towline.catalog import parts
from towline.catalog.fields import Desk, Part
from towline.catalog.toml_lines import read_toml
from towline.core.errors import Findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.catalog.offers import Region, Source


@dataclass(frozen=True)
class Line:
    """Milliseconds from kilometres; every figure with its meaning in `latency.toml`."""

    base: float
    per_km: float
    high_base: float
    high_per_km: float
    core_high_base: float
    core_high_per_km: float
    low_factor: float
    fibre_km_per_ms: float
    same_metro_km: float
    same_metro: tuple[float, float, float]
    band_only_km: float
    near_km: float


@dataclass(frozen=True)
class Link:
    """A pair in the table: milliseconds, and the published figures that they are chosen from."""

    between: frozenset[str]
    low: float
    mid: float
    high: float
    basis: str


@dataclass(frozen=True)
class Pair:
    """A published round trip between two regions of one cloud, or between two rented hosts, in milliseconds."""

    ends: tuple[str, str]
    ms: float
    source: Source


@dataclass(frozen=True)
class LatencyTable:
    """Everything published that estimates are made from, and `hosts`, which they are only compared with."""

    line: Line
    links: Mapping[frozenset[str], Link]
    pairs: tuple[Pair, ...]
    places: Mapping[str, Region]
    hosts: tuple[Pair, ...] = ()


def read_latency(regions: Mapping[str, Region]) -> LatencyTable:
    """The table of the package; `regions` gives the coordinates of the places that it names."""
    return latency_of((files("towline.catalog") / "data" / "latency.toml").read_text("utf-8"), regions)


def latency_of(text: str, regions: Mapping[str, Region]) -> LatencyTable:
    """The table in `text`; Findings for all that is wrong with it."""
    file = read_toml(text, "latency.toml")
    desk = Desk(file.where)
    desk.findings += file.findings
    value = file.value
    sources = {name: parts.source(Part(one, ("sources", name), desk)) for name, one in value.get("sources", {}).items()}
    own = {name: parts.region(Part(one, ("places", name), desk)) for name, one in value.get("places", {}).items()}
    places = {**regions, **own}
    line = _line(Part(value.get("line", {}), ("line",), desk))
    pairs, hosts = (
        [_pair(Part(one, (key, index), desk), sources) for index, one in enumerate(value.get(key, []))]
        for key in ("pairs", "hosts")
    )
    links = [_link(Part(one, ("links", index), desk), sources) for index, one in enumerate(value.get("links", []))]
    named = {name for pair in (*pairs, *hosts) if pair for name in pair.ends} | {
        name for one in links for name in one.between
    }
    for name in sorted(named - set(places)):
        desk.complain("unknown-region", f"There is no place `{name}`", ("places",))
    if desk.findings:
        raise Findings(tuple(desk.findings))
    known, beside = (tuple(one for one in ones if one) for ones in (pairs, hosts))
    return LatencyTable(line, {one.between: one for one in links}, known, places, beside)


def _line(part: Part) -> Line:
    metro = part.get("same_metro", required=True)
    numbers = {name: _number(part, name) for name in Line.__dataclass_fields__ if name != "same_metro"}
    part.end()
    low, mid, high = (float(one) for one in metro) if isinstance(metro, list) and len(metro) == 3 else (0.0, 0.0, 0.0)
    return Line(**numbers, same_metro=(low, mid, high))


def _pair(part: Part, sources: Mapping[str, Source | None]) -> Pair | None:
    ends, ms, name = part.words("between"), _number(part, "ms"), part.choice("source", sources, required=True)
    part.end()
    source = sources.get(name)
    return Pair((ends[0], ends[1]), ms, source) if len(ends) == 2 and source is not None else None


def _link(part: Part, sources: Mapping[str, Any]) -> Link:
    part.choice("source", sources, required=True)
    found = Link(
        between=frozenset(part.words("between")),
        low=_number(part, "low"),
        mid=_number(part, "mid"),
        high=_number(part, "high"),
        basis=part.text("basis", required=True),
    )
    if not found.low <= found.mid <= found.high:
        part.refuse("low, mid and high in rising order are wanted")
    part.end()
    return found


def _number(part: Part, key: str) -> float:
    return float(part.number(key, required=True) or Decimal(0))
