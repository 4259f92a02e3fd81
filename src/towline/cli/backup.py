"""Commands about the backups of a target's databases: backup, restore."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.cli.options import HERE, AsJson, Project
from towline.cli.show import Screen
from towline.core.errors import Refused
from towline.core.units import show_bytes

if TYPE_CHECKING:
    from towline.ops.backups import Backup
    from towline.steps.model import Plan

Target = Annotated[str, typer.Argument(help="A target whose sites are hosts.", show_default=False)]
Named = Annotated[
    str | None, typer.Option("--name", metavar="TARGET", help="The name of the target once more: do not ask.")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this family."""
    for command in (backup, restore):
        app.command()(command)


def backup(
    target: Target,
    *,
    listed: Annotated[bool, typer.Option("--list", help="Only list what there is.")] = False,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Back up every database on the hosts of a target, there, and read each backup to its end; then list them.

    One that was asked for stays until somebody deletes it; of those taken before releases the newest are kept.
    """
    from towline.ops import backups as story
    from towline.ops.opening import open_hosts

    screen = Screen(as_json, target)
    hosts = open_hosts(project, target, "", screen.listener)
    if not listed:
        story.carry_out(hosts, story.plan_backup(hosts, story.look(hosts)), screen.listener)
        screen.quiet()
    _list(screen, story.backups(hosts), target)


def restore(
    target: Target,
    name: Annotated[str, typer.Argument(metavar="BACKUP", help="Its number.", show_default=False)],
    *,
    named: Named = None,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Put a backup into the place of the databases it is of. What was written since is no longer seen by the app.

    The backup is read into a new database first; then connections end for a moment and the two change names. The
    database of before is kept beside it, under the name that the plan tells.
    """
    from towline.ops import backups as story
    from towline.ops.opening import open_hosts

    screen = Screen(as_json, target)
    hosts = open_hosts(project, target, "", screen.listener)
    plan = story.plan_restore(hosts, story.look(hosts), name)
    _agree(screen, plan, name, named)
    outcome = story.carry_out(hosts, plan, screen.listener)
    screen.quiet()
    if as_json:
        screen.json({"run": outcome.run, "restored": name})
    else:
        screen.answer.print(f"backup {escape(name)} is in place ({outcome.seconds:.1f} s)")


def _agree(screen: Screen, plan: Plan, name: str, named: str | None) -> None:
    """Raises Refused unless the target's name is typed."""
    from towline.steps.show import plan_lines

    for line in plan_lines(plan):
        screen.talk.print(escape(line))
    command = f"towline restore {plan.target} {name} --name {plan.target}"
    if named is None and not sys.stdin.isatty():
        raise Refused("nobody is there to type the name of the target", hint=command)
    typed = named if named is not None else typer.prompt(f"Type `{plan.target}` to do it", err=True)
    if typed != plan.target:
        raise Refused(f"`{typed}` is not the name of the target; nothing was changed", hint=command)


def _list(screen: Screen, found: tuple[Backup, ...], target: str) -> None:
    if screen.as_json:
        screen.json([vars(one) for one in found])
        return
    if not found:
        screen.talk.print(f"There is no backup of {escape(target)}.\n\nhint: towline backup {escape(target)}")
        return
    rows = [
        (
            one.name,
            one.store,
            one.at,
            show_bytes(one.size),
            str(one.tables),
            one.head,
            "before a release" if one.why == "release" else "asked for",
            one.restored or "never",
        )
        for one in found
    ]
    screen.table(("backup", "store", "made", "size", "tables", "head", "why", "restored"), rows)
