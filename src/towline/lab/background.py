"""Processes that outlive the command which starts them: started, looked for and ended by their number."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def start(argv: Sequence[str], environ: Mapping[str, str], log: Path) -> int:
    """Start `argv` in a session of its own with its output in `log`; its process number."""
    with log.open("wb") as handle:
        process = subprocess.Popen(
            list(argv),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
        )
    # Reaped by a thread: once it has ended, it is gone for everybody who looks.
    threading.Thread(target=process.wait, daemon=True).start()
    return process.pid


def gone(pid: int) -> bool:
    """Whether it has ended; a dead process that its parent has not yet asked about has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end(pid: int, within: float) -> bool:
    """Ask it to end, and make it when it has not after `within` seconds; whether it has ended."""
    for number, patience in ((signal.SIGTERM, within), (signal.SIGKILL, 10.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience
        while not gone(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        if gone(pid):
            return True
    return False
