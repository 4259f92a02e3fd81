"""Files that survive a crash: written whole or not at all, appended with a sync, locked by one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write_atomic(path: Path, content: bytes | str, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace `path` by rename, so that a reader sees the old content or the new and a crash leaves one of them.

    Parent folders are made (0700). `durable=False` skips the sync where only readers matter.
    """
    _make_folder(path.parent)
    data = content.encode() if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            os.fchmod(handle.fileno(), mode)
            handle.flush()
            if durable:
                os.fsync(handle.fileno())
        os.replace(name, path)  # noqa: PTH105 - the temporary name is a str already
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108
        raise
    if durable:
        _sync_directory(path.parent)


def append_synced(path: Path, line: str) -> None:
    """Append one line and wait until it is on the disk; a torn last line is completed first.

    A process killed in the middle of a write leaves a line without its end: the next line must not be glued to it.
    """
    _make_folder(path.parent)
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (("\n" if torn else "") + line + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        _sync_directory(path.parent)


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock of the operating system on `path` while the block runs; waits for its turn."""
    _make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_folder(path: Path) -> None:
    """Make a folder that only its owner enters; `mkdir(parents=True)` would leave its new parents open."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
