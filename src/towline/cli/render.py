"""The command that writes files which stand on their own: render."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.cli.options import HERE, AsJson, Project
from towline.cli.show import Screen

if TYPE_CHECKING:
    from towline.ops.render import Placed

Out = Annotated[
    Path | None,
    typer.Option("--out", help="The folder to write to; else deploy/TARGET in the project.", file_okay=False),
]
Only = Annotated[str | None, typer.Option("--only", help="Only the files that fit: '*.yaml', '.github/*'.")]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit status 10 when something would change.")]
ToStdout = Annotated[str | None, typer.Option("--stdout", help="Print this one file, and write nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that towline did not write.")]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(render)


def render(  # noqa: PLR0913 - a command has the options that it has
    target: Annotated[str, typer.Argument(help="A target of towline.yaml.", show_default=False)],
    *,
    out: Out = None,
    only: Only = None,
    check: Check = False,
    stdout: ToStdout = None,
    force: Force = False,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Write the target as files that need no Towline: Compose, proxy, Dockerfiles, Blueprint, workflows, docs.

    The same project gives the same bytes. No file holds a secret: `.env.example` names what has to be set. Exit status
    10, with --check: a file would be new or another.
    """
    from towline.ops import render as ops

    screen = Screen(as_json)
    folder = out if out is not None else project / "deploy" / target
    files = ops.rendered(ops.material_of(project, target, folder))
    if stdout is not None:
        sys.stdout.write(ops.one_of(files, stdout).text)
        return
    wanted = ops.only(files, only)
    found, stale = ops.placed(wanted, folder), ops.left_over(files, folder, target)
    if not check:
        ops.write(found, folder, force=force)
    if as_json:
        screen.json(_document(target, folder, found, stale, written=not check))
    else:
        _print(screen, folder, found, stale)
    if check and any(one.state != "same" for one in found):
        raise typer.Exit(10)


def _document(
    target: str, folder: Path, found: tuple[Placed, ...], stale: tuple[str, ...], *, written: bool
) -> dict[str, object]:
    files = [
        {"path": one.file.path, "state": one.state, "what": one.file.what, "executable": one.file.executable}
        for one in found
    ]
    return {"target": target, "out": str(folder), "written": written, "files": files, "left_over": list(stale)}


def _print(screen: Screen, folder: Path, found: tuple[Placed, ...], stale: tuple[str, ...]) -> None:
    rows = [(str(folder / one.file.path), one.state, one.file.what) for one in found]
    screen.table(("file", "", "what it is"), rows)
    for name in stale:
        screen.talk.print(escape(f"note: {folder / name} is of an earlier rendering, and no longer part of the target"))
    if not found:
        screen.talk.print("note: there is nothing to render for this target")
