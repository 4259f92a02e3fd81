"""Which offers can hold a part of an app, in how many copies, and why the others cannot. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from math import inf
from typing import TYPE_CHECKING

from towline.catalog.rules import Use, breaches
from towline.core.units import show_bytes
from towline.planner.capacity import (
    HOUR,
    Load,
    Pool,
    WaitTarget,
    Weight,
    Workers,
    connection_budget,
    copies_needed,
    memory_fit,
    refuse_long_job,
)
from towline.planner.cost import storage_of
from towline.planner.traffic import parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from towline.catalog.offers import Offer
    from towline.catalog.rules import Breach
    from towline.planner.capacity import ConnectionBudget, MemoryFit
    from towline.planner.purchase import Machine
    from towline.planner.usage import Usage
    from towline.spec.model import App, Service, Store

GB = 10**9
SYSTEM = 500_000_000
"""Memory in bytes that Linux, Docker and the front door take of a server; an assumption, on the safe side."""

SYSTEM_DISK = Decimal(15)
"""GB of disk for the system and the images of two releases; an assumption."""

DUMPS = Decimal("1.5")
"""Data on a server counts so many times: beside itself a dump of it must fit."""

BUSY = Decimal("0.7")
"""The part of processors that may be busy in the busiest hour."""

DEFAULT_MEMORY = {"service": Decimal("0.256"), "postgres": Decimal("0.256"), "bucket": Decimal("0.256")}
"""GB of memory of a copy where neither the usage nor Compose says."""

MOST_AT_ONCE = 10_000
"""Jobs at a time beyond which nothing is planned: no small team's, and the formulas walk through every slot."""

SOFT = frozenset({"scales-to-zero", "no-backups"})
"""Rules that make a risk and not a refusal."""

OWN_CONNECTIONS, RESERVED = 100, 3
"""What PostgreSQL allows unless `max_connections` says otherwise, and what it keeps of these for its superuser."""

POOL = 5
"""Database connections of a copy of a service where the usage does not say."""


@dataclass(frozen=True)
class Sizes:
    """What the load asks of each service: copies and computing, at the growth that is wished for."""

    copies: Mapping[str, int]
    cpu: Mapping[str, Decimal]
    refused: Mapping[str, str]

    def cpus(self, names: Iterable[str]) -> Decimal:
        """Processors that these services keep busy."""
        return sum((self.cpu.get(name, Decimal(0)) for name in names), Decimal(0))


def job_load(usage: Usage, times: Decimal | int = 1) -> Load:
    """The jobs of the busiest hour as a load."""
    jobs = usage.jobs
    return Load(float(usage.jobs_an_hour * times), float(jobs.seconds), float(jobs.cv))


def wait_target(usage: Usage) -> WaitTarget:
    """How soon jobs should begin."""
    return WaitTarget(float(usage.jobs.within), float(usage.jobs.part))


def sizes_of(app: App, usage: Usage) -> Sizes:
    """Copies and computing of every service of `app`."""
    parts, growth = parts_of(app, usage), usage.wishes.growth
    copies, cpu, refused = {}, {}, {}
    for one in app.services:
        least = max(1, int(usage.copies.get(one.name, one.replicas)))
        copies[one.name], cpu[one.name] = least, Decimal(0)
        if one.name == parts.web or one.kind == "private":
            cpu[one.name] = growth * usage.users * usage.requests.per_user_hour * usage.requests.cpu / int(HOUR)
        if one.name == parts.worker:
            at_once = growth * usage.jobs_an_hour * usage.jobs.seconds / int(HOUR)
            if at_once > MOST_AT_ONCE:
                refused[one.name] = f"{at_once:,.0f} jobs at once, and at most {MOST_AT_ONCE:,} are planned for"
                continue
            needed = copies_needed(job_load(usage, growth), Workers(usage.jobs.slots), wait_target(usage))
            cpu[one.name] = growth * usage.jobs_an_hour * usage.jobs.cpu / int(HOUR)
            if one.single and needed > 1:
                refused[one.name] = f"`{one.name}` never runs twice, and {needed} copies of it are needed"
            copies[one.name] = max(least, needed) if not one.single else least
    return Sizes(copies, cpu, refused)


def memory_of(usage: Usage, part: Service | Store) -> Decimal:
    """GB that one copy of a service or store takes."""
    known = known_memory(usage, part.name, getattr(part, "memory", None))
    return default_memory(usage, part) if known is None else known


