"""Processes of jobs that hold the interpreter: kept for the next job, killed to stop one, replaced when one dies."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from typing import TYPE_CHECKING, Any

from towline_runtime import child
from towline_runtime.errors import ChildEnded, KindInvalid
from towline_runtime.threads import Threads

if TYPE_CHECKING:
    from towline_runtime.attempt import Attempt
    from towline_runtime.jobs import Kind

_SPAWN = multiprocessing.get_context("spawn")  # a fork of a process with threads and sockets may hang


class Children:
    """At most so many processes at once, each started when it is first needed."""

    def __init__(self, most: int) -> None:
        self.free = most
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()
        # Pipes block: each call has a thread that only waits. A killed child's call may still hold one for a moment.
        self._threads = Threads(2 * most)

    def book(self, places: int) -> None:
        """Keep places for claimed jobs."""
        self.free -= places

    async def perform(self, attempt: Attempt, kind: Kind[..., Any], arguments: dict[str, Any]) -> str | None:
        """Run it in a process; when this is cancelled, the process is killed. Raises ChildEnded when it dies."""
        del arguments  # the child unpacks the payload itself: what came out of it may not fit through a pipe
        one = self._idle.pop() if self._idle else _Child()
        self._all.add(one)
        call = child.Call(attempt.claim, *where(kind))
        self._threads.book(1)
        try:
            result = await self._threads.run(lambda: one.answer(call, attempt))
        except BaseException:
            self._keep(one)
            raise
        self._keep(one)
        return result

    def close(self) -> None:
        """Kill them all."""
        for one in self._all:
            one.kill()
        for one in self._all:
            one.bury()
        self._threads.close()

    def _keep(self, one: _Child) -> None:
        self.free += 1
        if one.answered:
            self._idle.append(one)
        else:
            self._all.discard(one)
            one.kill()


class _Child:
    """One process; used from one thread at a time, but killed from any."""

    def __init__(self) -> None:
        self.answered = False
        self._killed = False
        self._pipe, self._far_end = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=child.serve, args=(self._far_end,), name="towline job")

    def answer(self, call: child.Call, attempt: Attempt) -> str | None:
        """Send the call and wait for its answer; raises what the function raised."""
        self.answered = False
        try:
            if self._process.pid is None:
                self._process.start()
                self._far_end.close()
            if self._killed:
                self.kill()
            self._pipe.send(call)
            answer = self._await(attempt)
        except (EOFError, OSError) as error:
            raise ChildEnded(self._end()) from error
        self.answered = True
        if answer.error is not None:
            raise answer.error
        return answer.result

    def kill(self) -> None:
        """End it at once, with whatever it started."""
        self._killed = True
        if self._process.pid is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()  # before it has its own group

    def bury(self) -> None:
        """See that a killed one is gone."""
        if self._process.pid is not None:
            self._process.join(1)

    def _await(self, attempt: Attempt) -> child.Answer:
        while isinstance(said := self._pipe.recv(), child.Told):
            attempt.reported = True
            attempt.desk.report(attempt, said.progress)
        assert isinstance(said, child.Answer)  # noqa: S101  # there is no third thing
        return said

    def _end(self) -> str:
        self._process.join(5)
        code = self._process.exitcode
        self._pipe.close()
        if code is None or code >= 0:
            return f"the job's process ended with status {code}"
        name = signal.Signals(-code).name
        memory = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"the job's process was ended by {name}{memory}"


def where(kind: Kind[..., Any]) -> tuple[str, str]:
    """Module and name by which another process finds the function; raises KindInvalid."""
    module, name = kind.function.__module__, kind.function.__qualname__
    if "<" in name:
        raise KindInvalid(
            f"`{kind.name}` runs in a process, which cannot find its function {module}.{name}",
            "declare it at the top of a module",
        )
    return module, name
