"""The command that makes a bare machine a hardened one: provision."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.cli.options import AsJson  # noqa: TC001 - the parser reads it
from towline.cli.show import MARK, Screen
from towline.core.errors import Refused, UsageError
from towline.core.units import byte_count, seconds

if TYPE_CHECKING:
    from towline.ops.provision import Survey
    from towline.release.engine import Outcome
    from towline.release.wishes import Wishes
    from towline.steps.machine import BareMachine
    from towline.steps.model import Plan

SOMETHING_TO_DO = 10


def add_to(app: typer.Typer) -> None:
    """Register the commands of this family."""
    app.command()(provision)


def provision(  # noqa: PLR0913 - a command has the options that it has
    host: Annotated[str, typer.Argument(help="What you type after `ssh`: root@203.0.113.7, or a name that ssh knows.")],
    *,
    user: Annotated[str, typer.Option("--user", help="The user who will deploy.")] = "deploy",
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", help="A file with public keys of that user; without it, ssh's own or the agent's."),
    ] = None,
    swap: Annotated[str, typer.Option("--swap", help="How much swap a machine without any gets; 0 for none.")] = "4GB",
    back: Annotated[
        str, typer.Option("--back-within", help="When sshd and firewall go back unless the new ones were seen to work.")
    ] = "2min",
    host_key: Annotated[
        str | None,
        typer.Option("--host-key", metavar="SHA256:...", help="The fingerprint of a host that ssh does not know yet."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say what is not as it should be; status 10.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done; status 10.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    ssh_config: Annotated[
        Path | None, typer.Option("--ssh-config", help="A configuration for ssh, as with `ssh -F`.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Harden a bare Debian or Ubuntu server and give it Docker: each item is listed before it is done.

    Run again it changes nothing. What could shut you out goes back by itself, unless you were seen to get in.
    """
    from towline.ops.opening import open_bare_machine

    screen = Screen(as_json)
    # What was typed is looked at before anything is asked of the machine.
    wishes = _wishes(user, key or [], swap, back)
    machine = open_bare_machine(host, user, screen.listener, _ssh_options(ssh_config, key or []), host_key)
    try:
        _story(machine, wishes, screen, _Asked(check=check, plan=plan, yes=yes))
    finally:
        machine.close()


class _Asked:
    """What is to be done with what was found."""

    def __init__(self, *, check: bool, plan: bool, yes: bool) -> None:
        self.check, self.plan, self.yes = check, plan, yes


def _story(machine: BareMachine, wishes: Wishes, screen: Screen, asked: _Asked) -> None:
    from towline.ops.provision import provision as act
    from towline.ops.provision import refuse, survey

    seen = survey(machine, wishes, remember=not asked.check)
    screen.findings(seen.against if not screen.as_json else ())
    refuse(seen, machine.address)
    if asked.check:
        _checked(screen, machine, seen)
        return
    to_do = seen.plan(wishes)
    if asked.plan:
        _planned(screen, machine, to_do)
        return
    if to_do.empty:
        _told(screen, machine, seen, None)
        return
    _ask(screen, machine, to_do, yes=asked.yes)
    outcome = act(machine, seen, wishes, screen.listener)
    screen.quiet()
    _told(screen, machine, seen, outcome)


def _wishes(user: str, keys: list[Path], swap: str, back: str) -> Wishes:
    from towline.ops.public_keys import public_keys
    from towline.release.wishes import Wishes, refuse_user

    try:
        size, within = byte_count(swap), seconds(back)
    except ValueError as error:
        raise UsageError(str(error), hint="towline provision --help") from None
    if not 10 <= within <= 3600:
        raise UsageError("--back-within must be between 10 s and an hour", hint="towline provision --help")
    refuse_user(user)
    return Wishes(user, public_keys(keys, Path.home()), size, int(within))


def _ssh_options(config: Path | None, keys: list[Path]) -> tuple[str, ...]:
    from towline.ops.public_keys import private_half

    if config is not None and not config.is_file():
        raise UsageError(f"there is no ssh configuration {config}", hint=f"ls -l {config}")
    chosen = () if config is None else ("-F", str(config))
    private = [half for half in map(private_half, keys) if half is not None]
    return (*chosen, *(word for half in private for word in ("-o", f"IdentityFile={half}")))


def _checked(screen: Screen, machine: BareMachine, seen: Survey) -> None:
    lacking = len(seen.lacking)
    if screen.as_json:
        items = [
            {"item": step.item, "title": step.title, "holds": one.holds, "saw": one.saw} for step, one in seen.items
        ]
        screen.json({"host": machine.address, "system": seen.machine.title, "drift": lacking, "items": items})
    else:
        rows = [(MARK[one.holds], escape(step.title), escape(one.saw)) for step, one in seen.items]
        screen.table(("", "item", "what was seen"), rows, safe=True)
        verdict = (
            "as it should be" if not lacking else f"{lacking} of {len(seen.items)} items are not as they should be"
        )
        screen.answer.print(f"[bold]{escape(machine.address)}: {verdict}[/bold]")
        if lacking:
            screen.talk.print(f"\nhint: towline provision {escape(machine.address)}")
    if lacking:
        raise typer.Exit(SOMETHING_TO_DO)


def _planned(screen: Screen, machine: BareMachine, plan: Plan) -> None:
    from towline.steps.show import plan_json

    if screen.as_json:
        screen.json({"host": machine.address, **plan_json(plan)})
    else:
        for line in _lines(machine, plan):
            screen.answer.print(escape(line))
    if not plan.empty:
        raise typer.Exit(SOMETHING_TO_DO)


def _lines(machine: BareMachine, plan: Plan) -> tuple[str, ...]:
    """The plan under a heading that speaks of a machine and not of an app."""
    from towline.steps.show import plan_lines

    heading = f"{machine.address}: {'nothing to change' if plan.empty else f'{len(plan.steps)} steps'}"
    return (heading, *plan_lines(plan)[1:])


def _ask(screen: Screen, machine: BareMachine, plan: Plan, *, yes: bool) -> None:
    for line in _lines(machine, plan):
        screen.talk.print(escape(line))
    if yes:
        return
    if screen.as_json or not sys.stdin.isatty():
        raise Refused("nobody is there to say yes; nothing was changed", hint="towline provision HOST --yes")
    if not typer.confirm("Do this?", err=True):
        raise Refused("nothing was changed")


def _told(screen: Screen, machine: BareMachine, seen: Survey, outcome: Outcome | None) -> None:
    changed, spent = (0, 0.0) if outcome is None else (outcome.changed, outcome.seconds)
    if screen.as_json:
        screen.json({"host": machine.address, "changed": changed, "seconds": round(spent, 3), "items": len(seen.items)})
        return
    done = f"done in {spent:.1f} s: " if outcome else ""
    screen.answer.print(f"{escape(machine.address)}: {done}{changed} changed, all {len(seen.items)} items hold")
