"""Threads for functions that block: bounded, kept for the next job, and never waited for when the worker ends."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline_runtime.attempt import Attempt
    from towline_runtime.jobs import Kind


@dataclass(frozen=True)
class _Call:
    function: Callable[[], str | None]
    context: contextvars.Context
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[str | None]


class Threads:
    """At most so many at once, those included whose job was cancelled while its function still runs.

    A thread cannot be stopped from outside: its job learns of a cancel by `job.cancelled`, its result is thrown away,
    and its place stays taken until the function returns. The threads are daemons, so that none holds up an exit.
    """

    def __init__(self, most: int) -> None:
        self.free = most
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._threads = 0
        self._busy = 0

    def book(self, places: int) -> None:
        """Keep places for claimed jobs."""
        self.free -= places

    async def perform(self, attempt: Attempt, kind: Kind[..., Any], arguments: dict[str, Any]) -> str | None:
        """Run it in a thread, with the caller's context variables."""
        return await self.run(lambda: kind.result(kind.function(attempt, **arguments)))

    async def run(self, function: Callable[[], str | None]) -> str | None:
        """Await a function in a booked place; cancelled, it leaves the thread to itself."""
        loop = asyncio.get_running_loop()
        call = _Call(function, contextvars.copy_context(), loop, loop.create_future())
        self._busy += 1
        try:
            self._grow()
        except RuntimeError:  # the system has no more threads
            self._freed()
            raise
        self._calls.put(call)
        return await call.done

    def close(self) -> None:
        """Let idle threads end."""
        for _ in range(self._threads):
            self._calls.put(None)

    def _grow(self) -> None:
        if self._busy > self._threads:
            name = f"towline-job-{self._threads + 1}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
            self._threads += 1

    def _freed(self) -> None:
        self._busy -= 1
        self.free += 1

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            result, error = None, None
            try:
                result = call.context.run(call.function)
            except BaseException as caught:  # noqa: BLE001  # also an exit() of a library is this one job's failure
                error = caught
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                call.loop.call_soon_threadsafe(self._returned, call, result, error)
            del call, result, error

    def _returned(self, call: _Call, result: str | None, error: BaseException | None) -> None:
        self._freed()
        if call.done.done():
            return
        if error is None:
            call.done.set_result(result)
        elif isinstance(error, StopIteration):  # a future refuses it
            call.done.set_exception(RuntimeError(f"StopIteration: {error}"))
        else:
            call.done.set_exception(error)
