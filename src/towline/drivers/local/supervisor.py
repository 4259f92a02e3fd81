"""The client of the supervisor: a program of its own that keeps the processes of a target running."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from towline.core.errors import SiteUnreachable
from towline.core.files import hold_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.drivers.local.home import Home

_ANSWER = 20.0
"""Seconds in which the supervisor answers what needs no waiting."""
_START = 90.0
"""Seconds it may take to begin: it first ends what a killed one left behind."""

_IDLE = 30.0
"""Seconds after which one that was started for nothing ends by itself."""

_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "SHELL", "SYSTEMROOT")
"""All that the supervisor, and with it the servers, learn of the caller's environment."""


@dataclass(frozen=True)
class Process:
    """What the supervisor says of one process. `uptime` in seconds, `memory` in bytes.

    `holding` says that connections to it wait until `open` was asked.
    """

    name: str
    state: str
    pid: int | None
    uptime: float = 0.0
    restarts: int = 0
    memory: int = 0
    exit: dict[str, Any] | None = None
    last: tuple[str, ...] = ()
    verdict: str | None = None
    holding: bool = False
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """True while it runs or is about to run again by itself."""
        return self.state not in ("stopped", "crashed")


class Declined(Exception):
    """The supervisor said no. `code` is its reason, `process` what it reports of the process in question."""

    def __init__(self, code: str, sentence: str, process: Process | None) -> None:
        super().__init__(sentence)
        self.code = code
        self.process = process


