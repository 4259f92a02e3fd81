"""The identity of a service's code: one digest over the files of its build context."""

from __future__ import annotations

import hashlib
import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

import pathspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NEVER_CODE = (
    ".git/",
    ".towline/",
    ".venv/",
    "venv/",
    "node_modules/",
    "__pycache__/",
    "*.pyc",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".DS_Store",
    "/towline.yaml",
    "/compose.yaml",
    "/compose.yml",
    "/docker-compose.yaml",
    "/docker-compose.yml",
    "/.env",
    "/.env.*",
)
"""What lies in a build context and is not the code: tools' leftovers, and the files that Towline reads by itself."""


def source_digest(context: Path, left_out: Iterable[str] = ()) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over names and contents of the context's files.

    `.dockerignore` is honoured; `left_out` are more patterns, such as the output folder of a build. Times and owners
    do not count, so a fresh checkout of the same code has the same digest.
    """
    total = hashlib.sha256()
    for relative in sorted(_code_files(context, tuple(left_out))):
        path = context / relative
        total.update(os.fsencode(relative) + b"\0")
        if path.is_symlink():
            total.update(b"-> " + os.fsencode(os.readlink(path)) + b"\0")  # noqa: PTH115 - bytes of the link itself
            continue
        with path.open("rb") as handle:
            total.update(hashlib.file_digest(handle, "sha256").digest())
    return total.hexdigest()[:16]


def context_files(context: Path) -> tuple[str, ...]:
    """The files and links of a context that are code, relative to it, in order."""
    return tuple(sorted(_code_files(context, ())))


def code_filter(context: Path, left_out: Iterable[str] = ()) -> pathspec.PathSpec[pathspec.Pattern]:
    """Matches the paths, relative to the context, that are not code."""
    return _filter([*_docker_ignored(context), *left_out, *NEVER_CODE])


def _filter(patterns: Iterable[str]) -> pathspec.PathSpec[pathspec.Pattern]:
    return pathspec.PathSpec.from_lines("gitignore", patterns)


def _docker_ignored(context: Path) -> list[str]:
    """The lines of `.dockerignore` as patterns of Git: Docker's begin at the context, Git's match at any depth."""
    ignore = context / ".dockerignore"
    lines = ignore.read_text(encoding="utf-8-sig", errors="replace").splitlines() if ignore.is_file() else []
    patterns = []
    for line in lines:
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        negated, pattern = pattern.startswith("!"), pattern.removeprefix("!").strip()
        cleaned = posixpath.normpath("/" + pattern.lstrip("/"))
        if cleaned != "/":
            sign = "!" if negated else ""
            patterns += [f"{sign}{cleaned}", f"{sign}{cleaned.removesuffix('/**')}/**"]
    return patterns


def _code_files(context: Path, left_out: tuple[str, ...]) -> Iterator[str]:
    ignored = code_filter(context, left_out)
    takes_back = any(line.startswith("!") for line in _docker_ignored(context))
    # A folder that is left out may hold files that a later `!` line takes back: then it must be looked into.
    closed = _filter([*left_out, *NEVER_CODE]) if takes_back else ignored
    for folder, folders, files in os.walk(context):
        inside = Path(folder).relative_to(context)
        links = [one for one in folders if (Path(folder) / one).is_symlink()]
        folders[:] = [one for one in folders if not closed.match_file(f"{(inside / one).as_posix()}/")]
        for name in (*files, *links):
            relative = (inside / name).as_posix()
            if not ignored.match_file(relative) and _is_content(context / relative):
                yield relative


def _is_content(path: Path) -> bool:
    """True for files and links; a socket or a pipe that a program left has no content, and reading it may never end."""
    return path.is_symlink() or path.is_file()
