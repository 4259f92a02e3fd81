"""The story of `init`: find what describes the app, guess a page from it, write what is not there yet."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.core.errors import Finding, Findings, Refused, UsageError, Where
from towline.core.files import write_atomic
from towline.spec.check import in_order
from towline.spec.compose import find_files, read_compose
from towline.spec.guess.model import Guess, Proposal
from towline.spec.guess.page_text import page_text
from towline.spec.guess.propose import propose
from towline.spec.guess.scene import Scene
from towline.spec.guess.surroundings import surroundings, text_of
from towline.spec.procfile import READ, translate_procfile
from towline.spec.read import PAGE
from towline.spec.render_yaml import translate_render
from towline.spec.source import read_source
from towline.spec.write_compose import Translated, compose_text, config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COMPOSE = "compose.yaml"
RENDER = ("render.yaml", "render.yml")
PROCFILE = "Procfile"


@dataclass(frozen=True)
class Proposed:
    """The files to write, by name, and the proposal that they say; `source` is what it was guessed from."""

    source: str
    proposal: Proposal
    files: dict[str, str]


def proposed(project: Path, compose: tuple[Path, ...] = (), *, env: Mapping[str, str] = os.environ) -> Proposed:
    """What `init` would write for folder `project`, from the Compose files that are named, else from what is there.

    Raises Findings when Compose refuses its file or there is nothing to guess from, UsageError for a file or folder
    that is not there, SiteUnreachable when there is no Compose to read with.
    """
    if not project.is_dir():
        raise UsageError(f"there is no folder {project}", hint="ls")
    project = project.resolve()
    named = tuple(_named(project, path) for path in compose)
    paths = named or find_files(project)
    if paths:
        return _from_compose(project, paths, env, written=bool(named))
    render = next((project / name for name in RENDER if (project / name).is_file()), None)
    if render is not None:
        source = read_source(text_of(render), render.name, strict=False)
        if source.broken:
            raise Findings(source.findings)
        return _translated(project, translate_render(source))
    if (project / PROCFILE).is_file():
        beside = {name: text_of(project / name) for name in READ if (project / name).is_file()}
        return _translated(project, translate_procfile(text_of(project / PROCFILE), beside))
    raise Findings((_nothing(),))


def write(project: Path, files: Mapping[str, str], *, force: bool) -> tuple[str, ...]:
    """Write the files; their names. Raises Refused when one is there already and `force` is not given."""
    there = [name for name in files if (project / name).exists()]
    if there and not force:
        names = " and ".join(there)
        raise Refused(f"{names} is there already; nothing was written", hint="towline init --stdout, or --force")
    for name, text in files.items():
        try:
            write_atomic(project / name, text, mode=0o644)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise UsageError(f"{name} cannot be written: {reason}", hint="towline init --stdout") from error
    return tuple(files)


def _named(project: Path, path: Path) -> Path:
    found = path if path.is_absolute() else project / path
    if not found.is_file():
        raise UsageError(f"there is no Compose file {path}", hint="towline init --compose FILE")
    if not found.resolve().is_relative_to(project):
        raise UsageError(f"{path} lies outside of the project", hint=f"towline init --project {found.parent}")
    return found


def _from_compose(project: Path, paths: tuple[Path, ...], env: Mapping[str, str], *, written: bool) -> Proposed:
    read = read_compose(paths, env=env)
    names = tuple(path.resolve().relative_to(project).as_posix() for path in paths)
    told = (Guess(("compose",), names if len(names) > 1 else names[0], "as you named it", "sure"),) if written else ()
    proposal = propose(Scene(read, surroundings(read), told))
    found = in_order((*read.findings, *proposal.findings))
    proposal = Proposal(proposal.app, proposal.guesses, found)
    return Proposed(names[0], proposal, {PAGE: page_text(proposal, names[0])})


def _translated(project: Path, translated: Translated) -> Proposed:
    if not translated.services:
        raise Findings((*translated.findings, _empty(translated.source)))
    name = re.sub(r"[^a-z0-9_-]+", "-", project.name.lower()).strip("-_") or "app"
    read = config(translated, project, name)
    folders = {guess.field[1]: str(guess.value) for guess in translated.told if guess.field[2:] == ("cwd",)}
    proposal = propose(Scene(read, surroundings(read, folders), translated.told, translated.otherwise))
    proposal = Proposal(proposal.app, proposal.guesses, in_order((*translated.findings, *proposal.findings)))
    files = {COMPOSE: compose_text(translated, name), PAGE: page_text(proposal, translated.source)}
    return Proposed(translated.source, proposal, files)


def _nothing() -> Finding:
    sentence = "There is no Compose file in this folder, no render.yaml and no Procfile"
    return Finding("no-compose-file", sentence, Where(COMPOSE), "write compose.yaml, or: towline init --compose FILE")


def _empty(source: str) -> Finding:
    return Finding("no-compose-file", f"{source} names no service", Where(source), "write compose.yaml")
