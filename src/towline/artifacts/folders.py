"""A folder of the project that a service mounts, as it travels: what is in it, and one digest over all of that."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pathspec

from towline.steps.folders import FOLDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

LEFT_OUT = (
    ".git/",
    "/.towline/",
    "/.env",
    "/.env.*",
    "/secrets/*.age",
    "/secrets/*.recipients",
    "__pycache__/",
    "*.pyc",
    ".DS_Store",
)
"""By the way from the project's folder: what tools leave there by themselves, and the author's own values."""

ALONE = "file"
"""What a single file is called on its way: its own name may have letters that no mount can spell."""


@dataclass(frozen=True)
class Entry:
    """One thing in a folder, at `path` from there.

    `program`: it may be executed. `to` is where a link leads. Bytes.
    """

    path: str
    kind: Literal["file", "folder", "link"]
    program: bool = False
    to: str = ""
    size: int = 0

    @property
    def mode(self) -> int:
        """What it is given on a site: readable for whoever a container runs as, and for nobody to write to."""
        return 0o555 if self.program or self.kind == "folder" else 0o444


@dataclass(frozen=True)
class Folder:
    """What lies at `source`: a folder, or a single file, which is then the only entry.

    `wrong` says by path what cannot travel, and why.
    """

    source: Path
    entries: tuple[Entry, ...]
    wrong: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """Bytes in all of it."""
        return sum(one.size for one in self.entries)

    def at(self, entry: Entry) -> Path:
        """Where an entry lies here."""
        return self.source if self.source.is_file() else self.source / entry.path

    def digest(self) -> str:
        """64 digits over names, kinds and contents; owners, times and all rights but that to be executed do not count.

        Raises OSError for a file that cannot be read.
        """
        total = hashlib.sha256()
        for one in self.entries:
            total.update(f"{one.kind} {one.mode:o} ".encode() + os.fsencode(one.path) + b"\0" + os.fsencode(one.to))
            if one.kind == "file":
                with self.at(one).open("rb") as stream:
                    total.update(b"\0" + hashlib.file_digest(stream, "sha256").digest())
            total.update(b"\0")
        return total.hexdigest()


@dataclass(frozen=True)
class Travelling:
    """A folder with the digest over what is in it, and the way to it from the project's folder, `shown`."""

    folder: Folder
    digest: str
    shown: str

    def name(self, salt: bytes) -> str:
        """What it is called on a site: after its content, which the name tells nobody who cannot guess all of it."""
        return FOLDERS + hmac.new(salt, self.digest.encode(), hashlib.sha256).hexdigest()

    def mounted(self, salt: bytes) -> str:
        """What is mounted of it there: all, or the one file that it is made of."""
        alone = self.folder.source.is_file()
        return f"{self.name(salt)}/{ALONE}" if alone else self.name(salt)


def read_folder(source: Path, root: Path) -> Folder:
    """What lies at `source`, in a project whose folder is `root`; reads no content of a file.

    Raises OSError for a folder that cannot be read.
    """
    source = source.resolve()
    if source.is_file():
        return Folder(source, (_file(source, ALONE),))
    left_out = pathspec.PathSpec.from_lines("gitignore", LEFT_OUT)
    entries: list[Entry] = []
    wrong: list[tuple[str, str]] = []
    for path in _walk(source, root.resolve(), left_out):
        relative = path.relative_to(source).as_posix()
        found = _entry(path, relative, root.resolve())
        if isinstance(found, Entry):
            entries.append(found)
        else:
            wrong.append((relative, found))
    return Folder(source, tuple(sorted(entries, key=lambda one: one.path)), tuple(sorted(wrong)))


def _walk(source: Path, root: Path, left_out: pathspec.PathSpec[pathspec.Pattern]) -> Iterator[Path]:
    """Everything below, folders included: they have rights of their own."""
    for folder, folders, files in os.walk(source, onerror=_raised):
        place = Path(folder)
        kept = [one for one in folders if not left_out.match_file(f"{_below(place / one, root)}/")]
        links = [one for one in kept if (place / one).is_symlink()]
        folders[:] = [one for one in kept if one not in links]
        yield from (place / one for one in folders)
        yield from (place / one for one in (*files, *links) if not left_out.match_file(_below(place / one, root)))


def _raised(error: OSError) -> None:
    raise error


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _entry(path: Path, relative: str, root: Path) -> Entry | str:
    """The entry, or why it cannot travel."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        to = os.readlink(path)  # noqa: PTH115 - the text of the link itself
        # What leads to nothing here is meant for the inside of a container.
        leads_out = path.exists() and not path.resolve().is_relative_to(root)
        return "a link that leads out of the project" if leads_out else Entry(relative, "link", to=to)
    if stat.S_ISDIR(mode):
        return Entry(relative, "folder")
    return _file(path, relative) if stat.S_ISREG(mode) else "no file: a socket, a pipe or a device"


def _file(path: Path, relative: str) -> Entry:
    found = path.stat()
    return Entry(relative, "file", program=bool(found.st_mode & stat.S_IXUSR), size=found.st_size)
