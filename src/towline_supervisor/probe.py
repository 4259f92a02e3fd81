"""Asks a starting process whether it is ready, without ever blocking."""

from __future__ import annotations

import errno
import os
import socket

from towline_supervisor import tree
from towline_supervisor.loop import READ, WRITE
from towline_supervisor.spawn import SpawnError, spawn
from towline_supervisor.spec import CommandReady, HttpReady, SettledReady, TcpReady

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from towline_supervisor.loop import Loop, Timer
    from towline_supervisor.spec import ProcessSpec

    Answer = Callable[[str | None], None]
    """Takes None for ready, else a sentence without a subject."""
    Reaper = Callable[[int, Callable[[int], None]], None]
    """Takes a pid and who gets its wait status."""

_ATTEMPT = 5.0
"""Seconds one question may take."""

_FAMILIES = {False: socket.AF_INET, True: socket.AF_INET6}


class Attempt:
    """One question over a socket; answers once."""

    def __init__(self, loop: Loop, ready: HttpReady | TcpReady, host: str, answer: Answer) -> None:
        self._loop = loop
        self._ready = ready
        self._answer: Answer | None = answer
        self._received = b""
        self._socket = socket.socket(_FAMILIES[":" in host], socket.SOCK_STREAM)
        self._socket.settimeout(0)
        self._timer = loop.later(_ATTEMPT, lambda: self._end(f"did not answer within {_ATTEMPT:g} s"))
        refused = self._socket.connect_ex((host, ready.port))
        if refused in {0, errno.EINPROGRESS}:
            loop.watch(self._socket.fileno(), WRITE, self._connected)
        else:
            self._timer.cancel()
            self._timer = loop.later(0, lambda: self._end(os.strerror(refused).lower()))

    def cancel(self) -> None:
        """Ask no more and answer nothing."""
        self._answer = None
        self._end(None)

    def _connected(self, _events: int) -> None:
        refused = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if refused:
            self._end(os.strerror(refused).lower())
        elif isinstance(self._ready, TcpReady):
            self._end(None)
        else:
            self._ask(self._ready)

    def _ask(self, ready: HttpReady) -> None:
        head = f"GET {ready.path} HTTP/1.1\r\nHost: {ready.header}\r\nUser-Agent: towline-supervisor\r\n"
        try:
            self._socket.send(f"{head}Accept: */*\r\nConnection: close\r\n\r\n".encode())
        except OSError as error:
            self._end(str(error.strerror).lower())
            return
        self._loop.watch(self._socket.fileno(), READ, self._receive)

    def _receive(self, _events: int) -> None:
        try:
            data = self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(str(error.strerror).lower())
            return
        self._received += data
        if b"\n" in self._received or not data or len(self._received) > 4096:
            self._end(self._judge())

    def _judge(self) -> str | None:
        words = self._received.partition(b"\n")[0].split()
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            return "did not answer in HTTP"
        status, wanted = int(words[1]), self._ready.status if isinstance(self._ready, HttpReady) else 0
        return None if status == wanted else f"answered {status} instead of {wanted}"

    def _end(self, failure: str | None) -> None:
        self._timer.cancel()
        if self._socket.fileno() >= 0:
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
        answer, self._answer = self._answer, None
        if answer is not None:
            answer(failure)


class CommandAttempt:
    """One run of a readiness command; answers once."""

    def __init__(self, loop: Loop, process: subprocess.Popen[bytes], reaper: Reaper, answer: Answer) -> None:
        self._process = process
        self._answer: Answer | None = answer
        self._timer = loop.later(_ATTEMPT, self._kill)
        reaper(process.pid, self._ended)

    def cancel(self) -> None:
        """End the command and answer nothing."""
        self._answer = None
        self._kill()

    def _kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    def _ended(self, status: int) -> None:
        self._timer.cancel()
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        said = self._last_words()
        answer, self._answer = self._answer, None
        if answer is not None:
            answer(None if code == 0 else f"ended with {code}{said}")

    def _last_words(self) -> str:
        words = ""
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is None:
                continue
            text = (pipe.read() or b"").decode("utf-8", "replace").strip()
            words = f": {text.splitlines()[-1][:200]}" if text else words
            pipe.close()
        return words


class Probe:
    """Asks again and again until the process is ready, and says once when its limit has passed."""

    def __init__(self, loop: Loop, spec: ProcessSpec, leader: int, reaper: Reaper) -> None:
        self._loop = loop
        self._spec = spec
        self._leader = leader
        self._reaper = reaper
        self._began = loop.now()
        self._asked = 0
        self._attempt: Attempt | CommandAttempt | None = None
        self._timer: Timer | None = None
        self._limit: Timer | None = None
        self.last = "was not asked yet"

    def begin(self, env: dict[str, str], on_ready: Callable[[], None], on_limit: Callable[[], None]) -> None:
        """Ask from now on; calls `on_ready` at most once, and `on_limit` before it when the limit passes first."""
        self._env, self._on_ready = env, on_ready
        ready = self._spec.ready
        if isinstance(ready, SettledReady):
            self._timer = self._loop.later(ready.after, on_ready)
            return
        self._limit = self._loop.later(ready.within, on_limit)
        self._timer = self._loop.later(0.02, self._ask)

    def cancel(self) -> None:
        """Ask no more."""
        for timer in (self._timer, self._limit):
            if timer is not None:
                timer.cancel()
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.cancel()

    def _ask(self) -> None:
        ready = self._spec.ready
        self._asked += 1
        if isinstance(ready, HttpReady | TcpReady):
            self._attempt = Attempt(self._loop, ready, self._host(ready.host), self._answer)
        elif isinstance(ready, CommandReady):
            self._run(ready)

    def _run(self, ready: CommandReady) -> None:
        try:
            process = spawn(ready.command, self._spec.cwd, self._env, "TERM")
        except SpawnError as error:
            self._answer(str(error))
            return
        self._attempt = CommandAttempt(self._loop, process, self._reaper, self._answer)

    def _host(self, host: str) -> str:
        # A name of this machine has two addresses; servers listen on either: ask both in turn.
        if host == "localhost" or host.endswith(".localhost"):
            return "127.0.0.1" if self._asked % 2 else "::1"
        return host

    def _answer(self, failure: str | None) -> None:
        self._attempt = None
        ready = self._spec.ready
        if failure is None and isinstance(ready, HttpReady | TcpReady) and ready.owned and tree.LINUX:
            failure = self._foreign(ready.port, self._host(ready.host))
        if failure is None:
            self.cancel()
            self._on_ready()
            return
        self.last = failure
        waited = self._loop.now() - self._began
        self._timer = self._loop.later(0.05 if waited < 2 else 0.25 if waited < 20 else 1.0, self._ask)

    def _foreign(self, port: int, host: str) -> str | None:
        inodes = tree.listeners(self._leader, host, port)
        own = tree.family(self._leader)
        if any(tree.holds_socket(pid, inodes) for pid in own):
            return None
        pid = tree.holder(inodes)
        if pid is None and any(tree.is_hidden(pid) for pid in own):
            return None  # it runs as another user, and nobody we can look into holds the port
        who = f"process {pid} ({tree.program(pid)})" if pid else "another process"
        return f"port {port} is held by {who}, not by this one"
