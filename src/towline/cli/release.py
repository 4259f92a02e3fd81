"""Commands that go on or go back: resume, rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.cli.options import HERE, LAPTOP, AsJson, Project, Target, Which, chosen
from towline.cli.show import Screen
from towline.ops.opening import open_target

if TYPE_CHECKING:
    from pathlib import Path

    from towline.ops.hosts import Hosts
    from towline.release.engine import Outcome


def add_to(app: typer.Typer) -> None:
    """Register the commands of this family."""
    for command in (resume, rollback):
        app.command()(command)


def resume(which: Which = None, project: Project = HERE, target: Target = LAPTOP, as_json: AsJson = False) -> None:
    """Go on with a run that broke off: each step is asked first whether it is done already."""
    target = chosen(which, target, "resume")
    screen = Screen(as_json, target)
    workspace = open_target(project, target, screen.listener)
    from towline.ops import recover

    _say(screen, recover.resume(workspace, screen.listener))


Back = Annotated[
    int | None, typer.Argument(metavar="RELEASE", help="As `towline history` has it; else the one before.")
]


def rollback(release: Back = None, project: Project = HERE, target: Target = LAPTOP, as_json: AsJson = False) -> None:
    """Go back to the release before, and take back a run that failed or broke off. Data is never taken back.

    To an earlier RELEASE it goes back over those between, one after the other.
    """
    screen = Screen(as_json, target)
    workspace = open_target(project, target, screen.listener)
    # A host is on its way now: what else is needed is loaded meanwhile.
    from towline.ops import recover
    from towline.ops.workspace import Workspace

    number = release
    if number is None:
        plan = recover.what_rollback_would_do(workspace)
        number = plan.release
        for note in plan.notes:
            screen.talk.print(f"note: {escape(note)}")
    if isinstance(workspace, Workspace):
        _say(screen, recover.roll_back(workspace, screen.listener, release))
    else:
        _roll_back_hosts(screen, workspace, project.resolve(), release, number)


def _roll_back_hosts(screen: Screen, hosts: Hosts, project: Path, release: int | None, number: int) -> None:
    """To `number`, with the hooks and messages of the app around it."""
    from towline.ops import recover
    from towline.ops.occasion import occasion_of
    from towline.ops.told import told
    from towline.ops.workspace import owner

    done: list[Outcome] = []

    def work() -> tuple[bool, str]:
        done.append(recover.roll_back(hosts, screen.listener, release))
        screen.quiet()
        return True, f"rolled back in {done[0].seconds:.1f} s"

    occasion = occasion_of(hosts, "rollback", number, owner())
    well = told(hosts, project, occasion, work, (screen.listener, screen.findings))
    _say(screen, done[0])
    if not well:
        raise typer.Exit(5)


def _say(screen: Screen, outcome: Outcome) -> None:
    screen.quiet()
    if screen.as_json:
        screen.json({"run": outcome.run, "changed": outcome.changed, "already": outcome.already})
    else:
        screen.answer.print(f"done in {outcome.seconds:.1f} s: {outcome.changed} changed, {outcome.already} already so")
