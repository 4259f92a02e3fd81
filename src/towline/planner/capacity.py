"""Load to waits, jobs an hour, users, connections and memory: what a placement carries, with its assumptions. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isinf
from typing import TYPE_CHECKING

from towline.core.units import show_bytes, show_seconds
from towline.planner.queueing import Queue

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR = 3600.0
TEN_TIMES = 10.0
"""The growth that a placement is asked about: where would it break at ten times today's load?"""

_STEPS = 60
"""Halvings of an interval: 60 leave less than one part in 10 to the 18th of it."""


@dataclass(frozen=True)
class Load:
    """Jobs of one kind: how many in the busiest hour, and how long one takes, in seconds.

    The cv are standard deviation through mean. Arrivals from many independent users are 1; a job that always takes
    about the same has 0.1 to 0.3, one that may take anything 1.
    """

    jobs_per_hour: float
    service: float
    service_cv: float = 1.0
    arrival_cv: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.jobs_per_hour < inf and 0 < self.service < inf):
            raise ValueError(f"no load: {self.jobs_per_hour} jobs an hour of {self.service} seconds")


@dataclass(frozen=True)
class Workers:
    """`copies` of a worker with `slots` jobs at a time each, all fed from one queue."""

    slots: int
    copies: int = 1

    @property
    def total(self) -> int:
        """Jobs at a time."""
        return self.slots * self.copies


@dataclass(frozen=True)
class WaitTarget:
    """`part` of the jobs begin within `seconds`."""

    seconds: float
    part: float = 0.95

    def __post_init__(self) -> None:
        if self.seconds < 0 or not 0 < self.part < 1:
            raise ValueError(f"no target: {self.part} of the jobs within {self.seconds} seconds")


@dataclass(frozen=True)
class WorkerCapacity:
    """What workers carry. Waits in seconds, infinite where the load cannot be served.

    `highest` is the jobs an hour at which every slot is always busy, `at_target` at which the target just holds;
    `headroom` is `at_target` through the load: below 1 the target is missed now. `copies_for_ten_times` would hold the
    target at ten times the load.
    """

    load: float
    mean_wait: float
    target_wait: float
    highest: float
    at_target: float
    headroom: float
    copies_for_ten_times: int

    @property
    def stands_ten_times(self) -> bool:
        """Whether the target holds at ten times the load as things are."""
        return self.headroom >= TEN_TIMES


def queue_of(load: Load, workers: Workers) -> Queue:
    """The queue that these workers are, in seconds."""
    return Queue(workers.total, load.jobs_per_hour / HOUR, load.service, load.service_cv, load.arrival_cv)


def worker_capacity(load: Load, workers: Workers, target: WaitTarget) -> WorkerCapacity:
    """What `workers` make of `load`, and how much more they would carry."""
    queue = queue_of(load, workers)
    limit = jobs_at_target(load, workers, target)
    return WorkerCapacity(
        load=queue.load,
        mean_wait=queue.mean_wait,
        target_wait=queue.wait(target.part),
        highest=workers.total * HOUR / load.service,
        at_target=limit,
        headroom=limit / load.jobs_per_hour if load.jobs_per_hour else inf,
        copies_for_ten_times=copies_needed(
            replace(load, jobs_per_hour=TEN_TIMES * load.jobs_per_hour), workers, target
        ),
    )


def jobs_at_target(load: Load, workers: Workers, target: WaitTarget) -> float:
    """The most jobs an hour for which the waiting target holds; found by halving, since waits only grow with load."""
    low, high = 0.0, workers.total * HOUR / load.service
    for _ in range(_STEPS):
        middle = (low + high) / 2
        wait = queue_of(replace(load, jobs_per_hour=middle), workers).wait(target.part)
        low, high = (middle, high) if wait <= target.seconds else (low, middle)
    return low


def copies_needed(load: Load, workers: Workers, target: WaitTarget) -> int:
    """The fewest copies of this worker that hold the target under `load`; at least 1."""
    least = max(1, int(load.jobs_per_hour * load.service / HOUR / workers.slots))
    copies = least
    while queue_of(load, Workers(workers.slots, copies)).wait(target.part) > target.seconds:
        copies += 1
    return copies


@dataclass(frozen=True)
class Users:
    """How many people a number of jobs an hour serves, and the assumption that this rests on."""

    concurrent: int
    assumption: str


