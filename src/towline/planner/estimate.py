"""How long the main ways through an app take where it is placed: low, mid and high milliseconds, and the sum. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING

from towline.planner.latency import ROUND_TRIPS, rtt
from towline.planner.percentile import percentile_of_sum
from towline.planner.traffic import doorbell_of, parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from towline.catalog.links import LatencyTable
    from towline.catalog.offers import Region
    from towline.catalog.read import Catalog
    from towline.planner.capacity import WorkerCapacity
    from towline.planner.percentile import Points
    from towline.planner.purchase import Choice
    from towline.planner.usage import Usage
    from towline.spec.model import App

PAGE_TRIPS = 3
"""Round trips of a first page: TCP, TLS 1.3, and the request."""


@dataclass(frozen=True)
class Hop:
    """One part of a way: milliseconds, and how they are known. `mid` is None where only a band can be said.

    `link` names the two places of round trips: those of one link are slow together.
    """

    what: str
    low: float
    mid: float | None
    high: float
    how: str
    link: str = ""


@dataclass(frozen=True)
class Way:
    """One way through the app: the sum of its hops; `unknown` are parts whose place nobody publishes."""

    name: str
    hops: tuple[Hop, ...]
    unknown: tuple[str, ...] = ()

    @property
    def low(self) -> float:
        """The least, in milliseconds."""
        return sum(one.low for one in self.hops)

    @property
    def mid(self) -> float | None:
        """What is to be expected; None where one hop is only a band."""
        known = [one.mid for one in self.hops if one.mid is not None]
        return sum(known) if len(known) == len(self.hops) else None

    @property
    def high(self) -> float:
        """The high end: the 90th percentile of what is published, or of the wait."""
        return sum(one.high for one in self.hops)

    @property
    def p95(self) -> float | None:
        """What 95 in 100 estimates like this one stay under, over places and not over time.

        None where something other than round trips varies: nobody says how waits go together with distances.
        """
        links: dict[str, list[Hop]] = {}
        for one in self.hops:
            if not one.link and one.low != one.high:
                return None
            links.setdefault(one.link, []).append(one)
        return percentile_of_sum([_together(ones) for ones in links.values()], 0.95)


def _together(hops: Sequence[Hop]) -> Points:
    known = [one.mid for one in hops if one.mid is not None]
    mid = sum(known) if len(known) == len(hops) else None
    return sum(one.low for one in hops), mid, sum(one.high for one in hops)


@dataclass(frozen=True)
class Estimate:
    """The ways by name: `page`, `request`, `query`, `pickup`, `job`, `whole`; those that the app has."""

    ways: tuple[Way, ...]

    def way(self, name: str) -> Way | None:
        """The way of that name; None where the app has none."""
        return next((one for one in self.ways if one.name == name), None)


@dataclass(frozen=True)
class Ground:
    """What estimates are made on. `at_home`: all of it, and who uses it, is on this machine."""

    choice: Choice
    usage: Usage
    table: LatencyTable
    catalog: Catalog
    at_home: bool = False

    def trips(self, start: str | None, end: str | None, count: float, what: str) -> tuple[list[Hop], list[str]]:
        """So many round trips between two parts; `users` is where most users are."""
        if start is None or end is None or not count:
            return [], []
        here, there = self.choice.of(start), self.choice.of(end)
        if self.at_home or (here is not None and here is there):
            return [Hop(what, 0.0, 0.0, 0.0, "the same machine")], []
        first = here.region if here is not None else self._users()
        second = there.region if there is not None else self._users()
        if (here is None and start != "users") or (there is None and end != "users") or first is None or second is None:
            lost = there if here is not None and first is not None else here
            return [], [f"{what}: nobody says where {lost.provider if lost is not None else end} keeps it"]
        found = rtt(first, second, self.table, self.usage.measured_ms).times(count)
        trips = "1 round trip" if count == 1 else f"{count:g} round trips"
        ends = f"{first.name} to {second.name}"
        how, link = f"{trips}, {ends}: {found.method}, {found.basis}", " - ".join(sorted((first.name, second.name)))
        return [Hop(what, found.low, found.mid, found.high, how, link)], []

    def _users(self) -> Region:
        return self.catalog.regions[self.usage.near]


def estimate(app: App, ground: Ground, capacity: WorkerCapacity | None) -> Estimate:
    """Every way through `app`; `capacity` gives the wait in the line."""
    if any(one.offer is None for one in ground.choice.purchases) and not ground.at_home:
        return Estimate(())
    parts, usage = parts_of(app, ground.usage), ground.usage
    ways = [_way("page", [ground.trips("users", parts.static or parts.web, PAGE_TRIPS, "first page")])]
    cpu = _fixed("computing", float(usage.requests.cpu), "as the usage says")
    if parts.web is not None:
        to_database = float(usage.requests.statements) * ROUND_TRIPS["statement"]
        ways.append(
            _way(
                "request",
                [
                    ground.trips("users", parts.web, 1, "to the API"),
                    ground.trips(parts.web, parts.database, to_database, "statements"),
                    ground.trips(parts.web, next(iter(parts.redis), None), float(usage.requests.commands), "commands"),
                    ([cpu], []),
                ],
            )
        )
        ways.append(_way("query", [ground.trips(parts.web, parts.database, ROUND_TRIPS["statement"], "one statement")]))
    if parts.worker is not None:
        ways += _of_jobs(app, ground, capacity)
    ways = [one for one in ways if one.hops]
    if parts.web is not None and parts.worker is not None:
        whole = [hop for one in ways if one.name in {"request", "pickup", "job"} for hop in one.hops]
        unknown = tuple(lost for one in ways for lost in one.unknown)
        ways.append(Way("whole", tuple(whole), tuple(dict.fromkeys(unknown))))
    return Estimate(tuple(ways))


def _of_jobs(app: App, ground: Ground, capacity: WorkerCapacity | None) -> list[Way]:
    parts, usage = parts_of(app, ground.usage), ground.usage
    worker, database = parts.worker, parts.database
    bell = doorbell_of(parts, usage)
    queue = parts.queue.name if parts.queue is not None else None
    look = Hop("pause between looks", 0.0, 500 * float(usage.jobs.look), 1000 * float(usage.jobs.look), "jobs.look")
    pickup: list[tuple[list[Hop], list[str]]] = []
    if ground.choice.intake == "outbox" and queue is not None:
        pickup += [([look], []), ground.trips(queue, database, 1, "the relay reads the outbox")]
    elif queue is not None:
        pickup.append(ground.trips(parts.web, queue, 1, "the API writes to the queue"))
    if bell.name == "postgres" or queue is None:
        pickup += [([look], []), ground.trips(worker, database, 1, "the worker claims")]
    else:
        pickup.append(ground.trips(queue, worker, ROUND_TRIPS["pop"], "the queue answers the worker"))
    wait: list[Hop] = []
    if capacity is not None:
        waits = 1000 * capacity.mean_wait, 1000 * max(capacity.mean_wait, capacity.target_wait)
        wait = [Hop("wait in the line", 0.0, *waits, "Erlang C, Allen-Cunneen")]
    files = bool(usage.jobs.size_in) + bool(usage.jobs.size_out)
    job = [
        ground.trips(worker, database, float(usage.jobs.statements), "statements"),
        ground.trips(worker, parts.bucket, files, "files"),
        ([_fixed("work", float(usage.jobs.seconds), "as the usage says")], []),
    ]
    return [_way("pickup", [*pickup, (wait, [])]), _way("job", job)]


def _fixed(what: str, seconds: float, how: str) -> Hop:
    return Hop(what, 1000 * seconds, 1000 * seconds, 1000 * seconds, how)


def _way(name: str, parts: Sequence[tuple[list[Hop], list[str]]]) -> Way:
    return Way(name, tuple(hop for hops, _ in parts for hop in hops), tuple(lost for _, ones in parts for lost in ones))


def _plain(milliseconds: float | None) -> float | None:
    return None if milliseconds is None or isinf(milliseconds) else round(milliseconds, 1)


def as_json(found: Estimate) -> Mapping[str, object]:
    """The ways as plain data: milliseconds; null where there is no number, or none that ends."""
    return {
        one.name: {
            "low_ms": _plain(one.low),
            "mid_ms": _plain(one.mid),
            "high_ms": _plain(one.high),
            "p95_ms": _plain(one.p95),
            "hops": [
                {
                    "what": hop.what,
                    "low_ms": _plain(hop.low),
                    "mid_ms": _plain(hop.mid),
                    "high_ms": _plain(hop.high),
                    "how": hop.how,
                }
                for hop in one.hops
            ],
            "unknown": list(one.unknown),
        }
        for one in found.ways
    }
