"""Backups that a person asks for, what there is of them, and the way back to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from towline.artifacts.migrations import database_in
from towline.core.errors import Refused, UsageError
from towline.ops.deploy import observed
from towline.ops.recover import failed_step
from towline.ops.workspace import LEASE, owner
from towline.planner.place import place
from towline.release.build import next_release
from towline.release.engine import run
from towline.release.lock import held
from towline.release.migrate import form_mark
from towline.release.stages import Draft
from towline.steps.driver import Keeper
from towline.steps.migration import BackUp, Database, Restore
from towline.steps.model import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.core.events import Listener
    from towline.ops.hosts import Hosts
    from towline.release.engine import Outcome
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Facts

_RELEASE = "release"
"""The name of the task of a release command."""


@dataclass(frozen=True)
class Backup:
    """A backup on a host. `name` is the number of the run that made it; `why` is "release" or "asked".

    `at` and `restored` are ISO times, UTC; `restored` is the last time that it was read into a server, "" for never.
    `head` is the digest of the database's catalogue and of the migrations that were applied.
    """

    site: str
    name: str
    store: str
    at: str
    size: int
    tables: int
    head: str
    why: str
    restored: str


def backups(hosts: Hosts) -> tuple[Backup, ...]:
    """Every backup on the hosts of a target, newest first."""
    found = [one for name, site in hosts.live.items() if isinstance(site, Keeper) for one in _of(name, site)]
    return tuple(sorted(found, key=lambda one: (-int(one.name), one.site, one.store)))


def plan_backup(hosts: Hosts, seen: Mapping[str, Facts]) -> Plan:
    """Back every database up. Raises Refused where none is on the target's hosts."""
    name = str(next_release(seen))
    steps: dict[str, tuple[AnyStep, ...]] = {
        site: tuple(BackUp(one, name) for one in databases) for site, databases in _databases(hosts).items()
    }
    return _plan(hosts, seen, "backup", ("back up", steps))


def plan_restore(hosts: Hosts, seen: Mapping[str, Facts], name: str) -> Plan:
    """Put backup `name` into the place of each database that it is of. Raises UsageError when there is none."""
    there = {(one.site, one.store) for one in backups(hosts) if one.name == name}
    if not there:
        raise UsageError(
            f"there is no backup {name} of {hosts.target.name}", hint=f"towline backup {hosts.target.name} --list"
        )
    run_number = str(next_release(seen))
    again = (_RELEASE, form_mark(_RELEASE))
    steps: dict[str, tuple[AnyStep, ...]] = {
        site: tuple(Restore(one, name, run_number, again) for one in databases if (site, one.store) in there)
        for site, databases in _databases(hosts).items()
    }
    return _plan(hosts, seen, "restore", ("restore", steps))


def carry_out(hosts: Hosts, plan: Plan, listener: Listener) -> Outcome:
    """Do it under the lock. Raises StepFailed when a step fails."""
    with held(hosts.sites, owner(), LEASE) as hold:
        outcome = run(plan, hosts.sites, hold, hosts.site, listener)
    if not outcome.ok:
        raise failed_step(outcome)
    return outcome


def look(hosts: Hosts) -> Mapping[str, Facts]:
    """What is on the hosts now."""
    return observed(hosts.sites)


def _of(name: str, site: Keeper) -> Iterator[Backup]:
    for plain in site.backups():
        yield _backup(name, plain)


def _backup(site: str, plain: Mapping[str, Any]) -> Backup:
    return Backup(
        site=site,
        name=plain["name"],
        store=plain["store"],
        at=plain["at"],
        size=plain["bytes"],
        tables=plain["tables"],
        head=plain["head"],
        why=plain["why"],
        restored=plain["restored"],
    )


def _databases(hosts: Hosts) -> dict[str, tuple[Database, ...]]:
    """The databases that each host runs itself: its stores, and its stateful services whose image can dump them."""
    placement = place(hosts.app, hosts.target)
    found = {
        site.name: (
            *(
                Database(one.name, one.user, one.database)
                for one in placement.stores_on(site)
                if one.kind == "postgres"
            ),
            *(made for one in placement.services_on(site) if (made := database_in(one)) is not None),
        )
        for site in hosts.target.sites
    }
    if not any(found.values()):
        raise Refused(
            f"no host of {hosts.target.name} runs a database that could be backed up",
            hint=f"towline status -t {hosts.target.name}",
        )
    return found


def _plan(
    hosts: Hosts, seen: Mapping[str, Facts], intent: str, stage: tuple[str, dict[str, tuple[AnyStep, ...]]]
) -> Plan:
    draft = Draft()
    draft.add(*stage)
    return Plan(
        app=hosts.app.name,
        target=hosts.target.name,
        release=next_release(seen),
        intent="restore" if intent == "restore" else "backup",
        stages=draft.stages(),
        facts={name: seen[name].digest for name in sorted(seen)},
    )