def known_memory(usage: Usage, name: str, limit: int | None) -> Decimal | None:
    """GB that a copy takes as the usage says, else as its limit in bytes does; None where neither says."""
    own = usage.memory.get(name)
    return own if own is not None else Decimal(limit) / GB if limit else None


def default_memory(usage: Usage, part: Service | Store) -> Decimal:
    """GB of a copy where nobody says, by its kind; an assumption."""
    if part.kind == "redis":
        # A snapshot or rewrite of the log copies what changes meanwhile: twice the data is the common rule.
        return 2 * storage_of(usage, part) + Decimal("0.03")
    if part.kind in {"static", "task", "sqs"}:
        return Decimal(0)
    return DEFAULT_MEMORY.get(part.kind, DEFAULT_MEMORY["service"])


def budget_of(app: App, usage: Usage, sizes: Sizes, offer: Offer | None) -> ConnectionBudget:
    """The connections that the app opens during a deploy, against what the database allows; None is one's own."""
    users = [one for one in app.services if one.kind in {"web", "private", "worker"}]
    pools = [Pool(one.name, sizes.copies[one.name], int(usage.pool.get(one.name, POOL))) for one in users]
    if offer is None:
        return connection_budget(pools, OWN_CONNECTIONS, reserved=RESERVED)
    allowed = offer.limit("pooled-connections") or offer.limit("connections")
    return connection_budget(pools, None if allowed is None or allowed == inf else int(allowed))


def server_fit(
    app: App, usage: Usage, sizes: Sizes, holds: Iterable[str], hosts: tuple[Offer, Offer | None]
) -> MemoryFit:
    """The memory of what is on a server during a deploy; `hosts` are the server and its panel."""
    server, panel = hosts
    weights = [_weight(part, usage, sizes) for part in parts_on(app, holds)]
    own = panel.limit("own-memory") if panel is not None else None
    there = int((server.limit("memory") or Decimal(0)) * GB)
    return memory_fit([one for one in weights if one.memory], there, panel=int((own or 0) * GB), system=SYSTEM)


def machine_fit(app: App, usage: Usage, sizes: Sizes, holds: Iterable[str], machine: Machine) -> MemoryFit:
    """The same on the machine that Towline runs on: what is left there for the app is known."""
    weights = [_weight(part, usage, sizes) for part in parts_on(app, holds)]
    return memory_fit([one for one in weights if one.memory], machine.memory)


def parts_on(app: App, holds: Iterable[str]) -> list[Service | Store]:
    """The services and stores of these names, in the order of the app."""
    names = set(holds)
    every: tuple[Service | Store, ...] = (*app.services, *app.stores)
    return [one for one in every if one.name in names]


def _weight(part: Service | Store, usage: Usage, sizes: Sizes) -> Weight:
    beside = part.kind in {"web", "private", "worker"} and not getattr(part, "single", False)
    memory = int(memory_of(usage, part) * GB)
    return Weight(part.name, memory, sizes.copies.get(part.name, 1), beside=beside)


def refuse_server(
    app: App, usage: Usage, sizes: Sizes, holds: tuple[str, ...], hosts: tuple[Offer, Offer | None]
) -> str:
    """Why a server cannot hold these parts; empty where it can."""
    server, panel = hosts
    fit = server_fit(app, usage, sizes, holds, hosts)
    if not fit.fits:
        return fit.sentence
    busy, cpus = sizes.cpus(holds), server.limit("cpu") or Decimal(0)
    if busy > cpus * BUSY:
        return _too_busy(busy, cpus)
    kept = sum((storage_of(usage, one) for one in app.stores if one.name in holds), Decimal(0))
    disk = kept * DUMPS + SYSTEM_DISK
    if disk > (server.limit("disk") or Decimal(0)):
        summed = f"{_gb(kept)} of data x {DUMPS}, and {_gb(SYSTEM_DISK)}"
        return f"{_gb(disk)} of disk ({summed}), and {_gb(server.limit('disk'))} are there"
    for name in ("cpu", "memory", "disk"):
        wanted = panel.limit(name) if panel is not None else None
        if wanted is not None and wanted > (server.limit(name) or 0):
            return f"the panel needs {wanted} of {name}, and {server.limit(name)} are there"
    return ""


