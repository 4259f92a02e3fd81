"""Commands that only read: check, status, logs, verify, exec, history."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.cli.options import HERE, LAPTOP, AsJson, Project, Services, Target, Which, chosen
from towline.cli.show import Screen
from towline.core.errors import UsageError
from towline.core.process import as_a_shell_has_it
from towline.core.units import many, show_bytes, show_seconds
from towline.ops import inspect
from towline.ops.opening import open_target
from towline.ops.workspace import Workspace, survey
from towline.spec.codes import TO_RUN_HERE

if TYPE_CHECKING:
    from pathlib import Path

    from towline.core.errors import Finding
    from towline.ops.workspace import Survey


def add_to(app: typer.Typer) -> None:
    """Register the commands of this family."""
    for command in (check, status, logs, verify, history):
        app.command()(command)
    app.command(name="exec", context_settings={"ignore_unknown_options": True})(execute)


def check(which: Which = None, project: Project = HERE, target: Target = LAPTOP, as_json: AsJson = False) -> None:
    """Read compose.yaml and towline.yaml and list at once all that is wrong with them, and with this machine."""
    from towline.ops.preflight import report

    target = chosen(which, target, "check")
    screen = Screen(as_json, target)
    seen = survey(project, target, screen.listener)
    found = report(seen)
    if _is_on_hosts(seen):
        found = _with_hosts(tuple(one for one in found if one.code not in TO_RUN_HERE), project, target, screen)
    errors = [one for one in found if one.level == "error"]
    if not errors and not _is_on_hosts(seen):
        seen.workspace()
    if as_json:
        screen.json({"ok": not errors, "findings": [one.as_json() for one in found]})
    else:
        screen.findings(found)
        count = f"{many(len(errors), 'mistake')}, {many(len(found) - len(errors), 'warning')}"
        screen.answer.print(f"{escape(_subject(seen, target))}; {count}")
    if errors:
        raise typer.Exit(2)


def _is_on_hosts(seen: Survey) -> bool:
    """Whether the target is on machines of one's own: then they are looked at, and not this one."""
    target = seen.reading.target
    return target is not None and bool(target.sites) and all(one.kind == "host" for one in target.sites)


def _with_hosts(found: tuple[Finding, ...], project: Path, target: str, screen: Screen) -> tuple[Finding, ...]:
    """What was found in the files, and when that is no mistake, on the hosts as well."""
    from towline.ops.opening import open_hosts
    from towline.ops.preflight_hosts import looked_over

    if any(one.level == "error" for one in found):
        return found
    return (*found, *looked_over(open_hosts(project, target, "", screen.listener))[1])


def _subject(seen: Survey, target: str) -> str:
    """What was checked, in numbers; of a Compose file that nobody can read only its folder."""
    view = seen.reading.view
    if view is None:
        return f"{seen.project.name} on {target}"
    services, stores = many(len(view.app.services), "service"), many(len(view.app.stores), "store")
    return f"{view.app.name} on {target}: {services}, {stores}"


def status(
    names: Services = None,
    project: Project = HERE,
    target: Target = LAPTOP,
    as_json: AsJson = False,
) -> None:
    """What runs, how it is, and how much memory it takes."""
    screen = Screen(as_json, target)
    workspace = open_target(project, target, screen.listener)
    found = inspect.status(workspace, tuple(names or ()))
    urls = workspace.public_urls()
    if as_json:
        screen.json({"addresses": urls, "instances": [vars(one) for one in found]})
        return
    local = isinstance(workspace, Workspace)
    if not found:
        begin = "towline up" if local else f"towline deploy {target}"
        screen.talk.print(f"Nothing of {escape(workspace.app.name)} runs.\n\nhint: {begin}")
        return
    several = len(workspace.onlookers) > 1
    rows = [
        (
            *((one.site,) if several else ()),
            one.service,
            one.name,
            one.state,
            str(one.pid or "-"),
            show_seconds(one.uptime) if one.pid else "-",
            show_bytes(one.memory) if one.memory else "-",
            str(one.restarts),
            urls.get(one.service, f"{'127.0.0.1' if local else ''}:{one.port}" if one.port else ""),
        )
        for one in found
    ]
    head = ("service", "instance", "state", "pid", "up", "memory", "restarts", "address")
    screen.table(("site", *head) if several else head, rows)
    for one in found:
        if one.verdict:
            screen.talk.print(f"{escape(one.name)}: {escape(one.verdict)}")


