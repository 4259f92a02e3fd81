"""One thing that several processes use at once: the first starts it, the last ends it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from towline.core.files import hold_lock

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path


class Share:
    """Who uses a thing, as locks of the operating system on `path`: one who is killed no longer uses it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def deciding(self) -> AbstractContextManager[None]:
        """Nobody else joins or leaves while the block runs; waits for its turn."""
        return hold_lock(self._path.with_name(f"{self._path.name}.gate"))

    def join(self) -> None:
        """Use it too, from now on. Call it while deciding."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def leave(self) -> bool:
        """Use it no longer; whether nobody else does. Call it while deciding."""
        if self._descriptor is None:
            return False
        last = False
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            last = True
        os.close(self._descriptor)
        self._descriptor = None
        return last