def refuse_container(app: App, usage: Usage, sizes: Sizes, holds: tuple[str, ...], offer: Offer) -> str:
    """Why one container of an offer cannot hold these services; empty where it can."""
    inside = parts_on(app, holds)
    memory = sum((memory_of(usage, one) * sizes.copies.get(one.name, 1) for one in inside), Decimal(0))
    there = offer.limit("memory")
    if there is None or memory > there:
        summed = " + ".join(
            f"{_gb(memory_of(usage, one) * sizes.copies.get(one.name, 1))} {one.name}" for one in inside
        )
        return f"{_gb(memory)} of memory ({summed}), and {_gb(there)} are there"
    busy, cpus = sizes.cpus(holds), offer.limit("cpu") or Decimal(0)
    if busy > cpus * BUSY:
        return _too_busy(busy, cpus)
    return _long_jobs(app, holds, offer)


def service_copies(service: Service, sizes: Sizes, offer: Offer) -> int:
    """Copies of a managed service: for its waits, and for its computing on this offer's processors."""
    cpus = offer.limit("cpu")
    busy = sizes.cpu.get(service.name, Decimal(0))
    for_cpu = int((busy / (cpus * BUSY)).to_integral_value(ROUND_CEILING)) if cpus else 1
    return max(sizes.copies[service.name], for_cpu)


def refuse_service(app: App, usage: Usage, sizes: Sizes, service: Service, offer: Offer) -> str:
    """Why an offer cannot run a service; empty where it can."""
    memory, there = memory_of(usage, service), offer.limit("memory")
    if service.kind != "static" and (there is None or memory > there):
        return f"{_gb(memory)} of memory, and {_gb(there)} are there"
    copies, most = service_copies(service, sizes, offer), offer.limit("instances")
    if most is not None and copies > most:
        return f"{copies} copies are needed, and {most} are allowed"
    if service.single and copies > 1:
        return f"`{service.name}` never runs twice, and {copies} copies of this size are needed"
    return _long_jobs(app, (service.name,), offer)


def _long_jobs(app: App, holds: Iterable[str], offer: Offer) -> str:
    for name in holds:
        service = app.service(name)
        if service.kind == "worker":
            refused = refuse_long_job(service.max_job, _stop(offer), offer.name)
            if refused:
                return refused
    return ""


def _stop(offer: Offer) -> float | None:
    limit = offer.limit("stop")
    return None if limit is None else float(limit)


def refuse_store(app: App, usage: Usage, sizes: Sizes, store: Store, offer: Offer) -> str:
    """Why an offer cannot hold a store; empty where it can."""
    kept, disk, memory = storage_of(usage, store), offer.limit("disk"), offer.limit("memory")
    if store.kind == "postgres":
        budget = budget_of(app, usage, sizes, offer)
        if budget.fits is False:
            return budget.sentence
        if disk is not None and kept > disk:
            return f"{_gb(kept)} of data, and {_gb(disk)} are there"
        wanted = usage.memory.get(store.name, Decimal(0))
        return f"{_gb(wanted)} of memory, and {_gb(memory)} are there" if memory is not None and wanted > memory else ""
    if store.kind == "redis":
        if memory is None:
            return "nobody says how much memory it has"
        return f"{_gb(kept)} of data, and {_gb(memory)} are there" if kept > memory else ""
    return ""


def hard_breaches(
    app: App,
    usage: Usage,
    offer: Offer,
    holds: Iterable[str],
    month: Mapping[str, Decimal],
    began: date | None = None,
) -> tuple[list[Breach], list[Breach]]:
    """The rules of an offer that this use meets from `began` on: those that refuse it, and those that are a risk."""
    names = set(holds)
    stores = [one for one in app.stores if one.name in names]
    running = [one for one in app.services if one.name in names]
    queue = any(one.kind == "redis" and one.use == "queue" for one in stores)
    use = Use(
        commercial=usage.commercial,
        background=any(one.kind == "worker" for one in running),
        quiet=float(usage.quiet),
        idle=float(usage.idle_days),
        keeps_data=bool(stores),
        reached_privately=any(one.kind == "private" for one in running),
        month=month,
        began=began,
    )
    hard: list[Breach] = []
    soft: list[Breach] = []
    for one in breaches(offer, use):
        kind = one.rule.kind
        refuses = kind not in SOFT or (kind == "no-backups" and queue and "redis" in offer.serves)
        (hard if refuses and kind not in usage.accept else soft).append(one)
    return hard, soft


def _too_busy(busy: Decimal, cpus: Decimal) -> str:
    return f"{round(busy, 2)} processors are busy in the busiest hour, and {round(cpus * BUSY, 2)} of {cpus} may be"


def _gb(size: Decimal | None) -> str:
    return "nobody knows how many" if size is None else show_bytes(int(size * GB))