class Supervisor:
    """Speaks to the supervisor of one home; each call is a connection of its own."""

    def __init__(self, home: Home, environ: Mapping[str, str]) -> None:
        self._home = home
        self._environ = environ

    @property
    def runs(self) -> bool:
        """True when it answers."""
        return self.pid is not None

    def ensure(self) -> None:
        """Start it unless it runs. Raises SiteUnreachable with its own words when it does not come up."""
        if self.runs:
            return
        self._home.make()
        run = self._home.make_run()
        with hold_lock(run / "starting"):
            if not self.runs:
                self._launch()

    def processes(self) -> tuple[Process, ...]:
        """All processes in the order they were started; none when no supervisor runs."""
        answer = self._ask({"do": "status"})
        return () if answer is None else tuple(_process(one) for one in answer["processes"])

    def process(self, name: str) -> Process | None:
        """The process of that name."""
        return next((one for one in self.processes() if one.name == name), None)

    def replace(self, spec: Mapping[str, object], within: float) -> Process:
        """Start a process, in place of one of the same name if there is one, which gets `within` seconds to end.

        Does not wait until it is ready. Raises Declined.
        """
        self.ensure()
        answer = self._needed({"do": "replace", "process": spec}, within + 2 * _ANSWER)
        return _process(answer["process"])

    def wait_ready(self, name: str, within: float) -> Process:
        """Wait until a process is ready. Raises Declined when it is not within `within` seconds or has crashed."""
        answer = self._needed({"do": "wait", "name": name, "until": "ready", "within": within}, within + _ANSWER)
        return _process(answer["process"])

    def open(self, name: str) -> None:
        """Let a process have the connections that wait for it, and all later ones."""
        self._needed({"do": "open", "name": name}, _ANSWER)

    def stop(self, name: str, within: float) -> Process | None:
        """Ask a process to end, wait for it, and after `within` seconds make it; None when there is none."""
        answer = self._ask({"do": "stop", "name": name, "within": within}, within + _ANSWER)
        return None if answer is None or answer.get("process") is None else _process(answer["process"])

    def remove(self, name: str) -> None:
        """Forget a process that has stopped."""
        self._ask({"do": "remove", "name": name})

    def shutdown(self) -> bool:
        """Stop everything in reverse order and end; False when nothing ran. Waits until its socket has gone."""
        limit = 2 * _ANSWER + sum(_stop_within(one) for one in self.processes())
        if self._ask({"do": "shutdown"}, limit) is None:
            return False
        deadline = time.monotonic() + _ANSWER
        while self._home.control.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return True

    def log_lines(self, lines: int, *, follow: bool) -> Iterator[dict[str, Any]]:
        """The last `lines` log lines of everything, by time, then with `follow` each new one until it ends."""
        connection = self._connect(None if follow else _ANSWER)
        if connection is None:
            return
        with connection, connection.makefile("rb") as answers:
            request = {"do": "logs", "names": None, "lines": lines, "follow": follow}
            connection.sendall(json.dumps(request).encode() + b"\n")
            _checked(answers.readline())
            for line in answers:
                yield json.loads(line)

    @property
    def pid(self) -> int | None:
        """Its own process; None when it does not run."""
        answer = self._ask({"do": "ping"})
        return None if answer is None else int(answer["pid"])

    def _needed(self, request: Mapping[str, object], within: float) -> dict[str, Any]:
        answer = self._ask(request, within)
        if answer is None:
            raise SiteUnreachable("nothing runs on this site: its supervisor does not answer", hint="towline up")
        return answer

    def _ask(self, request: Mapping[str, object], within: float = _ANSWER) -> dict[str, Any] | None:
        """The answer to one request; None when no supervisor listens."""
        connection = self._connect(within)
        if connection is None:
            return None
        with connection, connection.makefile("rb") as answers:
            try:
                connection.sendall(json.dumps(request).encode() + b"\n")
                line = answers.readline()
            except TimeoutError as error:
                raise SiteUnreachable(
                    f"the supervisor of this site did not answer `{request['do']}` within {within:g} s",
                    hint="towline status",
                ) from error
            except OSError:
                return None  # it ended between the connection and the answer
        return _checked(line) if line else None

    def _connect(self, timeout: float | None) -> socket.socket | None:
        self._home.check_run()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            connection.connect(str(self._home.control))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        except OSError as error:
            connection.close()
            raise SiteUnreachable(
                f"the supervisor's socket {self._home.control} cannot be opened: {error.strerror}",
                hint=f"ls -l {self._home.control}",
            ) from error
        return connection

    def _launch(self) -> None:
        home = self._home
        home.logs.mkdir(exist_ok=True, mode=0o700)
        places = ("--socket", home.control, "--logs", home.logs, "--state", home.supervisor_state)
        # -P keeps a folder of the same name in the project from being taken for the program.
        argv = [sys.executable, "-P", "-m", "towline_supervisor", "serve", *map(str, places), "--idle", f"{_IDLE:g}"]
        errors = home.path / "supervisor.err"
        private = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(private, "wb") as talk:
            process = subprocess.Popen(
                argv,
                cwd=home.path,
                env=kept_environment(self._environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=talk,
                start_new_session=True,
            )
        # It outlives this program; while this program lives, somebody has to take note of its end.
        threading.Thread(target=process.wait, daemon=True).start()
        if process.stdout is None or not _says_ok(process.stdout):
            words = " ".join(errors.read_text(errors="replace").split())[-300:]
            raise SiteUnreachable(f"the supervisor did not start: {words or 'no word from it'}", hint=" ".join(argv))


def kept_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What of an environment a server may see: no secret that happens to be in the caller's shell."""
    return {name: environ[name] for name in _KEPT if name in environ}


def _says_ok(stream: IO[bytes]) -> bool:
    with contextlib.closing(stream):
        ready, _, _ = select.select([stream], [], [], _START)
        line = stream.readline() if ready else b""
    return b'"ok": true' in line


def _checked(line: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(line)
    if answer.get("ok") is True:
        return answer
    error = answer.get("error") or {}
    process = answer.get("process")
    raise Declined(str(error.get("code")), str(error.get("sentence")), _process(process) if process else None)


def _process(plain: Mapping[str, Any]) -> Process:
    return Process(
        name=plain["name"],
        state=plain["state"],
        pid=plain.get("pid"),
        uptime=float(plain.get("uptime") or 0.0),
        restarts=int(plain.get("restarts") or 0),
        memory=int(plain.get("memory") or 0),
        exit=plain.get("exit"),
        last=tuple(plain.get("last") or ()),
        verdict=plain.get("verdict"),
        holding=bool(plain.get("holding")),
        labels=dict(plain.get("labels") or {}),
    )


def _stop_within(process: Process) -> float:
    return float(process.labels.get("stop_within", 10.0))
