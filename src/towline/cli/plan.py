"""The command that shows what a release would do and what it comes to, before anything is done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from towline.cli.options import (
    HERE,
    LAPTOP,
    AsJson,
    Day,
    OwnOffers,
    Project,
    Settings,
    Target,
    UsageFile,
    Which,
    chosen,
    told_in,
)
from towline.cli.show import Screen

if TYPE_CHECKING:
    from towline.ops.outlook import Planned

CHANGES, NO_STEPS = 10, 11
"""Exit statuses: there is something to do; and nobody can tell, since a site takes no steps of this version."""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(plan)


def plan(  # noqa: PLR0913 - a command has the options that it has
    which: Which = None,
    *,
    target: Target = LAPTOP,
    settings: Settings = None,
    usage: UsageFile = None,
    offers: OwnOffers = None,
    on: Day = None,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Show what `up` or `deploy` would do, step by step, with bill, estimate, verdict and what changes; change nothing.

    Exit status 0: nothing to do. 10: changes. 11: there are no steps, since this version cannot deploy to a site, or
    cannot ask it now; everything else is shown. What would be in the way is told on stderr.
    """
    from towline.ops.outlook import Papers, planned
    from towline.ops.preflight import report
    from towline.ops.workspace import survey

    target = chosen(which, target, "plan")
    screen = Screen(as_json, target)
    seen = survey(project, target, screen.listener)
    found = report(seen)
    day = on.date() if on is not None else datetime.now(UTC).date()
    told = planned(seen, found, Papers(usage, offers, day, told_in(settings or [])))
    screen.findings(told.findings)
    if as_json:
        screen.json(_plain(told))
    else:
        _print(screen, told)
    if told.plan is None:
        raise typer.Exit(NO_STEPS)
    raise typer.Exit(0 if told.plan.empty else CHANGES)


def _plain(told: Planned) -> dict[str, object]:
    from towline.planner.outlook_shown import outlook_json
    from towline.steps.show import plan_json

    none: dict[str, object] = {"app": told.app, "target": told.target, "release": None, "stages": None, "empty": None}
    steps = plan_json(told.plan) if told.plan is not None else none
    return {**steps, "cannot": told.cannot, **outlook_json(told.outlook, told.usage_file)}


def _print(screen: Screen, told: Planned) -> None:
    from towline.planner.outlook_shown import outlook_lines
    from towline.steps.show import plan_lines

    steps = plan_lines(told.plan) if told.plan is not None else (f"{told.app} on {told.target}: {told.cannot}",)
    for line in (*steps, "", *outlook_lines(told.outlook, assumed=told.usage_file is None)):
        screen.answer.print(escape(line))
