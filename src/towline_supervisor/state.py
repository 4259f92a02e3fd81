"""Remembers which processes run, so that the next supervisor can end what a killed one left behind."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from dataclasses import dataclass

from towline_supervisor import tree
from towline_supervisor.spawn import RUN_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from towline_supervisor.supervise import Supervisor

_LIMIT = 10.0


@dataclass(frozen=True, slots=True)
class Left:
    """A process that outlived its supervisor; `began` tells it from a later one of the same pid."""

    pid: int
    began: str
    signal: str
    within: float


class StateFile:
    """Written on every change of who runs; read once, when a supervisor starts."""

    def __init__(self, path: Path, run: str) -> None:
        self._path = path
        self._run = run
        self._written: list[object] | None = None

    def keep(self, supervisor: Supervisor) -> None:
        """Write down who runs now, if that changed."""
        processes: list[object] = [
            {
                "name": child.name,
                "pid": child.pid,
                "began": tree.started(child.pid),
                "signal": child.spec.stop.signal,
                "within": child.spec.stop.within,
            }
            for child in supervisor.children.values()
            if child.lives and child.pid is not None
        ]
        if processes != self._written:
            self._write({"boot": tree.boot(), "run": self._run, "processes": processes})
            self._written = processes

    def _write(self, value: dict[str, object]) -> None:
        fresh = self._path.with_name(f".{self._path.name}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(value, file)
        fresh.replace(self._path)


def end_left_behind(path: Path) -> list[int]:
    """End, politely first, what the state file names and what carries its mark; gives their pids.

    A process is touched only when its start time is the recorded one, or when its environment holds the mark of that
    run. A file that cannot be read names nobody.
    """
    left = _left_behind(path)
    for process in left:
        _signal(process, process.signal)
    until = time.monotonic() + max((process.within for process in left), default=0.0)
    for process in left:
        if not _gone(process, until):
            _signal(process, "KILL")
    for process in left:
        _gone(process, time.monotonic() + _LIMIT)
    return [process.pid for process in left]


def _left_behind(path: Path) -> list[Left]:
    try:
        state = json.loads(path.read_bytes())
        if state["boot"] != tree.boot():
            return []
        recorded = [Left(one["pid"], one["began"], one["signal"], one["within"]) for one in state["processes"]]
        run = str(state["run"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    found = {left.pid: left for left in recorded if left.began and tree.started(left.pid) == left.began}
    within = max((left.within for left in recorded), default=_LIMIT)
    for pid in tree.with_variable(RUN_VARIABLE, run):
        began = tree.started(pid)
        if pid not in found and began is not None:
            found[pid] = Left(pid, began, "TERM", within)
    return list(found.values())


def _signal(process: Left, name: str) -> None:
    if tree.started(process.pid) == process.began:
        try:
            os.kill(process.pid, signal.Signals[f"SIG{name}"])
        except (ProcessLookupError, PermissionError):
            return  # it ended in between, or was never ours to end


def _gone(process: Left, until: float) -> bool:
    while tree.started(process.pid) == process.began:
        if time.monotonic() >= until:
            return False
        select.select([], [], [], 0.02)  # no child of ours, so no signal tells when it ends
    return True
