"""PID 1 of a container: runs what a file names, prints one stream, ends as one."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass

from towline_supervisor.child import RESTING
from towline_supervisor.commands import Commands
from towline_supervisor.control import ControlSocket
from towline_supervisor.lines import LogLine, to_json, to_text
from towline_supervisor.loop import Loop
from towline_supervisor.outlet import Outlet
from towline_supervisor.serve import flush, on_stop
from towline_supervisor.spawn import adopt_orphans
from towline_supervisor.spec import OWN_NAME
from towline_supervisor.supervise import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from towline_supervisor.child import Child
    from towline_supervisor.spec import Procfile


@dataclass(frozen=True, slots=True)
class Printing:
    """How the stream looks: JSON lines, or text that may be coloured."""

    json: bool
    colour: bool


class Printer:
    """Turns log lines into the one stream on standard output."""

    def __init__(self, outlet: Outlet, printing: Printing, names: list[str]) -> None:
        self._outlet = outlet
        self._json = printing.json
        self._width = max(map(len, names))
        self._colours = {name: number if printing.colour else None for number, name in enumerate(names)}

    def take(self, lines: list[LogLine]) -> None:
        """Print lines."""
        self._outlet.write(b"".join(self._encode(line) for line in lines))

    def _encode(self, line: LogLine) -> bytes:
        return to_json(line) if self._json else to_text(line, self._width, self._colours.get(line.name))


class Watch:
    """Says when all are up, and ends all when one that is needed cannot come up or nobody is left."""

    def __init__(self, supervisor: Supervisor, banner: tuple[str, ...]) -> None:
        self._supervisor = supervisor
        self._banner = banner
        self._shown = False

    def check(self) -> bool:
        """Look at what changed; true when there is nothing more to look for."""
        children = list(self._supervisor.children.values())
        if self._supervisor.closing:
            return True
        if not self._shown and all(child.done_well for child in children):
            self._shown = True
            for line in self._banner:
                self._supervisor.say(line)
        if all(child.state in RESTING for child in children):
            self._supervisor.say("nothing is left to run")
            self._supervisor.close(max(child.end.exit_code() if child.end else 1 for child in children))
        for child in children:
            if (child.overdue or child.state in RESTING) and not child.done_well and self._is_needed(child, children):
                self._supervisor.say(f"{child.name} is needed: stopping everything")
                self._supervisor.close(1)
        return self._supervisor.closing

    def _is_needed(self, child: Child, children: list[Child]) -> bool:
        awaited = any(other.state == "waiting" and child.name in other.spec.after for other in children)
        return child.spec.vital or awaited


def run(procfile: Procfile, printing: Printing, socket: Path | None = None) -> int:
    """Run until it is over; gives the exit status. Raises SocketError when the socket cannot be used."""
    loop = Loop()
    supervisor = Supervisor(loop, in_turn=False, memory=procfile.memory)
    outlet = Outlet(
        loop,
        sys.stdout.fileno(),
        hold=lambda: supervisor.set_reading(on=False),
        release=lambda: supervisor.set_reading(on=True),
    )
    printer = Printer(outlet, printing, [OWN_NAME, *(spec.name for spec in procfile.processes)])
    supervisor.sinks.append(printer.take)
    control = ControlSocket(loop, socket, Commands(supervisor, None).handle) if socket else None
    adopt_orphans()
    loop.on_signals([signal.SIGCHLD], lambda _number: supervisor.reap())
    loop.on_signals([signal.SIGTERM, signal.SIGINT], lambda _number: on_stop(supervisor))
    loop.on_signals([signal.SIGHUP], lambda _number: None)
    if control:
        control.open()
    supervisor.say(f"{procfile.name}: {len(procfile.processes)} processes (PID {os.getpid()})")
    for spec in procfile.processes:
        supervisor.start(spec)
    supervisor.watchers.append(Watch(supervisor, procfile.banner).check)
    loop.run(lambda: supervisor.over and supervisor.settled)
    supervisor.say("everything has stopped")
    flush(loop, lambda: outlet.flushed and (control is None or control.flushed))
    if control:
        control.close()
    loop.close()
    return supervisor.exit_code or 0
