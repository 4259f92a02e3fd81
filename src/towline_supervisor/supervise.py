"""All processes together: who may start, who is reaped, who is stopped first, when it is over."""

from __future__ import annotations

import os
import time

from towline_supervisor import memory
from towline_supervisor.child import RESTING, Child, Surroundings
from towline_supervisor.lines import LogLine
from towline_supervisor.oom import OomCounter
from towline_supervisor.spec import OWN_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from towline_supervisor.loop import Loop
    from towline_supervisor.spec import ProcessSpec

_SAMPLE = 1.0
_LAST_RESORT = 5.0
"""Seconds after which a process that even SIGKILL did not end is left behind."""


class Supervisor:
    """The processes by name in start order, and the rules that hold between them.

    `in_turn` stops strictly one after the other in reverse start order; else a process is stopped once those that
    come `after` it have ended. `watchers` are called after every change and drop out by returning True.
    """

    def __init__(self, loop: Loop, *, in_turn: bool, run: str | None = None, memory: int | None = None) -> None:
        self.loop = loop
        self.children: dict[str, Child] = {}
        self.exit_code: int | None = None
        self.watchers: list[Callable[[], bool]] = []
        self.sinks: list[Callable[[list[LogLine]], None]] = []
        self._in_turn = in_turn
        self._memory = memory
        self._reapers: dict[int, Callable[[int], None]] = {}
        self._settling = False
        self._sampling = False
        self._around = Surroundings(
            loop=loop,
            oom=OomCounter(),
            run=run,
            reaper=self._reapers.__setitem__,
            publish=self._publish,
            say=self.say,
            changed=self._changed,
            gate=self._gate,
            vital_ended=self._vital_ended,
        )

    @property
    def closing(self) -> bool:
        """Whether everything is being stopped for good."""
        return self.exit_code is not None

    @property
    def over(self) -> bool:
        """Whether it was told to close and nothing lives any more."""
        return self.closing and not any(child.lives for child in self.children.values())

    @property
    def settled(self) -> bool:
        """Whether all consequences of the last change were drawn."""
        return not self._settling

    def say(self, text: str) -> None:
        """Speak under the supervisor's own name."""
        self._publish([LogLine(time.time(), OWN_NAME, os.getpid(), "stderr", text)])

    def start(self, spec: ProcessSpec) -> Child:
        """Begin a process; one of that name must not be alive. It is the last in start order."""
        self.children.pop(spec.name, None)
        child = self.children[spec.name] = Child(spec, self._around)
        child.consider()
        self._changed()
        self._sample_soon()
        return child

    def replace(self, spec: ProcessSpec, within: float | None = None) -> None:
        """Stop the process of that name, if any, then begin this one."""
        child = self.children.get(spec.name)
        if child is None or child.state in RESTING:
            self.start(spec)
            return
        child.successor = spec
        child.stop(within)

    def close(self, code: int, within: float | None = None) -> None:
        """Stop everything in reverse order; after `within` seconds, or when called again by a signal, kill the rest."""
        if self.exit_code is None:
            self.exit_code = code
            self.say("stopping everything")
        for child in self.children.values():
            child.successor = None
        if within is not None:
            self.loop.later(within, self.kill)
        self._changed()

    def kill(self) -> None:
        """SIGKILL to everything that is left, and no long wait for what not even that can end."""
        self.exit_code = self.exit_code or 0
        for child in list(self.children.values()):
            child.kill()
        self.loop.later(_LAST_RESORT, self._leave_behind)

    def reap(self) -> None:
        """Take every process that ended: our own, and orphans that were adopted."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._reaped(pid, status)

    def set_reading(self, *, on: bool) -> None:
        """Read the output of all, or let the writers wait."""
        for child in self.children.values():
            child.set_reading(on=on)

    def _reaped(self, pid: int, status: int) -> None:
        reaper = self._reapers.pop(pid, None)
        if reaper is not None:
            reaper(status)
            return
        for child in list(self.children.values()):
            if child.lives and child.pid == pid:
                child.reaped(status)
                return

    def _publish(self, lines: list[LogLine]) -> None:
        for sink in list(self.sinks):
            sink(lines)

    def _changed(self) -> None:
        if not self._settling:
            self._settling = True
            self.loop.later(0, self._settle)

    def _settle(self) -> None:
        """Draw the consequences of what changed, once for all that changed in this round."""
        self._settling = False
        for child in list(self.children.values()):
            if child.successor is not None and child.state in RESTING:
                self.start(child.successor)
        if self.closing:
            self._stop_next()
        else:
            for child in list(self.children.values()):
                child.consider()
        self.watchers[:] = [watcher for watcher in list(self.watchers) if not watcher()]

    def _gate(self, child: Child) -> str | None:
        if self.closing:
            return "waits: everything is being stopped"
        for name in child.spec.after:
            other = self.children.get(name)
            if other is None:
                return f"waits for {name}, which nobody started"
            if not other.done_well:
                return f"waits for {name}{', which crashed' if other.state == 'crashed' else ''}"
        return None

    def _vital_ended(self, child: Child) -> None:
        code = child.end.exit_code() if child.end else 1
        if not self.closing:
            self.say(f"{child.name} is vital: stopping everything")
        self.close(code or 1)

    def _stop_next(self) -> None:
        for child in reversed(list(self.children.values())):
            if child.state in RESTING:
                continue
            if child.state != "stopping" and not self._needed(child):
                child.stop()
            if child.lives and self._in_turn:
                return

    def _needed(self, child: Child) -> bool:
        others = self.children.values()
        return child.lives and not self._in_turn and any(child.name in one.spec.after for one in others if one.lives)

    def _leave_behind(self) -> None:
        for name, child in list(self.children.items()):
            if child.lives:
                self.say(f"{name} (PID {child.pid}) does not end even when killed: leaving it behind")
                del self.children[name]
        self._changed()

    def _sample_soon(self) -> None:
        limited = self._memory or any(child.spec.memory for child in self.children.values())
        if limited and not self._sampling:
            self._sampling = True
            self.loop.later(_SAMPLE, self._sample)

    def _sample(self) -> None:
        self._sampling = False
        used = {child.name: child.memory() for child in self.children.values() if child.state in {"starting", "ready"}}
        for name, size in used.items():
            child = self.children[name]
            if child.spec.memory and size > child.spec.memory:
                limit = memory.show(child.spec.memory)
                self.say(f"{name} uses {memory.show(size)}, over its limit of {limit}: restarting it")
                child.stop(order="memory")
        self._check_total(used)
        self._sample_soon()

    def _check_total(self, used: dict[str, int]) -> None:
        total = sum(used.values())
        busy = any(child.state == "stopping" for child in self.children.values())
        if self._memory is None or total <= self._memory or busy or not used:
            return
        optional = [name for name in used if not self.children[name].spec.vital]
        largest = max(optional or used, key=lambda name: used[name])
        figures = f"all together use {memory.show(total)}, over the limit of {memory.show(self._memory)}"
        self.say(f"{figures}: restarting {largest}, which uses {memory.show(used[largest])}")
        self.children[largest].stop(order="memory")
