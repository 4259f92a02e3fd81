"""The life of an app on a laptop: up and down."""

from __future__ import annotations

import contextlib
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.markup import escape

from towline.cli.options import HERE, LAPTOP, AsJson, Project, Target
from towline.cli.show import Screen
from towline.core import events
from towline.ops.wake import wake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.ops.report import Verdict
    from towline.ops.workspace import Standing, Workspace


def add_to(app: typer.Typer) -> None:
    """Register the commands of this family."""
    for command in (up, down):
        app.command()(command)


@dataclass(frozen=True)
class Wish:
    """How long the app should stay: until Ctrl-C, until `towline down`, or only until it was verified."""

    detach: bool
    once: bool


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Leave it running and give the terminal back.")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Stop it again after verifying; the verdict is the exit status.")
    ] = False,
    project: Project = HERE,
    target: Target = LAPTOP,
    as_json: AsJson = False,
) -> None:
    """Start the app with its real servers, prove that it works, and show its log until Ctrl-C.

    Run again it changes only what the files say is different. Ctrl-C stops everything in order and keeps all data.
    """
    screen = Screen(as_json)
    workspace = _looked_over(project, target, screen)
    wish = Wish(detach or as_json, once)
    with _signals_as_interrupt():
        try:
            verdict = _bring_up(workspace, screen, wish)
            if not (wish.once or wish.detach):
                _stay(workspace, screen)
        except KeyboardInterrupt:
            _stop_all(workspace.standing, screen)
            raise
        if wish.once:
            _stop_all(workspace.standing, screen)
            _last_word(screen, verdict)
    if not verdict.ok:
        raise typer.Exit(5)


def down(
    purge: Annotated[
        str | None,
        typer.Option(
            "--purge", metavar="NAME", help="Then DELETE the data of this store, or of the whole app by its own name."
        ),
    ] = None,
    project: Project = HERE,
    target: Target = LAPTOP,
    as_json: AsJson = False,
) -> None:
    """Stop everything in order. Data stays, unless --purge names what to delete."""
    from towline.ops import down as story
    from towline.ops.workspace import open_standing

    screen = Screen(as_json)
    standing = open_standing(project, target)
    if purge is not None:
        story.refuse_unknown(standing, purge)
    stopped = story.down(standing, screen.listener)
    purged = story.purge(standing, purge, screen.listener) if purge is not None else None
    screen.quiet()
    if as_json:
        screen.json({"stopped": stopped is not None, "purged": purge if purged else None})
    elif purged is not None:
        screen.answer.print(f"The data of {escape(str(purge))} is deleted.")
    elif stopped is None:
        screen.answer.print(f"Nothing of {escape(standing.app)} was running. Its data is where it was.")
    else:
        screen.answer.print(f"{escape(standing.app)} is down. Its data stays in {escape(str(project / '.towline'))}.")


def _looked_over(project: Path, target: str, screen: Screen) -> Workspace:
    """The target, opened when neither the files nor the machine have anything against it."""
    wake(project, target)
    from towline.spec.read import read_with_mistakes

    with ThreadPoolExecutor(1, "reading") as beside:
        # Compose takes a while over its file, and so does loading the rest of Towline: side by side.
        reading = beside.submit(read_with_mistakes, project, target) if project.is_dir() else None
        from towline.ops.preflight import refuse, report
        from towline.ops.workspace import survey

        import_module("towline.ops.deploy")
        seen = survey(project, target, screen.listener, reading=reading.result() if reading else None)
    found = report(seen)
    refuse(found)
    workspace = seen.workspace()
    screen.findings(found)
    return workspace


class _Loading:
    """A listener that loads the clients `verify` asks with once traffic shifts: before, the app itself is starting."""

    def __init__(self, listener: events.Listener) -> None:
        self._listener = listener
        self._started = False

    def __call__(self, event: events.Event) -> None:
        self._listener(event)
        if isinstance(event, events.StepBegan) and event.title.startswith("shift ") and not self._started:
            self._started = True
            Thread(target=_load_clients, name="clients", daemon=True).start()


def _load_clients() -> None:
    for name in ("towline.ops.verify", "psycopg", "redis"):
        import_module(name)


def _bring_up(workspace: Workspace, screen: Screen, wish: Wish) -> Verdict:
    """Plan, deploy, verify, and print what was seen."""
    from towline.ops.deploy import deploy, prepare

    prepared = prepare(workspace)
    for note in prepared.plan.notes:
        screen.talk.print(f"note: {escape(note)}")
    if prepared.plan.empty:
        screen.talk.print("Everything is as the files say: nothing was changed.")
    else:
        deploy(workspace, prepared, _Loading(screen.listener))
    screen.quiet()
    from towline.ops.verify import verify

    verdict = verify(workspace, screen.checked)
    screen.quiet()
    urls = workspace.public_urls()
    if screen.as_json:
        screen.json({"addresses": urls, "verdict": verdict.as_json()})
        return verdict
    screen.checks(verdict)
    for name, url in urls.items():
        screen.answer.print(f"[bold]{escape(name)}[/bold]  [link={url}]{url}[/link]")
    if not wish.once:
        _last_word(screen, verdict)
        _how_to_stop(screen, workspace, wish)
    return verdict


def _last_word(screen: Screen, verdict: Verdict) -> None:
    if not screen.as_json:
        screen.answer.print(f"[bold]{escape(verdict.summary)}[/bold]")


def _how_to_stop(screen: Screen, workspace: Workspace, wish: Wish) -> None:
    place = "" if workspace.project == HERE.resolve() else f" -C {workspace.project}"
    if wish.detach:
        screen.talk.print(f"It goes on running. Log: towline logs -f{place}   Stop: towline down{place}")
    else:
        screen.talk.print(f"Ctrl-C stops it and keeps the data; from elsewhere: towline down{place}")


def _stay(workspace: Workspace, screen: Screen) -> None:
    """Show the log until Ctrl-C or the app's end; when another terminal does so already, leave it there."""
    from towline.cli.attach import attached, follow

    with attached(workspace) as mine:
        if not mine:
            screen.talk.print("Another terminal shows its log and stops it with Ctrl-C; this one is free again.")
            return
        follow(workspace, screen)
    screen.talk.print("It was stopped from elsewhere.")


def _stop_all(standing: Standing, screen: Screen) -> None:
    from towline.ops.down import down as stop

    screen.quiet()
    screen.talk.print("\nStopping; the data stays.")
    with _uninterrupted():
        stop(standing, screen.listener)
    screen.quiet()


@contextlib.contextmanager
def _signals_as_interrupt() -> Iterator[None]:
    """A closed terminal and a polite kill stop the app as Ctrl-C does."""

    def interrupt(number: int, frame: object) -> NoReturn:
        del number, frame
        raise KeyboardInterrupt

    earlier = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """An impatient second Ctrl-C does not leave half of it running."""
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)
