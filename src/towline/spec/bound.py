"""What a service mounts of the author's machine, and what becomes of it on a server."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from towline.spec.data_images import data_folder

if TYPE_CHECKING:
    from towline.spec.container import Build, Container, Mount
    from towline.spec.ground import Ground

Lies = Literal["file", "folder", "empty", "ignored", "absent", "special", "outside"]
"""What is found at a path: `ignored` is a folder that Git is told to leave alone, `outside` is not of the project."""

Fate = Literal["copy", "volume", "data", "image", "clock", "outside", "socket", "missing", "unknown"]
"""What becomes of a mount on a server.

`copy`: it travels, and is read only there. `volume`: a folder to write to, whose content is made there. `data`: where
the image keeps its data, which is on a volume anyway. `image`: the image has it. `clock`: the machine's own time. The
rest cannot be: it lies elsewhere, is no file, or is not there; `unknown` is what nobody has looked at.
"""

_CLOCK = frozenset({"/etc/localtime", "/etc/timezone"})


@dataclass(frozen=True)
class Bound:
    """A file or folder that a service mounts: `source` here, `target` inside.

    `shown` is the way to it from the project, or all of it where it lies elsewhere.
    """

    source: Path
    target: str
    fate: Fate
    shown: str
    folder: bool = True
    read_only: bool = False

    @property
    def volume(self) -> str:
        """The volume that keeps what is written there: services that mount one folder share one."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.shown.lower()).strip("-")
        return f"folder-{plain}"


def bound_of(container: Container, ground: Ground, root: Path) -> tuple[Bound, ...]:
    """Every file or folder that a service mounts of the author's machine, by what was found there."""
    return tuple(
        Bound(
            Path(one.source),
            one.target,
            _fate(one, container, ground),
            _shown(Path(one.source), root),
            folder=ground.lies.get(one.source) != "file",
            read_only=one.read_only,
        )
        for one in container.mounts
        if one.kind == "bind"
    )


def lies_of(container: Container, root: Path) -> dict[str, Lies]:
    """What lies where a service mounts something of this machine, by path; reads no content."""
    return {one.source: _lies(Path(one.source), root, one) for one in container.mounts if one.kind == "bind"}


def _fate(mount: Mount, container: Container, ground: Ground) -> Fate:
    if mount.target == data_folder(container):
        return "data"
    if mount.source in _CLOCK:
        return "clock"
    lies = ground.lies.get(mount.source)
    if lies == "special" or mount.source.endswith("/docker.sock"):
        return "socket"
    if lies in (None, "outside"):
        return "outside" if lies else "unknown"
    built_with = container.build is not None and _in_image(mount, container.build, ground.copied)
    return "image" if built_with else _of_project(mount, lies)


def _of_project(mount: Mount, lies: Lies | None) -> Fate:
    if lies == "absent" and (mount.read_only or Path(mount.source).suffix):
        return "missing"
    return "volume" if lies in ("absent", "empty", "ignored") and not mount.read_only else "copy"


def _in_image(mount: Mount, build: Build, copied: tuple[Mount, ...]) -> bool:
    """Whether its image was built with it in that place; the whole of what it is built from is its code."""
    source = Path(mount.source)
    if build.context is not None and build.context.is_relative_to(source):
        return True
    for one in copied:
        if one.kind != "part" and source.is_relative_to(one.source):
            below = source.relative_to(one.source).as_posix()
            if PurePosixPath(one.target) / below == PurePosixPath(mount.target):
                return True
    return False


def _lies(path: Path, root: Path, mount: Mount) -> Lies:
    try:
        return _seen(path, root, mount)
    except PermissionError:
        # A server in a container has made it its own: that is data.
        return "ignored"


def _seen(path: Path, root: Path, mount: Mount) -> Lies:
    if not path.is_relative_to(root) or not path.resolve().is_relative_to(root.resolve()):
        return "special" if _is_special(path) else "outside"
    if not path.exists():
        return "absent"
    if path.is_file():
        return "file"
    if not path.is_dir():
        return "special"
    if next(path.iterdir(), None) is None:
        return "empty"
    return "ignored" if not mount.read_only and _is_ignored(path.relative_to(root).as_posix(), root) else "folder"


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _is_ignored(relative: str, root: Path) -> bool:
    """Whether the project's `.gitignore` leaves a folder out: it holds what was made, and not what was written."""
    file = root / ".gitignore"
    if not file.is_file():
        return False
    import pathspec

    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    ignored = pathspec.PathSpec.from_lines("gitignore", lines)
    # A folder is also out when all of its content is: `data/*` with a `!data/.gitkeep`.
    return ignored.match_file(f"{relative}/") or ignored.match_file(f"{relative}/anything")


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
