"""The address of a process that is slow to start: connections are accepted from the beginning, and wait until it can.

Bytes go through unchanged in both directions; nothing here knows what they mean.
"""

from __future__ import annotations

import errno
import os
import socket

from towline_supervisor.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from towline_supervisor.loop import Loop, Timer

_CHUNK = 256 * 1024
_AGAIN = 0.02
"""Seconds until a process that refused a connection, as one does that is being started again, is asked again."""


class Lobby:
    """Listens for a process; whoever connects is led to it while it is open, and waits while it is not.

    Raises OSError when the address cannot be had.
    """

    def __init__(self, loop: Loop, listen: tuple[str, int], to: tuple[str, int]) -> None:
        self._loop = loop
        self._to = to
        self._open = False
        self._links: set[Link] = set()
        family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.settimeout(0)
            self._listener.bind(listen)
            self._listener.listen(512)
        except OSError:
            self._listener.close()
            raise
        loop.watch(self._listener.fileno(), READ, self._accept)

    def let_through(self, *, on: bool) -> None:
        """Lead everybody to the process, those who wait first; or let those who come from now on wait."""
        self._open = on
        for link in list(self._links) if on else []:
            link.begin()

    def close(self) -> None:
        """Listen no more, and end every connection."""
        if self._listener.fileno() >= 0:
            self._loop.unwatch(self._listener.fileno())
            self._listener.close()
        for link in list(self._links):
            link.close()

    def _accept(self, _events: int) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # it has gone already, or there are no files left: the others go on
        link = Link(self._loop, client, self._to, self._links.discard)
        self._links.add(link)
        if self._open:
            link.begin()


class Link:
    """One connection through the lobby, and its other half once it was begun."""

    def __init__(self, loop: Loop, client: socket.socket, to: tuple[str, int], ended: Callable[[Link], None]) -> None:
        self._loop = loop
        self._to = to
        self._ended = ended
        self._timer: Timer | None = None
        self._client = Half(client)
        self._server: Half | None = None

    def begin(self) -> None:
        """Connect to the process, as often as it takes; harmless when that was begun."""
        if self._server is not None or self._timer is not None:
            return
        family = socket.AF_INET6 if ":" in self._to[0] else socket.AF_INET
        self._server = Half(socket.socket(family, socket.SOCK_STREAM))
        refused = self._server.socket.connect_ex(self._to)
        if refused in {0, errno.EINPROGRESS}:
            self._loop.watch(self._server.socket.fileno(), WRITE, self._connected)
        else:
            self._refused()

    def close(self) -> None:
        """End both halves."""
        if self._timer is not None:
            self._timer.cancel()
        for half in (self._client, self._server):
            if half is not None and half.socket.fileno() >= 0:
                self._loop.unwatch(half.socket.fileno())
                half.socket.close()
        self._ended(self)

    def _connected(self, _events: int) -> None:
        if self._server is None or self._server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._refused()
        else:
            self._watch()

    def _refused(self) -> None:
        if self._server is not None:
            self._loop.unwatch(self._server.socket.fileno())
            self._server.socket.close()
        self._server = None
        self._timer = self._loop.later(_AGAIN, self._retry)

    def _retry(self) -> None:
        self._timer = None
        self.begin()

    def _watch(self) -> None:
        """Ask of each half what there is to do; both ended is the end."""
        if self._server is None:
            return
        pairs = ((self._client, self._server), (self._server, self._client))
        if all(half.ended and not half.unsent for half, _ in pairs):
            self.close()
            return
        for half, other in pairs:
            wanted = (READ if half.readable else 0) | (WRITE if other.unsent else 0)
            if wanted:
                self._loop.watch(half.socket.fileno(), wanted, self._pump)
            else:
                self._loop.unwatch(half.socket.fileno())

    def _pump(self, _events: int) -> None:
        if self._server is None:
            return
        try:
            self._client.move(self._server)
            self._server.move(self._client)
        except OSError:
            self.close()
            return
        self._watch()


class Half:
    """One end of a link: what was read from it and not yet sent to the other, and whether more may come."""

    def __init__(self, its: socket.socket) -> None:
        its.settimeout(0)
        # A request in two writes must not wait for the acknowledgement of the first.
        its.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = its
        self.unsent = memoryview(b"")
        self.ended = False

    @property
    def readable(self) -> bool:
        """Whether there is room for more: what was read is sent before more is."""
        return not self.ended and not self.unsent

    def move(self, other: Half) -> None:
        """Read what is there and send what can be; pass the end on when all before it was sent. Raises OSError."""
        if self.readable:
            self._read()
        if self.unsent:
            self._send(other)
        if self.ended and not self.unsent:
            self._end(other)

    def _read(self) -> None:
        try:
            data = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        self.unsent, self.ended = memoryview(data), not data

    def _send(self, other: Half) -> None:
        try:
            self.unsent = self.unsent[other.socket.send(self.unsent) :]
        except BlockingIOError:
            return

    def _end(self, other: Half) -> None:
        try:
            other.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # it is gone as a whole, which its own end tells
                raise


def why_not(error: OSError, listen: tuple[str, int]) -> str:
    """Why an address cannot be had, for people."""
    return f"cannot listen on {listen[0]}:{listen[1]}: {os.strerror(error.errno or 0).lower()}"
