"""The receiver of the webhook: it takes signed calls, one to work on and one that waits, and turns away the rest."""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from towline.ops.webhook_calls import MOST, PATH, Call, Turned, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline.core.secret import Secret
    from towline.ops.webhook_seen import Seen

PATIENCE: Final = 10.0
"""Seconds that a sender gets for its request."""

ASKED_MOST, TAKEN_MOST, MINUTE = 60, 6, 60.0
"""Requests of one address that are not signed, and calls that are taken, in a minute."""

_ADDRESSES: Final = 1024
"""Addresses of which is known how often they asked."""


class Rate:
    """At most `most` of something in `span` seconds, by the clock that is given."""

    def __init__(self, most: int, span: float = MINUTE) -> None:
        self._most, self._span = most, span
        self._times: deque[float] = deque()

    def allows(self, now: float) -> bool:
        """Count one more, unless there were too many."""
        while self._times and self._times[0] <= now - self._span:
            self._times.popleft()
        if len(self._times) >= self._most:
            return False
        self._times.append(now)
        return True


@dataclass
class Desk:
    """What the receiver knows: the secret, the calls it saw, the one that waits. Several threads may use it.

    `wall` is the time of day, in seconds since 1970: calls carry it. `allowed` says why a call may not be, or nothing.
    """

    secret: Secret
    seen: Seen
    allowed: Callable[[Call], str | None]
    wall: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    _work: queue.SimpleQueue[Call | None] = field(default_factory=queue.SimpleQueue)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _asked: dict[str, Rate] = field(default_factory=dict)
    _taken: Rate = field(default_factory=lambda: Rate(TAKEN_MOST))
    _waiting: int = 0

    def too_often(self, address: str) -> bool:
        """Whether somebody without the secret asks more often than anybody should."""
        with self._guard:
            if len(self._asked) >= _ADDRESSES:
                self._asked.clear()
            return not self._asked.setdefault(address, Rate(ASKED_MOST)).allows(self.clock())

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Call | Turned:
        """Judge a call, and put it into the queue when it may be done."""
        call = judge(path, headers, body, self.secret, self.wall())
        if isinstance(call, Turned):
            return call
        if (why := self.allowed(call)) is not None:
            return Turned(403, why)
        with self._guard:
            # First: who repeats a call of somebody else's must not use up what others may ask for.
            if self.seen.knows(call):
                return Turned(409, "this very call came before")
            # One is at work and one waits: a third would be deployed when its sender has forgotten it.
            if self._waiting >= 2 or not self._taken.allows(self.clock()):
                return Turned(429, "others are at work")
            self.seen.take(call, self.wall())
            self._waiting += 1
        self._work.put(call)
        return call

    def next(self) -> Call | None:
        """The next call to work on, when there is one; None when it is time to end."""
        return self._work.get()

    def done(self) -> None:
        """The work on a call is over."""
        with self._guard:
            self._waiting -= 1

    def close(self) -> None:
        """Let whoever waits for a call end, after those that were taken. Safe in a signal handler."""
        self._work.put(None)


class Receiver(ThreadingHTTPServer):
    """An HTTP server with one address to call, and one to see that it lives."""

    daemon_threads = True

    def __init__(self, listen: tuple[str, int], desk: Desk) -> None:
        self.desk = desk
        self.address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        super().__init__(listen, _Request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that goes away in the middle is no news."""


class _Request(BaseHTTPRequestHandler):
    server: Receiver
    server_version, sys_version = "towline", ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        """Whether it lives."""
        self._answer(200 if self.path == "/health" else 404, {"ok": self.path == "/health"})

    def do_POST(self) -> None:
        """A call."""
        desk = self.server.desk
        size = self.headers.get("Content-Length", "")
        if not (self.path == PATH or self.path.startswith(f"{PATH}/")):
            self._answer(404, {"error": "not here"})
        elif not (size.isascii() and size.isdigit()):
            self._answer(411, {"error": "how long is it?"})
        elif int(size) > MOST:
            self._answer(413, {"error": f"more than {MOST} bytes"})
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            found = desk.take(self.path, headers, self.rfile.read(int(size)))
            # Only those without the secret are counted: behind a proxy they have the address of those who have it.
            if isinstance(found, Turned) and found.status == 401 and desk.too_often(self.client_address[0]):
                found = Turned(429, "too many requests")
            self._told(found)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the standard library
        """Nobody reads a line for every request; what is deployed is in the journal."""

    def _told(self, found: Call | Turned) -> None:
        if isinstance(found, Call):
            self._answer(202, {"delivery": found.delivery, "services": sorted(found.images)})
        elif found.status == 429:
            self._answer(429, {"error": found.why}, Retry_After="30")
        else:
            self._answer(found.status, {"error": found.why})

    def _answer(self, status: int, plain: dict[str, Any], **headers: str) -> None:
        body = json.dumps(plain).encode() + b"\n"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True
