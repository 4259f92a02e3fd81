"""The control socket: one JSON object a line, many clients, none of which can hold up the others."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat

from towline_supervisor.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from towline_supervisor.loop import Loop

    Handle = Callable[["Connection", dict[str, object]], None]

MOST_LINE = 1_000_000
"""Bytes of one request."""
MOST_BEHIND = 4_000_000
"""Bytes a client may be behind before it is hung up on."""
_BREATH = 0.2
_MOST_PATH = 104  # macOS; Linux takes 107


class SocketError(Exception):
    """The socket cannot be used; `status` is the exit status, `hint` a command that helps."""

    def __init__(self, sentence: str, hint: str = "", status: int = 1) -> None:
        super().__init__(sentence)
        self.hint = hint
        self.status = status


class Connection:
    """One client; its requests are answered one after the other, in order."""

    def __init__(self, loop: Loop, client: socket.socket, handle: Handle, closed: Callable[[Connection], None]) -> None:
        self._loop = loop
        self._socket = client
        self._handle = handle
        self._closed = closed
        self._received = b""
        self._unsent = bytearray()
        self._busy = False
        self._ended = False
        self.open = True
        self.on_close: Callable[[], None] | None = None
        client.settimeout(0)
        self._watch()

    @property
    def flushed(self) -> bool:
        """Whether the client has everything, or is gone."""
        return not self.open or not self._unsent

    def answer(self, value: dict[str, object]) -> None:
        """Send the answer to the request at hand and go on to the next one."""
        self.write(json.dumps(value).encode() + b"\n")
        self._busy = False
        self._loop.later(0, self._next)

    def finish(self, data: bytes) -> None:
        """Send the last bytes of an answer that has no end of its own, then hang up."""
        self._received, self._busy, self._ended = b"", False, True
        self.write(data)

    def stream(self, lines: bytes) -> None:
        """Send lines of an answer that goes on; a client that falls far behind is hung up on."""
        if lines:
            self.write(lines)
        if len(self._unsent) > MOST_BEHIND:
            self.close()

    def write(self, data: bytes) -> None:
        """Send bytes when the client takes them."""
        if self.open:
            self._unsent += data
            self._send()

    def close(self) -> None:
        """Hang up."""
        if not self.open:
            return
        self.open = False
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()
        if self.on_close is not None:
            self.on_close()
        self._closed(self)

    def _watch(self) -> None:
        # While a request is being answered the rest stays in the socket, up to one line's worth.
        wanted = 0 if self._ended or len(self._received) > MOST_LINE else READ
        wanted |= WRITE if self._unsent else 0
        if wanted:
            self._loop.watch(self._socket.fileno(), wanted, self._due)
        else:
            self._loop.unwatch(self._socket.fileno())

    def _due(self, events: int) -> None:
        if events & WRITE:
            self._send()
            self._next()  # requests may have been held back while too many answers were unsent
        if self.open and events & READ:
            self._receive()

    def _send(self) -> None:
        try:
            sent = self._socket.send(self._unsent[:65536]) if self._unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        del self._unsent[:sent]
        if self._ended and not self._busy and not self._unsent and not self._received:
            self.close()
        else:
            self._watch()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._received += data
        if not data:
            self._hung_up()
        self._next()

    def _hung_up(self) -> None:
        self._ended = True
        if self.on_close is not None:  # it followed a log: nobody reads any more
            self.close()
        elif self._received and not self._received.endswith(b"\n"):
            self._received += b"\n"

    def _next(self) -> None:
        """Handle the next whole line unless an answer is still owed."""
        while self.open and not self._busy and not len(self._unsent) > MOST_LINE:
            line, newline, rest = self._received.partition(b"\n")
            if not newline and len(line) <= MOST_LINE:
                break
            self._received = rest if newline else b""
            self._request(line)
        if self.open:
            self._send()

    def _request(self, line: bytes) -> None:
        self._busy = True
        if len(line) > MOST_LINE:
            self.answer(failure("too-long", f"a request may have {MOST_LINE} bytes at most"))
            self._ended = True
            return
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if isinstance(request, dict):
            self._handle(self, request)
        else:
            self.answer(failure("malformed", "a request is one JSON object on one line"))


class ControlSocket:
    """Listens on a path that nobody else may open."""

    def __init__(self, loop: Loop, path: Path, handle: Handle) -> None:
        self._loop = loop
        self._path = path
        self._handle = handle
        self._lock = _claim(path)
        self._clients: set[Connection] = set()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(before)
        self._socket.listen(128)
        self._socket.settimeout(0)

    def open(self) -> None:
        """Take clients from now on."""
        if self._socket.fileno() >= 0:
            self._loop.watch(self._socket.fileno(), READ, self._accept)

    @property
    def flushed(self) -> bool:
        """Whether every client has its answers."""
        return all(client.flushed for client in self._clients)

    def close(self) -> None:
        """Hang up on everybody and remove the socket."""
        for client in list(self._clients):
            client.close()
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()
        self._path.unlink(missing_ok=True)
        os.close(self._lock)

    def _accept(self, _events: int) -> None:
        try:
            client, _address = self._socket.accept()
        except OSError:
            # It left again, or we are out of descriptors: the backlog keeps it, and asking at once would never rest.
            self._loop.unwatch(self._socket.fileno())
            self._loop.later(_BREATH, self.open)
            return
        self._clients.add(Connection(self._loop, client, self._handle, self._clients.discard))


def failure(code: str, sentence: str, hint: str = "", **more: object) -> dict[str, object]:
    """An answer that says no."""
    return {"ok": False, "error": {"code": code, "sentence": sentence, "hint": hint}, **more}


def _claim(path: Path) -> int:
    """Hold the lock beside the socket for as long as this process lives. Raises SocketError when another one does."""
    if len(os.fsencode(str(path))) > _MOST_PATH:
        raise SocketError(f"socket path {path} is longer than {_MOST_PATH} bytes", "choose a shorter path")
    _private_folder(path.parent)
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise SocketError(f"a supervisor (PID {owner}) already serves {path}", f"kill -TERM {owner}", 3) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _private_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        raise SocketError(f"folder {folder} of the socket is open to others (mode {mode:o})", f"chmod 700 {folder}")
