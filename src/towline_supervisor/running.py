"""One running process: its pipes, its process group, and how it is signalled."""

from __future__ import annotations

import os
import signal

from towline_supervisor import tree
from towline_supervisor.lines import LineSplitter
from towline_supervisor.loop import READ
from towline_supervisor.spawn import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping

    from towline_supervisor.loop import Loop
    from towline_supervisor.spec import ProcessSpec

    TakeLines = Callable[[str, list[str]], None]

_CHUNK = 64 * 1024


class _Pipe:
    """One output of a process, read when it has something."""

    def __init__(self, loop: Loop, fd: int, take: Callable[[list[str]], None]) -> None:
        self._loop = loop
        self.fd = fd
        self._take = take
        self._splitter = LineSplitter()
        self.open = True
        self.listen()

    def listen(self) -> None:
        """Read when there is something to read."""
        if self.open:
            self._loop.watch(self.fd, READ, self._due)

    def rest(self) -> None:
        """Leave the output in the pipe, so that a fast writer has to wait."""
        self._loop.unwatch(self.fd)

    def drain(self) -> None:
        """Read what is there now; at most a full pipe, since a survivor may go on writing."""
        for _ in range(16):
            if not self.open or not self._read():
                break

    def end(self) -> None:
        """Give out the unfinished line and read no more."""
        if self.open:
            self.open = False
            self._loop.unwatch(self.fd)
            self._give(self._splitter.finish())

    def _due(self, _events: int) -> None:
        self._read()

    def _read(self) -> bool:
        try:
            data = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self.end()
            return False
        self._give(self._splitter.feed(data))
        return True

    def _give(self, lines: list[str]) -> None:
        if lines:
            self._take(lines)


class Running:
    """A started process and its group; it is over when the leader is reaped and the group is empty."""

    def __init__(self, loop: Loop, process: subprocess.Popen[bytes], take: TakeLines) -> None:
        self._process = process
        self.pid = process.pid
        self.killed = False
        self.reaped = False
        outputs = (("stdout", process.stdout), ("stderr", process.stderr))
        self._pipes = [
            _Pipe(loop, pipe.fileno(), lambda lines, stream=stream: take(stream, lines))  # type: ignore[misc]
            for stream, pipe in outputs
            if pipe is not None
        ]

    def reap(self, status: int) -> int:
        """Take the wait status of the leader, read its last output, and give its code (negative: a signal)."""
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        self.reaped = True
        for pipe in self._pipes:
            pipe.drain()
        return code

    def group_lives(self) -> bool:
        """Whether anything of the group is left."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def signal(self, name: str, *, group: bool) -> None:
        """Send a signal (name without SIG) to the leader, or to its group; the dead are no error."""
        number = signal.Signals[f"SIG{name}"]
        try:
            if group:
                os.killpg(self.pid, number)
            elif not self.reaped:
                os.kill(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # over already, or a program with other rights: the limit of the stop decides

    def kill(self) -> None:
        """SIGKILL to the group and to every descendant that left it."""
        self.killed = True
        everyone = [] if self.reaped else tree.family(self.pid)
        self.signal("KILL", group=True)
        for pid in everyone:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue

    def set_reading(self, *, on: bool) -> None:
        """Read the pipes, or let the writers wait."""
        for pipe in self._pipes:
            if on:
                pipe.listen()
            else:
                pipe.rest()

    def close(self) -> None:
        """Read the rest and close the pipes."""
        for pipe, file in zip(self._pipes, (self._process.stdout, self._process.stderr), strict=True):
            pipe.drain()
            pipe.end()
            if file is not None:
                file.close()


def start(loop: Loop, spec: ProcessSpec, env: Mapping[str, str], take: TakeLines) -> Running:
    """Start the program of a spec; `take` gets its lines. Raises SpawnError."""
    return Running(loop, spawn(spec.command, spec.cwd, env, spec.stop.signal), take)
