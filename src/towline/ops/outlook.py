"""What `towline plan` asks: the steps where a site can carry them out, and what the release comes to anywhere."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from towline.artifacts.bundle import DOOR
from towline.catalog.links import read_latency
from towline.catalog.read import own_file, read_catalog
from towline.core.errors import Findings, SiteUnreachable, UsageError
from towline.ops.compare import known_of, usage_file
from towline.ops.deploy import prepare
from towline.planner.changes import Copies, Today
from towline.planner.compare import Scene
from towline.planner.outlook import Aim, Outlook, outlook
from towline.planner.purchase import Machine
from towline.planner.usage_file import read_usage
from towline.release import journal
from towline.spec.codes import TO_RUN_HERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from towline.artifacts.model import Bundle
    from towline.core.errors import Finding
    from towline.ops.deploy import Prepared
    from towline.ops.workspace import Opened, Survey
    from towline.release.journal import State
    from towline.spec.model import App, Target
    from towline.steps.kinds import Instance
    from towline.steps.model import Facts, Plan


@dataclass(frozen=True)
class Papers:
    """What a plan is judged with: files that are named instead of the project's own, and the day.

    `told` are settings for hosts, such as the version to deploy.
    """

    usage: Path | None
    offers: Path | None
    today: date
    told: Mapping[str, str]


@dataclass(frozen=True)
class Planned:
    """A target looked at: `plan` is None where no site can carry steps out, and `cannot` says so.

    `usage_file` is where the use was read, None where it is assumed. `findings` are what is worth knowing.
    """

    app: str
    target: str
    plan: Plan | None
    cannot: str | None
    outlook: Outlook
    usage_file: str | None
    findings: tuple[Finding, ...]


def planned(seen: Survey, found: tuple[Finding, ...], papers: Papers) -> Planned:
    """The steps and the outlook of a target; changes nothing.

    Raises Findings with all of `found`, what is wrong with files and machine, when the files have a mistake.
    """
    app, target = _app_and_target(seen, found)
    catalog = read_catalog(own_file(seen.project, papers.offers))
    path = usage_file(seen.project, papers.usage)
    usage = read_usage(path, known_of(app, seen.reading.page), catalog)
    scene = Scene(app, catalog, read_latency(catalog.regions), papers.today)
    steps = _steps(seen, target, papers)
    told = tuple(one for one in found if one.level != "error" or one.code not in TO_RUN_HERE)
    return Planned(
        app=app.name,
        target=target.name,
        plan=steps.plan,
        cannot=steps.cannot,
        outlook=outlook(scene, usage, steps.aim),
        usage_file=None if path is None else path.name,
        findings=(*told, *steps.findings),
    )


@dataclass(frozen=True)
class _Steps:
    """What would be done, or why nobody can say."""

    plan: Plan | None
    aim: Aim
    cannot: str | None = None
    findings: tuple[Finding, ...] = ()


def _steps(seen: Survey, target: Target, papers: Papers) -> _Steps:
    """The steps where there is a driver. A host that cannot be asked now can be judged all the same."""
    kinds = {one.kind for one in target.sites}
    if kinds == {"local"}:
        workspace = seen.workspace()
        return _with_steps(workspace, prepare(workspace))
    unknown = Aim(target, Today(known=False))
    away = [one for one in target.sites if one.kind != "host"]
    if away:
        named = ", ".join(f"`{one.name}` ({one.kind})" for one in away)
        return _Steps(None, unknown, f"no steps: this version of Towline carries nothing out at {named}")
    from towline.ops.opening import open_hosts
    from towline.ops.preflight_hosts import looked_over

    try:
        hosts = open_hosts(seen.project, target.name, papers.today.isoformat(), seen.listener, papers.told)
        prepared, found = looked_over(hosts)
        if prepared is None:
            return _Steps(None, unknown, "no steps: settings are missing", found)
        return replace(_with_steps(hosts, prepared), findings=found)
    except Findings as missing:
        return _Steps(None, unknown, "no steps: settings are missing", missing.findings)
    except (UsageError, SiteUnreachable) as error:
        return _Steps(None, unknown, f"no steps: {error.sentence}")


def _app_and_target(seen: Survey, found: tuple[Finding, ...]) -> tuple[App, Target]:
    """The app; what it lacks to run here is no mistake where it is not to run here."""
    reading = seen.reading
    forgiven = TO_RUN_HERE if seen.site is None else frozenset[str]()
    wrong = any(one.level == "error" and one.code not in forgiven for one in reading.findings)
    if wrong or reading.view is None or reading.target is None:
        raise Findings(found)
    return reading.view.app, reading.target


def _with_steps(workspace: Opened, prepared: Prepared) -> _Steps:
    state = journal.read(workspace.site, workspace.sites)
    local = all(one.kind == "local" for one in workspace.target.sites)
    here = _machine(workspace, prepared.seen[workspace.site.site]) if local else None
    today = today_of(tuple(prepared.seen.values()), state)
    return _Steps(prepared.plan, Aim(workspace.target, today, after_of(prepared.bundle), here))


def _machine(workspace: Opened, facts: Facts) -> Machine:
    """What the app may take of this machine: what is free, and what it takes already."""
    taken = sum(one.memory for one in workspace.site.status())
    return Machine(facts.room.memory_free + taken, os.cpu_count() or 1)


def today_of(seen: Sequence[Facts], state: State) -> Today:
    """What the sites report, with the limits under which the journal says that it was started."""
    started = [one.step for run in state.runs for one in run.begun]
    limits = {step.instance.name: step.instance.memory or 0 for step in started if step.kind == "start-instance"}
    live = [one for facts in seen for one in facts.instances if one.state not in ("stopped", "crashed")]
    found = _counted((one.service, one.revision, limits.get(one.name, 0)) for one in live)
    # Without a front door nobody serves the files, though a site still knows which ones it would.
    served = [facts.upstreams for facts in seen if any(one.service == DOOR for one in live)]
    files = {name: kept for one in served for name, kept in one.items() if kept and not any(":" in at for at in kept)}
    found += [Copies(name, 0, kept) for name, kept in sorted(files.items())]
    return Today(state.releases[-1] if state.releases else 0, tuple(found))


def after_of(bundle: Bundle) -> tuple[Copies, ...]:
    """What a bundle makes of every service and store."""
    instances: list[Instance] = []
    files: list[Copies] = []
    for part in bundle.sites:
        for one in part.services:
            instances += one.instances
            if one.upstreams and not one.instances:
                files.append(Copies(one.name, 0, one.upstreams))
        instances += [one.server for one in part.stores]
    return (*_counted((one.service, one.revision, one.memory or 0) for one in instances), *files)


def _counted(copies: Iterable[tuple[str, str, int]]) -> list[Copies]:
    """Copies by service, in the order of their first; without the front door, which is no part of the app."""
    found: dict[str, list[tuple[str, int]]] = {}
    for service, revision, memory in copies:
        if service != DOOR:
            found.setdefault(service, []).append((revision, memory))
    return [
        Copies(name, len(ones), tuple(sorted({revision for revision, _ in ones})), max(memory for _, memory in ones))
        for name, ones in found.items()
    ]
