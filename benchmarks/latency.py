"""The line of the latency model against every published round trip that the catalogue names: how far off it is.

No network is used. Three sets: pairs of AWS and of Azure regions (backbone; the line was not fitted to them), pairs of
rented hosts (WonderProxy; the line was fitted to 7,619 of these, so they flatter it), and the hand-chosen table of
Render and Hetzner. Under 500 km the model gives a band and no number, so there only the band is judged.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass

from figures import Goals, machine, table
from towline.catalog.links import read_latency
from towline.catalog.offers import Region
from towline.catalog.read import read_catalog
from towline.planner.latency import estimate, km, rtt

CITIES = {
    "Portland": (45.52, -122.68, "north-america"),
    "Columbus": (39.96, -83.0, "north-america"),
    "Washington": (38.9, -77.04, "north-america"),
    "Frankfurt": (50.11, 8.68, "europe"),
    "Falkenstein": (50.476, 12.37, "europe"),
    "Nuremberg": (49.452, 11.077, "europe"),
    "Helsinki": (60.17, 24.938, "europe"),
}
HOSTS = (
    ("Portland", "Falkenstein", 145.6),
    ("Portland", "Nuremberg", 143.0),
    ("Portland", "Helsinki", 158.6),
    ("Portland", "Washington", 70.7),
    ("Columbus", "Falkenstein", 102.3),
    ("Columbus", "Nuremberg", 104.7),
    ("Columbus", "Helsinki", 129.4),
    ("Columbus", "Washington", 13.2),
    ("Columbus", "Portland", 76.6),
    ("Washington", "Falkenstein", 96.7),
    ("Washington", "Nuremberg", 91.9),
    ("Washington", "Helsinki", 107.9),
    ("Frankfurt", "Falkenstein", 5.0),
    ("Frankfurt", "Nuremberg", 4.1),
    ("Frankfurt", "Helsinki", 40.7),
    ("Frankfurt", "Washington", 99.3),
    ("Frankfurt", "Portland", 140.6),
)
"""Milliseconds between rented hosts, WonderProxy 2020-07-19, as quoted beside the table of Render and Hetzner."""


@dataclass(frozen=True)
class Published:
    """One published round trip in milliseconds."""

    family: str
    a: Region
    b: Region
    ms: float


def place(name: str) -> Region:
    """A city as a place."""
    north, east, area = CITIES[name]
    return Region(name, name, north, east, area, "city centre")


def main() -> int:
    """Print every pair and the errors by set."""
    machine()
    regions = read_catalog().regions
    known = read_latency(regions)
    found = [
        Published(pair.ends[0].partition("/")[0], known.places[pair.ends[0]], known.places[pair.ends[1]], pair.ms)
        for pair in known.pairs
    ]
    found += [Published("hosts", place(a), place(b), ms) for a, b, ms in HOSTS]
    for link in known.links.values():
        first, second = (known.places[name] for name in sorted(link.between))
        found.append(Published("table", first, second, link.mid))
    rows, errors, inside = [], dict[str, list[float]](), dict[str, list[bool]]()
    for one in found:
        distance, said = km(one.a, one.b), estimate(one.a, one.b, known.line)
        if distance < known.line.same_metro_km:
            said = rtt(one.a, one.b, known)
        inside.setdefault(one.family, []).append(said.low <= one.ms <= said.high)
        error = None
        if distance >= known.line.band_only_km and said.mid is not None:
            error = 100 * abs(said.mid - one.ms) / one.ms
            errors.setdefault(one.family, []).append(error)
        shown = "-" if error is None else f"{error:.0f} %"
        mid = "band" if said.mid is None else f"{said.mid:.0f}"
        rows.append((one.family, f"{one.a.name} - {one.b.name}", f"{distance:,.0f}", f"{one.ms:g}", mid, shown))
    table(("set", "between", "km", "published ms", "line ms", "error"), rows)
    return judge(errors, inside)


def judge(errors: dict[str, list[float]], inside: dict[str, list[bool]]) -> int:
    """The errors by set, and the goals: those of the line on the whole data sets that it was not fitted to."""
    rows = [
        (family, str(len(ones)), f"{statistics.median(ones):.1f} %", f"{ninetieth(ones):.1f} %", share(inside[family]))
        for family, ones in errors.items()
    ]
    print()
    table(("set, over 500 km", "pairs", "median error", "90th percentile", "in the band"), rows)
    every = [one for ones in errors.values() for one in ones]
    clouds = errors["aws"] + errors["azure"]
    bands = [one for ones in inside.values() for one in ones]
    goals = Goals("latency")
    goals.at_most("median_error", statistics.median(every), "%", 16)
    goals.at_most("p90_error", ninetieth(every), "%", 45)
    goals.at_most("clouds_p90_error", ninetieth(clouds), "%", 45)
    goals.at_least("in_the_band", 100 * sum(bands) / len(bands), "%", 95)
    return goals.close()


def ninetieth(values: list[float]) -> float:
    """The 90th percentile, interpolated."""
    return statistics.quantiles(values, n=10, method="inclusive")[-1]


def share(held: list[bool]) -> str:
    """`97 % of 30`."""
    return f"{100 * sum(held) / len(held):.0f} % of {len(held)}"


if __name__ == "__main__":
    sys.exit(main())
