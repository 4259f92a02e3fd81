"""The identity of a service's code: one digest over the files of its build context."""

from __future__ import annotations

import hashlib
import os
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
    for relative in sorted(_code_files(context, left_out)):
        path = context / relative
        total.update(relative.encode(errors="surrogateescape") + b"\0")
        if path.is_symlink():
            total.update(os.fsencode(os.readlink(path)))  # noqa: PTH115 - bytes of the link itself
            continue
        with path.open("rb") as handle:
            total.update(hashlib.file_digest(handle, "sha256").digest())
    return total.hexdigest()[:16]


def code_filter(context: Path, left_out: Iterable[str] = ()) -> pathspec.PathSpec[pathspec.Pattern]:
    """Matches the paths, relative to the context, that are not code."""
    ignore = context / ".dockerignore"
    own = ignore.read_text(errors="replace").splitlines() if ignore.is_file() else []
    return pathspec.PathSpec.from_lines("gitignore", [*NEVER_CODE, *own, *left_out])


def _code_files(context: Path, left_out: Iterable[str]) -> Iterator[str]:
    ignored = code_filter(context, left_out)
    for folder, folders, files in os.walk(context):
        inside = Path(folder).relative_to(context)
        folders[:] = [one for one in folders if not ignored.match_file(f"{(inside / one).as_posix()}/")]
        for name in files:
            relative = (inside / name).as_posix()
            if not ignored.match_file(relative):
                yield relative
