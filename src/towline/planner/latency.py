"""How long a round trip between two places takes: low, mid and high, and how that is known. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt
from statistics import median
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.catalog.links import LatencyTable, Line, Link
    from towline.catalog.offers import Region

Method = Literal["measured", "table", "published pair", "same metro", "line", "band"]

EARTH_KM = 6371.0088
"""Mean radius of the Earth (IUGG)."""

_CORE = frozenset({"north-america", "europe"})

ROUND_TRIPS: dict[str, float] = {
    "statement": 1,
    "command": 1,
    "pop": 0.5,
    "poll": 1,
    "redis-connection": 3,
    "postgres-connection": 5,
}
"""Round trips of what programs do over a link, from the protocols: a warm statement or command; the answer of a
blocking pop travels one way; a new TLS connection of Redis (TCP, TLS 1.3, AUTH) and of Postgres (TCP, SSLRequest,
TLS 1.3, authentication, ready). Drivers that send several at once need fewer."""


@dataclass(frozen=True)
class Rtt:
    """A round trip in milliseconds. `mid` is None where only the band from `low` to `high` can be said."""

    low: float
    mid: float | None
    high: float
    method: Method
    basis: str

    def times(self, round_trips: float, extra_ms: float = 0.0) -> Rtt:
        """The same for so many round trips one after the other, and milliseconds that do not depend on distance."""
        mid = None if self.mid is None else self.mid * round_trips + extra_ms
        return Rtt(self.low * round_trips + extra_ms, mid, self.high * round_trips + extra_ms, self.method, self.basis)

    def __str__(self) -> str:
        band = f"{self.low:.3g} to {self.high:.3g} ms"
        return f"{band} ({self.method})" if self.mid is None else f"{self.mid:.3g} ms, {band} ({self.method})"


def km(a: Region, b: Region) -> float:
    """Great-circle kilometres (haversine)."""
    p, q = radians(a.north), radians(b.north)
    h = sin((q - p) / 2) ** 2 + cos(p) * cos(q) * sin(radians(b.east - a.east) / 2) ** 2
    return 2 * EARTH_KM * asin(min(1.0, sqrt(h)))


def fibre_ms(distance: float, line: Line) -> float:
    """The least that a round trip over `distance` km can take: light in fibre, straight."""
    return 2 * distance / line.fibre_km_per_ms


def rtt(a: Region, b: Region, table: LatencyTable, measured: Mapping[frozenset[str], float] | None = None) -> Rtt:
    """The best that is known of the round trip between `a` and `b`, in the order of `Method`.

    `measured` holds milliseconds that the user measured, by the names of both places; such a value wins over all.
    """
    ends = frozenset({a.name, b.name})
    own = (measured or {}).get(ends)
    if own is not None:
        return Rtt(own, own, own, "measured", "your own measurement")
    known = table.links.get(ends) or _neighbour(a, b, table)
    if known is not None:
        return Rtt(known.low, known.mid, known.high, "table", known.basis)
    distance = km(a, b)
    if distance < table.line.same_metro_km:
        return Rtt(*table.line.same_metro, "same metro", f"{distance:.0f} km apart")
    return _published(a, b, distance, table) or estimate(a, b, table.line)


def estimate(a: Region, b: Region, line: Line) -> Rtt:
    """The line alone, for two places that nothing is published about; under `band_only_km` it gives no mid."""
    distance = km(a, b)
    low, high = _band(a, b, distance, line)
    basis = f"{distance:,.0f} km on the great circle"
    if distance < line.band_only_km:
        return Rtt(low, None, high, "band", f"{basis}: too near for the line, so measure it: ping")
    mid = max(fibre_ms(distance, line), line.base + line.per_km * distance)
    return Rtt(low, mid, high, "line", basis)


def _neighbour(a: Region, b: Region, table: LatencyTable) -> Link | None:
    """The link of the table between the same two towns: regions of two providers often stand in one."""
    within = table.line.same_metro_km
    for ends, link in table.links.items():
        first, second = (table.places[name] for name in sorted(ends))
        if max(km(a, first), km(b, second)) < within or max(km(a, second), km(b, first)) < within:
            return link
    return None


def _band(a: Region, b: Region, distance: float, line: Line) -> tuple[float, float]:
    low = line.low_factor * fibre_ms(distance, line)
    if {a.area, b.area} <= _CORE:
        return low, line.core_high_base + line.core_high_per_km * distance
    return low, line.high_base + line.high_per_km * distance


def _published(a: Region, b: Region, distance: float, table: LatencyTable) -> Rtt | None:
    """The median of the published pairs whose ends lie near both places; None when there is none."""
    found = [pair for pair in table.pairs if _near(a, b, pair.ends, table) or _near(b, a, pair.ends, table)]
    values = [pair.ms for pair in found if pair.ms >= fibre_ms(distance, table.line)]
    if not values:
        return None
    low, high = _band(a, b, distance, table.line)
    basis = ", ".join(f"{' to '.join(pair.ends)} {pair.ms:g} ms ({pair.source.read})" for pair in found)
    return Rtt(min(low, *values), median(values), max(high, *values), "published pair", basis)


def _near(a: Region, b: Region, ends: tuple[str, str], table: LatencyTable) -> bool:
    first, second = table.places[ends[0]], table.places[ends[1]]
    return km(a, first) <= table.line.near_km and km(b, second) <= table.line.near_km
