"""The command that brings a target on hosts to what the files say: deploy."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.cli.options import HERE, AsJson, Project, Settings, told_in
from towline.cli.show import Screen
from towline.core.errors import Refused

if TYPE_CHECKING:
    from towline.ops.hosts import Hosts
    from towline.steps.model import Plan

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(deploy)


def deploy(
    target: Annotated[str, typer.Argument(help="A target of towline.yaml whose sites are hosts.", show_default=False)],
    *,
    settings: Settings = None,
    yes: Yes = False,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Bring a target on hosts to what the files say: new copies first, then the traffic, then the old ones.

    The plan is shown and asked about. A step that fails takes everything back. Run again it changes nothing.
    """
    from towline.ops import deploy as story
    from towline.ops.hosts import open_hosts
    from towline.ops.verify_hosts import verify_hosts

    screen = Screen(as_json)
    today = datetime.now(UTC).date().isoformat()
    hosts = open_hosts(project, target, today, screen.listener, told_in(settings or []))
    prepared = story.prepare(hosts)
    if prepared.plan.empty:
        screen.talk.print("Everything is as the files say: nothing was changed.")
    else:
        _ask(screen, hosts, prepared.plan, yes=yes or as_json)
        story.deploy(hosts, prepared, screen.listener)
    screen.quiet()
    verdict = verify_hosts(hosts, screen.checked)
    screen.quiet()
    if as_json:
        screen.json(
            {"release": prepared.plan.release, "changed": not prepared.plan.empty, "verdict": verdict.as_json()}
        )
    else:
        screen.checks(verdict)
        screen.answer.print(f"[bold]{escape(verdict.summary)}[/bold]")
    if not verdict.ok:
        raise typer.Exit(5)


def _ask(screen: Screen, hosts: Hosts, plan: Plan, *, yes: bool) -> None:
    from towline.steps.show import plan_lines

    for line in plan_lines(plan):
        screen.talk.print(escape(line))
    for note in plan.notes:
        screen.talk.print(f"note: {escape(note)}")
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused("nobody is there to say yes", hint=f"towline deploy {hosts.target.name} --yes")
    if not typer.confirm("Do it?", err=True):
        raise Refused("nothing was changed", hint=f"towline plan {hosts.target.name}")
