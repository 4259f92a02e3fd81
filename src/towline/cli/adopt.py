"""The command that takes over an app which already runs under Compose on a host: adopt."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.cli.options import HERE, AsJson, Project, Settings, told_in
from towline.cli.show import Screen
from towline.core.errors import Refused
from towline.core.units import show_bytes

if TYPE_CHECKING:
    from towline.ops.adopt import Adopting
    from towline.ops.hosts import Hosts

From = Annotated[str | None, typer.Option("--from", metavar="PROJECT", help="The Compose project, if several fit.")]
Leave = Annotated[list[str] | None, typer.Option("--leave", metavar="NAME", help="Begin it empty; data stays there.")]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(adopt)


def adopt(  # noqa: PLR0913 - a command has the options that it has
    target: Annotated[str, typer.Argument(help="A target of towline.yaml with one host.", show_default=False)],
    *,
    source: From = None,
    leave: Leave = None,
    settings: Settings = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done; exit status 10.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; nor does --json.")] = False,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Take over an app that runs under Compose on the host: its settings, its data, its ports.

    Its containers are stopped and kept, its data is copied: `towline rollback` brings all of it back.
    """
    from towline.ops import adopt as story
    from towline.ops.opening import open_hosts
    from towline.ops.verify_hosts import verify_hosts

    screen = Screen(as_json, target)
    today = datetime.now(UTC).date().isoformat()
    hosts = open_hosts(project, target, today, screen.listener, told_in(settings or []))
    adopting = story.prepare_adoption(hosts, source, frozenset(leave or ()))
    if not as_json:
        _show(screen, adopting)
    if plan:
        if as_json:
            screen.json(adopting.as_json())
        raise typer.Exit(10)
    _ask(hosts, yes=yes or as_json)
    story.adopt(adopting, screen.listener)
    screen.quiet()
    verdict = verify_hosts(hosts, screen.checked, bundle=adopting.prepared.bundle)
    screen.quiet()
    if as_json:
        screen.json({**adopting.as_json(), "verdict": verdict.as_json()})
    else:
        screen.checks(verdict)
        screen.answer.print(f"[bold]{escape(verdict.summary)}[/bold]")
        screen.talk.print(escape(_afterwards(hosts, adopting)))
    if not verdict.ok:
        raise typer.Exit(5)


def _show(screen: Screen, adopting: Adopting) -> None:
    from towline.steps.show import plan_lines

    found = adopting.found
    rows = [
        (one.service or one.name, one.image, one.state, ", ".join(map(str, one.ports)))
        for one in adopting.others
        if one.project == found.project
    ]
    screen.table((f"of {found.project}", "image", "state", "ports"), rows)
    rows = [(one.owner, one.source, show_bytes(one.size), one.why or "copied") for one in found.taken]
    screen.table(("data of", "from", "size", ""), rows)
    if adopting.settings:
        screen.talk.print(f"into the vault, as they run: {escape(', '.join(sorted(adopting.settings)))}")
    for line in plan_lines(adopting.prepared.plan):
        screen.talk.print(escape(line))


def _ask(hosts: Hosts, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused("nobody is there to say yes", hint=f"towline adopt {hosts.target.name} --yes")
    if not typer.confirm("Do it?", err=True):
        raise Refused("nothing was changed", hint=f"towline adopt {hosts.target.name} --plan")


def _afterwards(hosts: Hosts, adopting: Adopting) -> str:
    name = adopting.found.project
    return (
        f"{name} is stopped and kept. Back: towline rollback -t {hosts.target.name}. "
        f"When you are sure, on the host: docker compose -p {name} rm"
    )
