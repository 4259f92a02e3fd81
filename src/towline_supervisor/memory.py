"""How much memory a process and everything below it uses."""

from __future__ import annotations

import os
import subprocess

from towline_supervisor.tree import LINUX, family

_PAGE = os.sysconf("SC_PAGE_SIZE")


def used_by(leader: int) -> int:
    """Bytes of a whole process tree: proportional set size where the kernel tells it, else resident size."""
    return sum(_bytes_of(pid) for pid in family(leader))


def show(size: int) -> str:
    """Bytes as people read them, in units of 10^6."""
    return f"{size / 1e6:.0f} MB" if size >= 10_000_000 else f"{size / 1e6:.1f} MB"


def _bytes_of(pid: int) -> int:
    if not LINUX:
        return _resident_by_ps(pid)
    return _proportional(pid) or _resident(pid)


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123 - read once a second for every process
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # gone meanwhile, another user's, or a kernel before 4.14
    return 0


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _resident_by_ps(pid: int) -> int:
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(done.stdout.strip() or 0) * 1024
