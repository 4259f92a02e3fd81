"""The command that writes the first page: init."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - the parser reads it
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.cli.options import HERE, AsJson, Project
from towline.cli.show import Screen

if TYPE_CHECKING:
    from towline.ops.init import Proposed


def add_to(app: typer.Typer) -> None:
    """Register the commands of this family."""
    app.command()(init)


def init(
    compose: Annotated[
        list[Path] | None,
        typer.Option("--compose", help="The Compose file, or several, when it is not the one that Compose finds."),
    ] = None,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print what would be written, and write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a towline.yaml that is there.")] = False,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Write a towline.yaml guessed from the Compose file, else render.yaml or a Procfile; each line with its reason.

    What will not work elsewhere, and what only you can tell, is listed on stderr.
    """
    from towline.ops.init import proposed, write

    screen = Screen(as_json)
    found = proposed(project, tuple(compose or ()))
    written = () if stdout else write(project, found.files, force=force)
    if as_json:
        screen.json(_document(found, written))
        return
    screen.findings(found.proposal.findings)
    if stdout:
        sys.stdout.write(_together(found.files))
        return
    screen.answer.print(escape(f"wrote {' and '.join(written)}: {_counts(found)}"))
    screen.talk.print("\nhint: towline check")


def _document(found: Proposed, written: tuple[str, ...]) -> dict[str, object]:
    return {
        "source": found.source,
        "written": list(written),
        "files": found.files,
        "guesses": [guess.as_json() for guess in found.proposal.guesses],
        "findings": [finding.as_json() for finding in found.proposal.findings],
    }


def _together(files: dict[str, str]) -> str:
    """One file as it is, several as documents of one YAML stream with their names."""
    if len(files) == 1:
        return next(iter(files.values()))
    return "---\n".join(f"# {name}\n{text}" for name, text in files.items())


def _counts(found: Proposed) -> str:
    guesses = found.proposal.guesses
    unsure = sum(guess.confidence == "unsure" for guess in guesses)
    open_ = len(found.proposal.open)
    return f"{len(guesses) - open_} lines from {found.source}, {unsure} of them unsure, {open_} TODO"
