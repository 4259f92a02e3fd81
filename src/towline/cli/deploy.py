"""The command that brings a target on hosts to what the files say: deploy."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.cli.options import HERE, AsJson, Project, Settings, told_in
from towline.cli.show import Screen
from towline.core.errors import Findings, Refused

if TYPE_CHECKING:
    from pathlib import Path

    from towline.ops.deploy import Prepared
    from towline.ops.hosts import Hosts
    from towline.ops.report import Verdict
    from towline.steps.model import Plan

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; nor does --json.")]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow", metavar="CHANGE", help="Let the release command take this away: 'drop-column orders.note'."
    ),
]
Renew = Annotated[
    bool, typer.Option("--renew-images", help="Ask the registries again for every tag, and build without a cache.")
]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(deploy)


def deploy(  # noqa: PLR0913 - a command has the options that it has
    target: Annotated[str, typer.Argument(help="A target of towline.yaml whose sites are hosts.", show_default=False)],
    *,
    settings: Settings = None,
    renew: Renew = False,
    allow: Allow = None,
    yes: Yes = False,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Bring a target on hosts to what the files say: new copies first, then the traffic, then the old ones.

    The plan is shown and asked about. A step that fails takes everything back. Run again it changes nothing.
    """
    from towline.ops.opening import open_hosts

    screen = Screen(as_json, target)
    today = datetime.now(UTC).date().isoformat()
    hosts = open_hosts(project, target, today, screen.listener, told_in(settings or []), renew=renew)
    # The hosts are on their way now: what else is needed is loaded meanwhile.
    from towline.ops.migrations import allowing
    from towline.ops.preflight import refuse
    from towline.ops.preflight_hosts import looked_over

    hosts = allowing(hosts, allow or [])
    prepared, found = looked_over(hosts)
    if prepared is None:
        raise Findings(found)
    refuse(found)
    screen.findings(found)
    if prepared.plan.empty:
        screen.talk.print("Everything is as the files say: nothing was changed.")
    else:
        agree(screen, prepared.plan, f"towline deploy {target}", yes=yes or as_json)
    verdict, well = _delivered(screen, hosts, prepared, project.resolve())
    if as_json:
        screen.json(
            {"release": prepared.plan.release, "changed": not prepared.plan.empty, "verdict": verdict.as_json()}
        )
    else:
        screen.checks(verdict)
        screen.answer.print(f"[bold]{escape(verdict.summary)}[/bold]")
    if not (verdict.ok and well):
        raise typer.Exit(5)


def _delivered(screen: Screen, hosts: Hosts, prepared: Prepared, project: Path) -> tuple[Verdict, bool]:
    """What was seen at its end, and whether the hook after it was well; nobody is told where nothing is to change."""
    from towline.ops import deploy as story
    from towline.ops.occasion import occasion_of
    from towline.ops.told import told
    from towline.ops.verify_hosts import verify_hosts
    from towline.ops.workspace import owner

    seen: list[Verdict] = []
    plan = prepared.plan

    def work() -> tuple[bool, str]:
        if not plan.empty:
            story.deploy(hosts, prepared, screen.listener)
        screen.quiet()
        seen.append(verify_hosts(hosts, screen.checked, bundle=prepared.bundle))
        screen.quiet()
        return seen[0].ok, seen[0].summary

    if plan.empty:
        work()
        return seen[0], True
    occasion = occasion_of(hosts, "deploy", plan.release, owner())
    well = told(hosts, project, occasion, work, (screen.listener, screen.findings))
    return seen[0], well


def agree(screen: Screen, plan: Plan, command: str, *, yes: bool) -> None:
    """Show a plan and ask whether it shall be. Raises Refused when it shall not; `command` is what was typed."""
    from towline.steps.show import plan_lines

    for line in plan_lines(plan):
        screen.talk.print(escape(line))
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused("nobody is there to say yes", hint=f"{command} --yes")
    if not typer.confirm("Do it?", err=True):
        raise Refused("nothing was changed", hint=f"towline plan {plan.target}")
