"""Standard output that never blocks the loop: a stalled reader makes the writers wait, not the supervisor."""

from __future__ import annotations

import os
import selectors

from towline_supervisor.loop import WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from towline_supervisor.loop import Loop

_PIECE = 4096
"""A pipe that is writable takes at least PIPE_BUF bytes at once (POSIX): 4096 on Linux."""
_FULL = 1_000_000
_EMPTY = 250_000


class Outlet:
    """Bytes on their way to a file descriptor; `hold` is called when too many wait, `release` afterwards."""

    def __init__(self, loop: Loop, fd: int, hold: Callable[[], None], release: Callable[[], None]) -> None:
        self._loop = loop
        self._fd = fd
        self._hold = hold
        self._release = release
        self._waiting = bytearray()
        self._held = False
        self._broken = False
        self._pollable = _is_pollable(fd)

    @property
    def flushed(self) -> bool:
        """Whether everything was written, or nobody can read it any more."""
        return not self._waiting

    def write(self, data: bytes) -> None:
        """Write when the reader takes it."""
        if self._broken:
            return
        self._waiting += data
        if not self._pollable:
            self._write_all()
            return
        self._loop.watch(self._fd, WRITE, self._ready)
        if len(self._waiting) > _FULL and not self._held:
            self._held = True
            self._hold()

    def _ready(self, _events: int) -> None:
        self._write_piece()
        if not self._waiting:
            self._loop.unwatch(self._fd)
        if self._held and len(self._waiting) < _EMPTY:
            self._held = False
            self._release()

    def _write_all(self) -> None:
        while self._waiting:
            self._write_piece()

    def _write_piece(self) -> None:
        try:
            written = os.write(self._fd, self._waiting[:_PIECE])
        except BlockingIOError:
            return
        except OSError:  # the reader has gone, or the disk is full: the processes matter more than their talk
            self._broken = True
            written = len(self._waiting)
        del self._waiting[:written]


def _is_pollable(fd: int) -> bool:
    with selectors.DefaultSelector() as trial:
        try:
            trial.register(fd, WRITE)
        except (PermissionError, ValueError, OSError):
            return False  # a plain file is always ready, and epoll refuses it
    return True
