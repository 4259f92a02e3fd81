"""What would stop a deploy on this machine, with numbers, before anything is started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from towline.core.errors import Finding, Findings, TowlineError, Where
from towline.core.units import show_bytes
from towline.ops.programs import programs
from towline.spec.check import in_order
from towline.spec.checks.view import KIND

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.ops.workspace import OwnSite, Survey
    from towline.spec.model import Target
    from towline.steps.model import Facts

LEAST_DISK = 1_000_000_000
"""A new database, queue and object store take 130 MB together; the rest is for the app's data and logs."""

LEAST_MEMORY = 400_000_000
"""The servers take about 200 MB idle; the app's own processes come on top."""

_LISTENS = (*KIND, "port", "port_variable", "run", "command", "entrypoint", "environment")
"""What tells on which port a service listens, and whether it can take another one."""

CODES = {
    "disk-full": ("error", "Too little of the disk is free to start a database and a bucket."),
    "memory-short": ("warning", "Little memory is free; the servers alone take about 200 MB."),
    "data-of-another-major": ("error", "A store's data was written by a major version that the server cannot open."),
    "port-taken": ("error", "A port that the page or a service asks for by number is taken; the holder is named."),
    "no-program": ("error", "A service starts a program that is not installed."),
    "no-backup": ("warning", "`backup_first` is on, and this site makes no backup before the release command."),
}
"""What preflight finds, with its level and its meaning; printed as part of the reference."""


def report(survey: Survey) -> tuple[Finding, ...]:
    """All that is wrong or worth knowing, of the files and of the machine together, each once, errors first.

    Raises what the machine raises when it cannot be looked at; mistakes in the files go before that.
    """
    files = survey.reading.findings
    try:
        return in_order((*files, *preflight(survey)))
    except TowlineError:
        if survey.reading.mistaken:
            return files
        raise


def preflight(survey: Survey) -> tuple[Finding, ...]:
    """Everything on the machine that is in the way of what the files say; of what is wrong in them nothing is said."""
    target, view, site = survey.reading.target, survey.reading.view, survey.site
    if target is None or site is None:
        return ()
    facts = site.observe()
    found = [*_room(survey.home, facts), *_majors(survey.home, site, facts), *_backup(survey, target)]
    found += _taken(_wanted(survey, target), {one.port for one in facts.instances if one.state != "stopped"})
    if view is not None:
        for service in view.local_services():
            found += programs(view, service, survey.machine)
    return tuple(found)


def refuse(findings: tuple[Finding, ...]) -> None:
    """Raises Findings when one of them is an error."""
    if any(one.level == "error" for one in findings):
        raise Findings(findings)


def _room(home: Path, facts: Facts) -> Iterator[Finding]:
    room = facts.room
    if room.disk_free < LEAST_DISK:
        yield Finding(
            "disk-full",
            f"only {show_bytes(room.disk_free)} of disk are free, and {show_bytes(LEAST_DISK)} are needed",
            where=Where(str(home)),
            hint="df -h . ; du -xh --max-depth=1 . | sort -h | tail",
        )
    if room.memory_free < LEAST_MEMORY:
        yield Finding(
            "memory-short",
            f"only {show_bytes(room.memory_free)} of memory are free; the servers and the app want more",
            hint="ps -eo rss,pid,args --sort=-rss | head",
            level="warning",
        )


def _majors(home: Path, site: OwnSite, facts: Facts) -> Iterator[Finding]:
    """PostgreSQL opens data of its own major version only; the other servers also what an older one wrote."""
    for store in facts.stores:
        if store.major is None:
            continue
        server = site.server_major(store.kind)
        if store.major == server or (store.kind != "postgres" and int(store.major) < int(server)):
            continue
        yield Finding(
            "data-of-another-major",
            f"the data of `{store.name}` was written by {store.kind} {store.major}, and the server here is {server}",
            where=Where(str(home / "data" / store.name)),
            hint="dump it with the Towline version that wrote it (`towline exec SERVICE -- pg_dump ...`), then\n"
            f"`towline down --purge {store.name}`, and load the dump into the new store",
        )


def _backup(survey: Survey, target: Target) -> Iterator[Finding]:
    """Said rather than left out in silence: a site on this machine makes no backup yet."""
    page = survey.reading.page
    if page.page.release is not None and page.page.release.backup_first and target.sites[0].kind == "local":
        yield Finding(
            "no-backup",
            "`backup_first` is kept for other sites: on this machine nothing is backed up before the release command",
            where=page.source.where("release", "backup_first"),
            hint="towline exec SERVICE -- pg_dump ...",
            level="warning",
        )


@dataclass(frozen=True)
class _Wanted:
    """A port that somebody chose by number, who needs it, and where that is written."""

    port: int
    who: str
    where: Where


def _wanted(survey: Survey, target: Target) -> Iterator[_Wanted]:
    site, page = target.sites[0], survey.reading.page
    chosen = site.options.get("port", "")
    if chosen.isascii() and chosen.isdigit() and 0 < int(chosen[:6]) < 65536:
        where = page.source.where("targets", target.name, "sites", site.name, "port")
        yield _Wanted(int(chosen), "the front door (`port` of the site)", where)
    view = survey.reading.view
    for service in view.local_services() if view is not None else ():
        listens = service.port is not None and service.port_variable is None and service.kind in ("web", "private")
        if view is None or service.port is None or not listens or not view.sure(service.name, *_LISTENS):
            continue
        written = "port" if view.entry(service.name).port is not None else "ports"
        where = view.at_service(service.name, written)
        yield _Wanted(service.port, f"service `{service.name}`, which always listens there", where)


def _taken(wanted: Iterator[_Wanted], ours: set[int | None]) -> Iterator[Finding]:
    """Ports that somebody chose by number must be free, or ours already."""
    for one in wanted:
        holder = _holder(one.port)
        if one.port not in ours and holder is not None:
            yield Finding(
                "port-taken",
                f"port {one.port} is taken by {holder}, and {one.who} needs it",
                where=one.where,
                hint=f"end that program, or choose another port; who has it: ss -ltnp 'sport = :{one.port}'",
            )


def _holder(port: int) -> str | None:
    try:
        sockets = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None  # macOS tells only root: then the start of the service says it
    for one in sockets:
        if one.status == psutil.CONN_LISTEN and one.laddr[1:2] == (port,):
            try:
                return f"{psutil.Process(one.pid).name()} (pid {one.pid})" if one.pid else "another program"
            except psutil.Error:
                return "another program"
    return None
