"""What runs inside a job's own process: it takes calls from a pipe, and ends when its worker is gone."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle  # between a worker and its own children
import queue
import signal
import threading
import traceback
from dataclasses import dataclass
from functools import cache, reduce
from typing import TYPE_CHECKING, Any

from towline_runtime.errors import RuntimeFault
from towline_runtime.jobs import Kind, Options
from towline_runtime.logs import correlated
from towline_runtime.payload import Payload
from towline_runtime.running import Running

if TYPE_CHECKING:
    import asyncio
    from contextlib import AbstractAsyncContextManager
    from multiprocessing.connection import Connection

    from towline_runtime.claims import Claim
    from towline_runtime.running import Transaction


@dataclass(frozen=True)
class Call:
    """One attempt at a job whose function is found as `module` and `name` (dots go deeper)."""

    claim: Claim
    module: str
    name: str


@dataclass(frozen=True)
class Told:
    """JSON text of how far the job is."""

    progress: str


@dataclass(frozen=True)
class Answer:
    """The end of an attempt: JSON text, or an error that can travel."""

    result: str | None = None
    error: BaseException | None = None


class PipeDesk:
    """Progress goes through the pipe; the rest needs the worker's event loop."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """There is none."""
        raise _not_here("from_thread")

    def report(self, job: Running, progress: str) -> None:
        """Tell the worker."""
        del job
        self._pipe.send(Told(progress))

    async def remember(self, job: Running, value: str) -> bool:
        """Not from here."""
        del job, value
        raise _not_here("remember")

    def finish(self, job: Running, result: str | None) -> AbstractAsyncContextManager[Transaction]:
        """Not from here."""
        del job, result
        raise _not_here("finish")


def serve(pipe: Connection) -> None:
    """Answer calls one after another, until the other end of the pipe is closed."""
    with contextlib.suppress(OSError):
        os.setsid()  # a signal to the worker's group is the worker's to answer
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, calls), daemon=True).start()
    while True:
        pipe.send(answer(calls.get(), PipeDesk(pipe)))


def _receive(pipe: Connection, calls: queue.SimpleQueue[Call]) -> None:
    """End the process, whatever it does, when its worker is gone: nobody would take the result."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            calls.put(pipe.recv())
    os._exit(1)


def answer(call: Call, desk: PipeDesk) -> Answer:
    """Run one call; every failure becomes an answer."""
    try:
        with correlated(call.claim.correlation_id):
            kind = _kind(call.module, call.name, call.claim.kind)
            arguments = kind.unpack(call.claim.payload)
            return Answer(kind.result(kind.function(Running(call.claim, desk), **arguments)))
    except BaseException as error:  # noqa: BLE001  # also an exit() of a library is this one job's failure
        return Answer(error=_portable(error))


@cache
def _kind(module: str, name: str, kind: str) -> Kind[..., Any]:
    found: Any = reduce(getattr, name.split("."), importlib.import_module(module))
    return found if isinstance(found, Kind) else Kind(kind, found, Options(), "process", Payload(kind, found))


def _portable(error: BaseException) -> BaseException:
    """The error itself where it survives the way through a pipe, with its traceback as a note."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # noqa: S301  # our own bytes
            return error
    except Exception:  # noqa: BLE001, S110  # whatever it is that makes it stay
        pass
    return RuntimeFault(f"{type(error).__name__}: {error}")


def _not_here(what: str) -> RuntimeFault:
    return RuntimeFault(f"A job in a process of its own has no `{what}`", 'runs="thread" or an async function has it')