def logs(
    names: Services = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many earlier lines.")] = 100,
    project: Project = HERE,
    target: Target = LAPTOP,
    as_json: AsJson = False,
) -> None:
    """What the processes printed, with the name of each before its lines. With --json one object a line."""
    screen = Screen(as_json, target)
    workspace = open_target(project, target, screen.listener)
    found = inspect.logs(workspace, tuple(names or ()), lines, follow=follow)
    stream_logs(screen, found, several=len(workspace.onlookers) > 1)


def verify(which: Which = None, project: Project = HERE, target: Target = LAPTOP, as_json: AsJson = False) -> None:
    """Prove from outside that everything works: processes, stores, front door, one real job, nothing open."""
    from towline.ops.verify import verify as look
    from towline.ops.verify_hosts import verify_hosts

    target = chosen(which, target, "verify")
    screen = Screen(as_json, target)
    workspace = open_target(project, target, screen.listener)
    verdict = look(workspace) if isinstance(workspace, Workspace) else verify_hosts(workspace, whole=True)
    screen.verdict(verdict)
    if not verdict.ok:
        raise typer.Exit(5)


def execute(
    service: Annotated[str, typer.Argument(help="Whose environment and folder.")],
    command: Annotated[list[str], typer.Argument(help="The command; put -- before it when it has options.")],
    project: Project = HERE,
    target: Target = LAPTOP,
    as_json: AsJson = False,
) -> None:
    """Run a command as a process of a service would: its folder, its whole environment, its stores.

    On a laptop it is a process of its own, on a host it runs inside a copy of the service, with your terminal. The exit
    status is the command's.
    """
    workspace = open_target(project, target, Screen(as_json).listener)
    if not isinstance(workspace, Workspace):
        from towline.cli.enter import entered

        raise typer.Exit(entered(workspace, service, command, as_json=as_json))
    environment = {name: value.reveal() for name, value in inspect.environment_of(workspace, service).items()}
    folder = workspace.app.service(service).folder
    _refuse_missing(command[0], folder, environment.get("PATH", os.defpath))
    if as_json:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        output = inspect.clean(workspace, done.stdout), inspect.clean(workspace, done.stderr)
        Screen(as_json).json({"status": done.returncode, "stdout": output[0], "stderr": output[1]})
        raise typer.Exit(as_a_shell_has_it(done.returncode))
    os.chdir(folder)
    os.execvpe(command[0], command, environment)  # noqa: S606 - the user's own command, as typed


def _refuse_missing(program: str, folder: Path, path: str) -> None:
    """Raises UsageError unless the program is found as the service itself would find it."""
    found = shutil.which(str(folder / program)) if "/" in program else shutil.which(program, path=path)
    if found is None:
        place = f"in {folder}" if "/" in program else "on the PATH of this service"
        raise UsageError(f"there is no program `{program}` {place}", hint="towline exec SERVICE -- sh")


def history(which: Which = None, project: Project = HERE, target: Target = LAPTOP, as_json: AsJson = False) -> None:
    """Every release and what became of it."""
    target = chosen(which, target, "history")
    screen = Screen(as_json, target)
    runs = inspect.history(open_target(project, target, screen.listener))
    if as_json:
        told = (
            {
                "run": one.name,
                "intent": one.plan.intent,
                "outcome": one.outcome,
                "at": one.at,
                "by": one.by,
                "notes": list(one.plan.notes),
            }
            for one in runs
        )
        screen.json(list(told))
        return
    rows = [
        (one.name, one.plan.intent, one.outcome, str(len(one.plan.steps)), one.at[:16].replace("T", " "), one.by)
        for one in runs
    ]
    screen.table(("run", "what", "outcome", "steps", "begun (UTC)", "by"), rows)


def stream_logs(screen: Screen, found: object, *, several: bool = False) -> None:
    """Print log lines: a coloured name on a terminal, always the name, and of `several` sites which one it was."""
    import json

    colours = ("cyan", "green", "magenta", "yellow", "blue", "bright_red")
    seen: dict[str, str] = {}
    for line in found:  # type: ignore[attr-defined]  # an iterator of LogLine
        if screen.as_json:
            sys.stdout.write(json.dumps(vars(line), ensure_ascii=False) + "\n")
            sys.stdout.flush()
            continue
        colour = seen.setdefault(line.service, colours[len(seen) % len(colours)])
        clock = line.at[11:19]
        name = f"{line.site}/{line.service}" if several else line.service
        screen.answer.print(f"[dim]{clock}[/dim] [{colour}]{escape(name):<8}[/{colour}] | {escape(line.text)}")
