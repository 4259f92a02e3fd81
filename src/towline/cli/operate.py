"""What an operator does to a release that runs: scale, restart, maintenance, destroy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.cli.options import HERE, AsJson, Project
from towline.cli.show import Screen
from towline.core.errors import Refused

if TYPE_CHECKING:
    from towline.ops.deploy import Prepared
    from towline.ops.destroy import Doomed
    from towline.ops.hosts import Hosts

On = Annotated[str, typer.Argument(help="A target of towline.yaml whose sites are hosts.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; nor does --json.")]
Counts = Annotated[
    list[str], typer.Argument(metavar="SERVICE=NUMBER", help="How many copies shall run.", show_default=False)
]
Names = Annotated[list[str] | None, typer.Argument(help="Services, or one store; all services when none is named.")]
Keep = Annotated[bool, typer.Option("--keep", help="Write the numbers into towline.yaml too, so that they last.")]
OwnPage = Annotated[Path | None, typer.Option("--page", metavar="FILE", help="An HTML page of your own.")]
After = Annotated[int, typer.Option("--retry-after", metavar="SECONDS", help="When clients shall come back.")]
Data = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="NAME", help="DELETE the data of this store too; by the app's name, all of it."),
]
Typed = Annotated[
    str | None, typer.Option("--name", metavar="APP/TARGET", help="The second step: the name of what shall go, typed.")
]

paused = typer.Typer(
    no_args_is_help=True, help="Show a page instead of an app on hosts, with status 503; workers go on."
)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this family."""
    for command in (scale, restart, destroy):
        app.command()(command)
    app.add_typer(paused, name="maintenance")


def scale(
    target: On,
    counts: Counts,
    *,
    keep: Keep = False,
    yes: Yes = False,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Run more or fewer copies of what runs now: new ones first, then the traffic, then the others go.

    It is for now: the next deploy goes by towline.yaml again, and its plan says so. --keep writes the numbers there.
    """
    from towline.ops.operate import asked_in, keep_page, page_with, prepare_scale

    asked = asked_in(counts)
    screen, hosts = _opened(project, target, as_json=as_json)
    page = page_with(project, asked) if keep else None
    _carry_out(screen, hosts, prepare_scale(hosts, asked), f"towline scale {target} {' '.join(counts)}", yes=yes)
    if page is not None:
        keep_page(project, page)
        screen.talk.print("towline.yaml has the numbers now.")


def restart(
    target: On, names: Names = None, *, yes: Yes = False, project: Project = HERE, as_json: AsJson = False
) -> None:
    """Replace each copy by a new one that is made as it is: the new one first, as in a deploy, so no request fails.

    A store or the front door stops and starts again, when it is named; the plan says that nothing reaches it meanwhile.
    """
    from towline.ops.operate import prepare_restart

    screen, hosts = _opened(project, target, as_json=as_json)
    prepared = prepare_restart(hosts, tuple(names or ()))
    _carry_out(screen, hosts, prepared, f"towline restart {' '.join([target, *(names or [])])}", yes=yes)


@paused.command(name="on")
def maintenance_on(
    target: On,
    *,
    page: OwnPage = None,
    retry_after: After = 120,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Answer every request from outside with 503 and a page; no connection is dropped, and workers go on."""
    from towline.ops.maintenance import maintenance, page_in

    text = page_in(page)
    screen, hosts = _opened(project, target, as_json=as_json)
    done = maintenance(hosts, text, retry_after, screen.listener)
    _say(screen, {"maintenance": True, "changed": done is not None}, f"{target} shows the maintenance page.")


@paused.command(name="off")
def maintenance_off(target: On, *, project: Project = HERE, as_json: AsJson = False) -> None:
    """Let requests through again."""
    from towline.ops.maintenance import maintenance

    screen, hosts = _opened(project, target, as_json=as_json)
    done = maintenance(hosts, None, 1, screen.listener)
    _say(screen, {"maintenance": False, "changed": done is not None}, f"{target} answers by itself.")


def destroy(
    target: On,
    *,
    data: Data = None,
    name: Typed = None,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Take an app away from its hosts: containers, networks, names, journal. Data stays unless --data names it.

    Two steps: first what would go is shown, then it goes when the name APP/TARGET is typed.
    """
    from towline.ops import destroy as story

    screen, hosts = _opened(project, target, as_json=as_json)
    doomed = story.what_would_go(hosts, tuple(data or ()))
    for line in doomed.lines:
        screen.talk.print(escape(line))
    _refuse_other_name(hosts, doomed, name)
    story.destroy(hosts, tuple(data or ()), screen.listener)
    _say(screen, {"destroyed": doomed.as_json()}, f"{doomed.title} is gone.")


def _refuse_other_name(hosts: Hosts, doomed: Doomed, name: str | None) -> None:
    deleted = "".join(f" --data {one}" for one in dict.fromkeys(held.name for held in doomed.goes))
    if name is None and sys.stdin.isatty():
        name = typer.prompt(f"Type {doomed.title} to destroy it", default="", show_default=False, err=True)
    if name is None:
        hint = f"towline destroy {hosts.target.name}{deleted} --name {doomed.title}"
        raise Refused("nothing was destroyed: that takes its name, typed", hint=hint)
    if name != doomed.title:
        hint = f"its name is {doomed.title}"
        raise Refused(f"nothing was destroyed: `{name}` is not what would go", hint=hint)


def _opened(project: Path, target: str, *, as_json: bool) -> tuple[Screen, Hosts]:
    from towline.ops.opening import open_hosts

    screen = Screen(as_json, target)
    return screen, open_hosts(project, target, "", screen.listener)


def _carry_out(screen: Screen, hosts: Hosts, prepared: Prepared, command: str, *, yes: bool) -> None:
    from towline.cli.deploy import agree
    from towline.ops.deploy import deploy

    plan = prepared.plan
    if plan.empty:
        _say(screen, {"run": None, "changed": 0}, "It is so already: nothing was changed.")
        return
    agree(screen, plan, command, yes=yes or screen.as_json)
    outcome = deploy(hosts, prepared, screen.listener)
    said = f"done in {outcome.seconds:.1f} s: {outcome.changed} changed, {outcome.already} already so"
    _say(screen, {"run": outcome.run, "changed": outcome.changed}, said)


def _say(screen: Screen, plain: dict[str, object], sentence: str) -> None:
    screen.quiet()
    if screen.as_json:
        screen.json(plain)
    else:
        screen.answer.print(escape(sentence))