def users(jobs_per_hour: float, jobs_per_user_hour: float) -> Users:
    """The people who can be at work at once when each starts so many jobs an hour; ValueError below or at 0."""
    if jobs_per_user_hour <= 0:
        raise ValueError("a user starts more than 0 jobs an hour, else nothing limits the number of users")
    count = int(jobs_per_hour / jobs_per_user_hour)
    return Users(
        count, f"each starts {jobs_per_user_hour:g} jobs an hour, evenly; {jobs_per_hour:.0f} jobs an hour fit"
    )


@dataclass(frozen=True)
class Pool:
    """One service's connections to a database: each of `instances` opens up to `size`."""

    service: str
    instances: int
    size: int


@dataclass(frozen=True)
class ConnectionBudget:
    """Connections at the worst moment of a deploy against what the database allows; `limit` None where unknown."""

    needed: int
    limit: int | None
    parts: tuple[tuple[str, int], ...]

    @property
    def fits(self) -> bool | None:
        """Whether they fit; None where the limit is unknown."""
        return None if self.limit is None else self.needed <= self.limit

    @property
    def sentence(self) -> str:
        """The sum that a reader can do again."""
        summed = " + ".join(f"{count} {name}" for name, count in self.parts)
        allowed = "an unknown number" if self.limit is None else f"{self.limit}"
        return f"{self.needed} connections during a deploy ({summed}), and {allowed} are allowed"


def connection_budget(
    pools: Sequence[Pool], limit: int | None, *, migration: int = 1, backup: int = 1, reserved: int = 0
) -> ConnectionBudget:
    """Every pool twice, since the new copies start beside the old ones, and what a migration and a backup open.

    `reserved` are the database's own (Postgres keeps `superuser_reserved_connections`, 3 unless set).
    """
    parts = [(f"{pool.service} ({pool.instances} x {pool.size} x 2)", 2 * pool.instances * pool.size) for pool in pools]
    parts += [("migration", migration), ("backup", backup), ("reserved", reserved)]
    kept = tuple((name, count) for name, count in parts if count)
    return ConnectionBudget(sum(count for _, count in kept), limit, kept)


@dataclass(frozen=True)
class Weight:
    """What one service takes of a machine's memory, in bytes for each copy. `beside` starts new copies first."""

    service: str
    memory: int
    copies: int = 1
    beside: bool = True


@dataclass(frozen=True)
class MemoryFit:
    """Memory at the worst moment of a deploy against what the machine has, in bytes."""

    needed: int
    available: int
    parts: tuple[tuple[str, int], ...]

    @property
    def fits(self) -> bool:
        """Whether it fits."""
        return self.needed <= self.available

    @property
    def sentence(self) -> str:
        """The sum that a reader can do again."""
        summed = " + ".join(f"{show_bytes(count)} {name}" for name, count in self.parts)
        needed, available = show_bytes(self.needed), show_bytes(self.available)
        return f"{needed} of memory during a deploy ({summed}), and {available} are there"


def memory_fit(weights: Sequence[Weight], available: int, *, panel: int = 0, system: int = 0) -> MemoryFit:
    """Every copy, the largest step of a deploy once more, the panel and the system.

    Services are swapped one after the other, so the overlap is that of the heaviest one: all copies of it start beside.
    """
    parts = [(f"{one.service} ({one.copies} x)", one.memory * one.copies) for one in weights]
    overlap = max(((one.memory * one.copies, one.service) for one in weights if one.beside), default=(0, ""))
    parts += [(f"{overlap[1]} once more", overlap[0]), ("the panel", panel), ("the system", system)]
    kept = tuple((name, count) for name, count in parts if count)
    return MemoryFit(sum(count for _, count in kept), available, kept)


def refuse_long_job(max_job: float, stop_limit: float | None, place: str) -> str | None:
    """Why a worker with jobs of `max_job` seconds cannot be handed over at `place`; None where it can.

    `stop_limit` is the most seconds that the place lets a program finish in: infinite where it lets you say, None where
    nobody says, which is a reason too.
    """
    if stop_limit is None:
        return f"{place} may stop a program before a job of {show_seconds(max_job)} is done: its limit is unknown"
    if isinf(stop_limit) or max_job <= stop_limit:
        return None
    job, limit, over = (show_seconds(span) for span in (max_job, stop_limit, max_job - stop_limit))
    return f"a job may take {job}, and {place} stops a program after {limit}: {over} short"
