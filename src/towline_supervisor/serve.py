"""The daemon: begins with nothing and does what clients of its socket ask."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass

from towline_supervisor.commands import Commands
from towline_supervisor.control import ControlSocket
from towline_supervisor.logs import LogFolder
from towline_supervisor.loop import Loop
from towline_supervisor.spawn import adopt_orphans
from towline_supervisor.state import StateFile, end_left_behind
from towline_supervisor.supervise import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FLUSH = 2.0


@dataclass(frozen=True, slots=True)
class Places:
    """Where a daemon listens, logs, and remembers its processes."""

    socket: Path
    logs: Path
    state: Path | None


def serve(places: Places, announce: Callable[[str], None], *, idle: float | None = None) -> int:
    """Serve until told to stop; gives the exit status. Raises SocketError when the socket cannot be used.

    With `idle` it ends by itself when nothing was started within so many seconds.
    """
    leave_terminal()
    loop, run = Loop(), os.urandom(8).hex()
    supervisor = Supervisor(loop, in_turn=True, run=run if places.state else None)
    logs = LogFolder(places.logs)
    commands = Commands(supervisor, logs)
    control = ControlSocket(loop, places.socket, commands.handle)
    adopt_orphans()
    supervisor.sinks.append(logs.append)
    if places.state:
        keep_state(places.state, supervisor, run)
    loop.on_signals([signal.SIGCHLD], lambda _number: supervisor.reap())
    loop.on_signals([signal.SIGINT, signal.SIGHUP], lambda _number: None)
    loop.on_signals([signal.SIGTERM], lambda _number: on_stop(supervisor))
    control.open()
    if idle is not None:
        loop.later(idle, lambda: None if supervisor.children else supervisor.close(0))
    announce(json.dumps({"ok": True, "pid": os.getpid()}))
    loop.run(lambda: supervisor.over and supervisor.settled)
    flush(loop, lambda: control.flushed)
    control.close()
    logs.close()
    loop.close()
    return supervisor.exit_code or 0


def keep_state(path: Path, supervisor: Supervisor, run: str) -> None:
    """End what an earlier supervisor left behind, then keep the state of this one."""
    for pid in end_left_behind(path):
        supervisor.say(f"ended process {pid}, which an earlier supervisor had left behind")
    state = StateFile(path, run)

    def keep() -> bool:
        try:
            state.keep(supervisor)
        except OSError as error:  # a full disk must not end the processes; the mark in the file still finds them
            supervisor.say(f"state file {path} cannot be written: {error.strerror}")
        return False

    state.keep(supervisor)  # before the first process: its mark must be known even if it is never written down
    supervisor.watchers.append(keep)


def on_stop(supervisor: Supervisor) -> None:
    """The first order to stop is polite, the second is not."""
    if supervisor.closing:
        supervisor.say("told again: killing the rest")
        supervisor.kill()
    else:
        supervisor.close(0)


def flush(loop: Loop, done: Callable[[], bool]) -> None:
    """Go on until everything is written, for a short while at most: a reader may have stalled for good."""
    until = loop.now() + _FLUSH
    while not done() and loop.now() < until:
        loop.turn(0.1)


def leave_terminal() -> None:
    """Leave the caller's session, so that no key of its terminal reaches us."""
    try:
        os.setsid()
    except PermissionError:
        return  # a session leader already: the caller did it for us
