"""The line of the latency model against every published round trip that the catalogue names: how far off it is.

No network is used. Three sets: pairs of AWS and of Azure regions (backbone; the line was not fitted to them), pairs of
rented hosts (WonderProxy; the line was fitted to 7,619 of these, so they flatter it), and the hand-chosen table of
Render and Hetzner. Under 500 km the model gives a band and no number, so there only the band is judged.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from figures import Goals, machine, table
from towline.catalog.links import read_latency
from towline.catalog.read import read_catalog
from towline.planner.latency import estimate, km, rtt
from towline.planner.percentile import quantile

if TYPE_CHECKING:
    from towline.catalog.offers import Region


@dataclass(frozen=True)
class Published:
    """One published round trip in milliseconds."""

    family: str
    a: Region
    b: Region
    ms: float


def main() -> int:
    """Print every pair and the errors by set."""
    machine()
    regions = read_catalog().regions
    known = read_latency(regions)
    found = [
        Published(pair.ends[0].partition("/")[0], known.places[pair.ends[0]], known.places[pair.ends[1]], pair.ms)
        for pair in (*known.pairs, *known.hosts)
    ]
    for link in known.links.values():
        first, second = (known.places[name] for name in sorted(link.between))
        found.append(Published("table", first, second, link.mid))
    rows, errors, inside, under = [], dict[str, list[float]](), dict[str, list[bool]](), list[bool]()
    for one in found:
        distance, said = km(one.a, one.b), estimate(one.a, one.b, known.line)
        if distance < known.line.same_metro_km:
            said = rtt(one.a, one.b, known)
        inside.setdefault(one.family, []).append(said.low <= one.ms <= said.high)
        under.append(one.ms <= quantile((said.low, said.mid, said.high), 0.95))
        error = None
        if distance >= known.line.band_only_km and said.mid is not None:
            error = 100 * abs(said.mid - one.ms) / one.ms
            errors.setdefault(one.family, []).append(error)
        shown = "-" if error is None else f"{error:.0f} %"
        mid = "band" if said.mid is None else f"{said.mid:.0f}"
        rows.append((one.family, f"{one.a.name} - {one.b.name}", f"{distance:,.0f}", f"{one.ms:g}", mid, shown))
    table(("set", "between", "km", "published ms", "line ms", "error"), rows)
    print(f"\n{len(found)} pairs: all that the catalogue names")
    return judge(errors, inside, under)


def judge(errors: dict[str, list[float]], inside: dict[str, list[bool]], under: list[bool]) -> int:
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
    # What the band promises: its high end is a 90th percentile.
    goals.at_least("in_the_band", 100 * sum(bands) / len(bands), "%", 90)
    goals.at_least("under_p95", 100 * sum(under) / len(under), "%", 95)
    return goals.close()


def ninetieth(values: list[float]) -> float:
    """The 90th percentile, interpolated."""
    return statistics.quantiles(values, n=10, method="inclusive")[-1]


def share(held: list[bool]) -> str:
    """`97 % of 30`."""
    return f"{100 * sum(held) / len(held):.0f} % of {len(held)}"


if __name__ == "__main__":
    sys.exit(main())
