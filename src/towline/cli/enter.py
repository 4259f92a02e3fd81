"""The command that runs another one in a container of its own: run; and what it shares with exec."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from towline.cli.options import HERE, AsJson, Project
from towline.cli.show import Screen
from towline.core.process import as_a_shell_has_it

if TYPE_CHECKING:
    from towline.ops.hosts import Hosts


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(context_settings={"ignore_unknown_options": True})(run)


def run(
    target: Annotated[str, typer.Argument(help="A target of towline.yaml whose sites are hosts.", show_default=False)],
    service: Annotated[str, typer.Argument(help="Whose image and environment.", show_default=False)],
    command: Annotated[
        list[str], typer.Argument(help="The command; put -- before it when it has options.", show_default=False)
    ],
    *,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Run a command in a new container of a service, beside its copies: the image, environment and limits of a copy.

    The container has your terminal, and is deleted when the command ends. The exit status is the command's; 125: it
    could not be started, 255: the connection broke. `towline exec` goes into a copy that runs.
    """
    from towline.ops.opening import open_hosts

    hosts = open_hosts(project, target, "", Screen(as_json).listener)
    raise typer.Exit(entered(hosts, service, command, as_json=as_json, anew=True))


def entered(hosts: Hosts, service: str, command: list[str], *, as_json: bool, anew: bool = False) -> int:
    """Run it in a copy that runs, with `anew` in a container made like it, and give its exit status."""
    from towline.ops.enter import beside, chosen, enter, enter_quietly, inside

    copy, way = chosen(hosts, service), beside if anew else inside
    if not as_json:
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        return as_a_shell_has_it(enter(way(hosts, copy, command, terminal=terminal)))
    done = enter_quietly(hosts, way(hosts, copy, command, terminal=False))
    told = {"site": copy.site, "instance": copy.name}
    Screen(as_json).json({"status": done.status, "stdout": done.stdout, "stderr": done.stderr, **told})
    return as_a_shell_has_it(done.status)
