"""The one thread: waits for readable pipes, due timers and signals, and calls whoever asked."""

from __future__ import annotations

import heapq
import os
import selectors
import signal
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class Timer:
    """Something to call at a monotonic time, unless cancelled before."""

    __slots__ = ("call", "order", "when")

    def __init__(self, when: float, order: int, call: Callable[[], None]) -> None:
        self.when = when
        self.order = order
        self.call: Callable[[], None] | None = call

    def __lt__(self, other: Timer) -> bool:
        return (self.when, self.order) < (other.when, other.order)

    def cancel(self) -> None:
        """Never call it; harmless when it was called already."""
        self.call = None


class Loop:
    """Files, timers and signals of one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._count = 0
        self._signals: list[int] = []
        self._on_signal: dict[int, Callable[[], None]] = {}
        self._bell, self._ringer = socket.socketpair()
        self._bell.settimeout(0)
        self._ringer.settimeout(0)
        self._selector.register(self._bell, READ, self._hear)

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, after that many seconds."""
        self._count += 1
        timer = Timer(self.now() + seconds, self._count, call)
        heapq.heappush(self._timers, timer)
        return timer

    def watch(self, fd: int, events: int, call: Callable[[int], None]) -> None:
        """Call with the events that are due whenever the file is readable or writable; replaces an earlier watch."""
        if fd in self._selector.get_map():
            self._selector.modify(fd, events, call)
        else:
            self._selector.register(fd, events, call)

    def unwatch(self, fd: int) -> None:
        """Stop watching; harmless when it is not watched."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def on_signals(self, numbers: Iterable[int], call: Callable[[int], None]) -> None:
        """Call in the loop for each of these signals.

        A handler is installed even for a signal that is to be ignored: a handler becomes the default again in a
        child, while an ignored signal would stay ignored in every child.
        """
        signal.set_wakeup_fd(self._ringer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            self._on_signal[number] = lambda number=number: call(number)  # type: ignore[misc]
            signal.signal(number, lambda received, _frame: self._signals.append(received))

    def run(self, done: Callable[[], bool]) -> None:
        """Go round until `done`."""
        while not done():
            self.turn()

    def turn(self, longest: float | None = None) -> None:
        """One round: wait for the next thing (at most `longest` seconds), then call everything that is due."""
        for key, events in self._selector.select(self._until_next(longest)):
            # An earlier call of this round may have closed the file, and its number may already be another file's.
            current = self._selector.get_map().get(key.fd)
            if current is not None and current.data is key.data:
                key.data(events)
        self._call_signals()
        self._call_timers()

    def close(self) -> None:
        """Give back the files of the loop itself."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        self._bell.close()
        self._ringer.close()

    def _until_next(self, longest: float | None) -> float | None:
        while self._timers and self._timers[0].call is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return longest
        left = max(0.0, self._timers[0].when - self.now())
        return left if longest is None else min(left, longest)

    def _hear(self, _events: int) -> None:
        while True:
            try:
                if len(os.read(self._bell.fileno(), 4096)) < 4096:
                    return
            except BlockingIOError:
                return

    def _call_signals(self) -> None:
        received, self._signals[:] = list(self._signals), []
        for number in received:
            self._on_signal[number]()

    def _call_timers(self) -> None:
        now = self.now()
        while self._timers and self._timers[0].when <= now:
            call = heapq.heappop(self._timers).call
            if call is not None:
                call()
