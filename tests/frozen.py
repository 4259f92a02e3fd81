"""A server that hangs: its processes are stopped in their tracks, its port still takes connections."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real_servers import Server


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Freeze a server while the block runs; the parent first, so that it starts nothing meanwhile."""
    assert server._process is not None
    first = psutil.Process(server._process.pid)
    first.send_signal(signal.SIGSTOP)
    stopped = [first]
    try:
        for child in first.children(recursive=True):
            child.send_signal(signal.SIGSTOP)
            stopped.append(child)
        yield
    finally:
        for one in reversed(stopped):
            one.send_signal(signal.SIGCONT)
