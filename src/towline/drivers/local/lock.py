"""The lock of a local target: a lease by the machine's own monotonic clock, with a fence that only grows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from towline.core.errors import Fenced, LockHeld
from towline.core.files import hold_lock, write_atomic
from towline.core.units import show_seconds
from towline.steps.model import Lease

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class _Held:
    """What the file says: nobody holds the lock when `owner` is None; `until` counts from the start of boot `boot`.

    `pid` is the process that took it, in the process table `table`.
    """

    owner: str | None = None
    fence: int = 0
    until: float = 0.0
    boot: str = ""
    pid: int = 0
    table: str = ""


class Lock:
    """One file, changed under a lock of the operating system; the fence outlives every release of the lock."""

    def __init__(
        self, path: Path, *, clock: Callable[[], float] = time.monotonic, boot: Callable[[], str] | None = None
    ) -> None:
        self._path = path
        self._clock = clock
        self._boot = boot or boot_name

    def acquire(self, owner: str, seconds: float) -> Lease:
        """A new lease with a higher fence. Raises LockHeld while somebody else holds an unexpired one."""
        with hold_lock(self._guard):
            held = self._read()
            left = self._left(held)
            if held.owner is not None and held.owner != owner and left > 0:
                raise LockHeld(
                    f"{held.owner} holds the lock of this target for another {show_seconds(left)} unless renewed",
                    hint="towline status",
                )
            lease = Lease(owner, held.fence + 1)
            until = self._clock() + seconds
            self._write(_Held(owner, lease.fence, until, self._boot(), os.getpid(), process_table()))
        return lease

    def renew(self, lease: Lease, seconds: float) -> None:
        """Extend a lease. Raises Fenced when a newer one was given."""
        with hold_lock(self._guard):
            held = self._read()
            self._refuse_old(held, lease)
            self._write(replace(held, owner=lease.owner, until=self._clock() + seconds, boot=self._boot()))

    def release(self, lease: Lease) -> None:
        """Give it back; the fence stays. No-op when a newer lease was given."""
        with hold_lock(self._guard):
            held = self._read()
            if held.fence == lease.fence:
                self._write(replace(held, owner=None, until=0.0))

    def permitted(self, lease: Lease) -> None:
        """Raises Fenced once a newer lease was given."""
        self._refuse_old(self._read(), lease)

    @property
    def _guard(self) -> Path:
        return self._path.with_name(f".{self._path.name}.lock")

    def _refuse_old(self, held: _Held, lease: Lease) -> None:
        if held.fence > lease.fence:
            by = f" by {held.owner}" if held.owner else ""
            raise Fenced(
                f"the target was taken over{by} (fence {held.fence}, this run has {lease.fence})", hint="towline status"
            )

    def _left(self, held: _Held) -> float:
        # A monotonic clock starts anew with the machine: a lease of an earlier boot says nothing any more.
        if held.boot != self._boot() or _is_gone(held):
            return 0.0
        return held.until - self._clock()

    def _read(self) -> _Held:
        try:
            return _Held(**json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return _Held()

    def _write(self, held: _Held) -> None:
        write_atomic(self._path, json.dumps(asdict(held)))


def _is_gone(held: _Held) -> bool:
    """True when the holder was a process of this very machine and is no more: nobody need wait for its lease."""
    if not held.pid or held.table != process_table():
        return False
    try:
        os.kill(held.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def process_table() -> str:
    """Names the table that a pid belongs to: a container has its own, in which the same pid is another process."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return sys.platform


def boot_name() -> str:
    """A text that changes with every start of the machine."""
    if sys.platform == "darwin":
        asked = ["sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
