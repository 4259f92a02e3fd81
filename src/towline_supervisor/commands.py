"""What a client may ask over the control socket, and the answers."""

from __future__ import annotations

import math
import os

from towline_supervisor import VERSION
from towline_supervisor.child import RESTING
from towline_supervisor.control import failure
from towline_supervisor.lines import LogLine, to_json
from towline_supervisor.procfile import read_process
from towline_supervisor.report import report
from towline_supervisor.spec import OWN_NAME, SpecErrors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from towline_supervisor.child import Child
    from towline_supervisor.control import Connection
    from towline_supervisor.logs import LogFolder
    from towline_supervisor.spec import ProcessSpec
    from towline_supervisor.supervise import Supervisor

    Request = dict[str, object]

_WAIT = 60.0
_MOST_LINES = 10_000


class RequestError(Exception):
    """A request that cannot be carried out."""

    def __init__(self, code: str, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.hint = hint


class Commands:
    """Answers requests; those that take time are answered when it is so, and nobody waits for them but their client."""

    def __init__(self, supervisor: Supervisor, logs: LogFolder | None) -> None:
        self._supervisor = supervisor
        self._logs = logs
        self._began = supervisor.loop.now()
        self._does: dict[str, Callable[[Connection, Request], None]] = {
            "ping": self._ping,
            "status": self._status,
            "start": self._start,
            "wait": self._wait,
            "open": self._open,
            "stop": self._stop,
            "replace": self._replace,
            "remove": self._remove,
            "logs": self._follow,
            "shutdown": self._shutdown,
        }

    def handle(self, client: Connection, request: Request) -> None:
        """Carry out one request."""
        does = self._does.get(str(request.get("do")))
        if does is None:
            client.answer(failure("unknown-request", f"do must be one of {', '.join(self._does)}"))
            return
        try:
            does(client, request)
        except RequestError as error:
            client.answer(failure(error.code, str(error), error.hint))
        except SpecErrors as errors:
            mistakes = [{"where": where, "sentence": sentence} for where, sentence in errors.mistakes]
            client.answer(failure("bad-spec", str(errors), mistakes=mistakes))

    def _ping(self, client: Connection, _request: Request) -> None:
        uptime = round(self._supervisor.loop.now() - self._began, 3)
        client.answer({"ok": True, "pid": os.getpid(), "version": VERSION, "uptime": uptime})

    def _status(self, client: Connection, _request: Request) -> None:
        client.answer({"ok": True, "processes": [report(child) for child in self._supervisor.children.values()]})

    def _start(self, client: Connection, request: Request) -> None:
        spec = self._spec(request)
        child = self._supervisor.children.get(spec.name)
        if child is None or child.state in RESTING:
            client.answer({"ok": True, "process": report(self._supervisor.start(spec))})
        elif (child.successor or child.spec) == spec and (child.successor or child.state != "stopping"):
            client.answer({"ok": True, "process": report(child), "already": True})
        elif child.state == "stopping":
            raise RequestError(
                "stopping", f"{spec.name} is being stopped", "wait until it has stopped, or ask to replace it"
            )
        else:
            raise RequestError("name-taken", f"{spec.name} runs with another specification", "ask to replace it")

    def _replace(self, client: Connection, request: Request) -> None:
        spec, within = self._spec(request), _seconds(request, "within")
        self._supervisor.replace(spec, within)

        def begun() -> bool:
            child = self._supervisor.children.get(spec.name)
            if child is not None and child.successor is not None and client.open:
                return False
            if child is None or child.spec != spec:
                client.answer(failure("not-started", f"{spec.name} was replaced or removed by another request"))
            else:
                client.answer({"ok": True, "process": report(child)})
            return True

        self._when(begun)

    def _stop(self, client: Connection, request: Request) -> None:
        name, within = _name(request), _seconds(request, "within")
        child = self._supervisor.children.get(name)
        if child is None:
            client.answer({"ok": True, "already": True, "process": None})
            return
        if child.state in RESTING:
            client.answer({"ok": True, "already": True, "process": report(child)})
            return
        child.successor = None
        child.stop(within)

        def ended() -> bool:
            if child.state in RESTING:
                client.answer({"ok": True, "process": report(child)})
            return child.state in RESTING

        self._when(ended)

    def _remove(self, client: Connection, request: Request) -> None:
        name = _name(request)
        child = self._supervisor.children.get(name)
        if child is not None and child.state not in RESTING:
            raise RequestError("running", f"{name} is {child.state}", "stop it first")
        self._supervisor.children.pop(name, None)
        if self._logs is not None:
            self._logs.forget(name)
        client.answer({"ok": True} if child else {"ok": True, "already": True})

    def _wait(self, client: Connection, request: Request) -> None:
        name, within, until = _name(request), _seconds(request, "within"), request.get("until", "ready")
        if until not in {"ready", "stopped"}:
            raise RequestError("bad-request", "until must be ready or stopped")
        if name not in self._supervisor.children:
            raise RequestError("unknown-name", f"there is no process {name}")
        Waiting(self._supervisor, client, name, str(until)).begin(_WAIT if within is None else within)

    def _open(self, client: Connection, request: Request) -> None:
        child = self._supervisor.children.get(_name(request))
        if child is None:
            raise RequestError("unknown-name", f"there is no process {request['name']}")
        child.trust()
        client.answer({"ok": True, "process": report(child)})

    def _follow(self, client: Connection, request: Request) -> None:
        names, lines = request.get("names"), request.get("lines", 100)
        if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise RequestError("bad-request", "names must be a list of names, or null for all")
        if isinstance(lines, bool) or not isinstance(lines, int) or not 0 <= lines <= _MOST_LINES:
            raise RequestError("bad-request", f"lines must be a whole number up to {_MOST_LINES}")
        if self._logs is None:
            raise RequestError("no-logs", "this supervisor keeps no logs", "read its standard output")
        wanted = None if names is None else {name for name in names if _plain(name)}
        first = b'{"ok": true}\n' + b"".join(self._logs.tail(wanted, lines))
        if not request.get("follow"):
            client.finish(first)
            return
        self._stream(client, wanted, first)

    def _stream(self, client: Connection, wanted: set[str] | None, first: bytes) -> None:
        def sink(lines: list[LogLine]) -> None:
            client.stream(b"".join(to_json(line) for line in lines if wanted is None or line.name in wanted))

        self._supervisor.sinks.append(sink)
        client.on_close = lambda: self._supervisor.sinks.remove(sink)
        client.write(first)

    def _shutdown(self, client: Connection, request: Request) -> None:
        self._supervisor.close(0, _seconds(request, "within"))

        def over() -> bool:
            if self._supervisor.over:
                client.answer({"ok": True})
            return self._supervisor.over

        self._when(over)

    def _spec(self, request: Request) -> ProcessSpec:
        given = request.get("process")
        if not isinstance(given, dict):
            raise RequestError("bad-request", "process must be a table")
        if self._supervisor.closing:
            raise RequestError("closing", "this supervisor is shutting down")
        return read_process(given)

    def _when(self, done: Callable[[], bool]) -> None:
        if not done():
            self._supervisor.watchers.append(done)


class Waiting:
    """One client that waits until a process is ready, or has stopped."""

    def __init__(self, supervisor: Supervisor, client: Connection, name: str, until: str) -> None:
        self._supervisor = supervisor
        self._client = client
        self._name = name
        self._until = until
        self._over = False

    def begin(self, within: float) -> None:
        """Answer now if it is so, else at the change that makes it so, at the latest after `within` seconds."""
        timer = self._supervisor.loop.later(within, lambda: self._limit(within))

        def check() -> bool:
            self._check()
            if self._over:
                timer.cancel()
            return self._over

        if not check():
            self._supervisor.watchers.append(check)

    def _check(self) -> None:
        child = self._supervisor.children.get(self._name)
        if self._over or not self._client.open:
            self._over = True
        elif child is None:
            self._say(failure("unknown-name", f"{self._name} was removed"))
        elif self._reached(child):
            self._say({"ok": True, "process": report(child)})
        elif self._until == "ready" and child.successor is None and (child.state in RESTING or child.overdue):
            self._refuse(child, child.verdict or f"is {child.state}")

    def _reached(self, child: Child) -> bool:
        if child.successor is not None:
            return False
        return child.state == "ready" if self._until == "ready" else child.state in RESTING

    def _limit(self, within: float) -> None:
        child = self._supervisor.children.get(self._name)
        if child is not None and not self._over:
            self._refuse(child, child.verdict or f"is still {child.state} after {within:g} s")

    def _refuse(self, child: Child, why: str) -> None:
        self._say(failure(f"not-{self._until}", f"{self._name} {why}", process=report(child)))

    def _say(self, answer: dict[str, object]) -> None:
        self._over = True
        self._client.answer(answer)


def _name(request: Request) -> str:
    name = request.get("name")
    if not isinstance(name, str) or not name:
        raise RequestError("bad-request", "name must be the name of a process")
    return name


def _seconds(request: Request, key: str) -> float | None:
    value = request.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise RequestError("bad-request", f"{key} must be a number of seconds")
    return float(value)


def _plain(name: str) -> bool:
    # A name becomes a file name; the supervisor's own is allowed here.
    return name == OWN_NAME or not (set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789._-"))
