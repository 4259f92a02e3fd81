"""The front door: its routes, the shift of a service's traffic, and the proof of it."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from towline.core.errors import StepFailed
from towline.core.files import write_atomic
from towline.drivers.local import caddy, routes, servers
from towline.drivers.local.ground import Handler
from towline.drivers.local.starts import listen_on

if TYPE_CHECKING:
    from pathlib import Path

    from towline.drivers.local.ground import Ground
    from towline.drivers.local.routes import Route, Routes
    from towline.steps.kinds import ConfigureDoor, ConfirmShift, Shift
    from towline.steps.model import Before

_LOOK = 0.1

_ENOUGH = 65536
"""Bytes of an answer that are read; what streams for ever is left after them."""


class Seen(NamedTuple):
    """An answer through the door: its status, and which upstream or which files it came from."""

    status: int
    origin: str


class Door:
    """The steps that change where requests go."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._slots = ground.slots
        self._routes = ground.home.door / "routes.json"
        self._digest = ground.home.door / "routes.digest"

    def handlers(self) -> dict[str, Handler[Any]]:
        """By kind of step."""
        return {
            "configure-door": Handler(self._configure, self._configured, lambda _step: {"routes": self.digest()}),
            "shift": Handler(self._shift, self._shifted, self._before_shift),
            "confirm-shift": Handler(self._confirm),
        }

    def digest(self) -> str | None:
        """The digest of the routes in force; None before the first."""
        try:
            return self._digest.read_text().strip()
        except FileNotFoundError:
            return None

    def _configured(self, step: ConfigureDoor) -> str | None:
        return "it has these routes" if self.digest() == step.routes and self._runs() is None else None

    def _runs(self) -> str | None:
        """Why the door takes no orders; None when it does."""
        try:
            _ask(self._ground.home.door_admin, "GET", "/config/admin", None)
        except OSError as error:
            return error.strerror or str(error)
        return None

    def _configure(self, step: ConfigureDoor) -> str:
        text = self._ground.blobs.text(step.routes)
        found = routes.read(text)
        self._slots.fit(found)
        # On the disk before in force: a door that is started again comes back with what it had been told last.
        write_atomic(self._routes, text)
        self._load(found)
        write_atomic(self._digest, step.routes)
        self._remember_ports(found)
        return f"{len(found.routes)} routes"

    def _load(self, found: Routes) -> None:
        home = self._ground.home
        config = caddy.config(found, admin_socket=str(home.door_admin), listen=listen_on(found.port))
        write_atomic(home.config / "door.json", json.dumps(config, indent=1))
        try:
            status, answer = _ask(home.door_admin, "POST", "/load", json.dumps(config).encode())
        except OSError as error:
            reason = error.strerror or str(error)
            raise StepFailed(f"the front door takes no orders: {reason}", hint="towline logs door") from error
        if status != http.client.OK:
            raise StepFailed(
                "the front door refused its routes", hint="towline logs door", evidence=tuple(answer.splitlines())
            )

    def _remember_ports(self, found: Routes) -> None:
        fixed = {route.name: route.port for route in found.routes if route.port is not None}
        self._ground.ports.change(lambda entries: {**entries, **fixed})

    def _route(self, service: str) -> Route | None:
        return None if not self._routes.exists() else routes.read(self._routes.read_text()).of(service)

    def _before_shift(self, step: Shift) -> Before:
        return {"upstreams": list(self._slots.upstreams(step.service))}

    def _shifted(self, step: Shift) -> str | None:
        if self._route(step.service) is None and step.upstreams:
            return None
        return "it goes there already" if self._slots.upstreams(step.service) == step.upstreams else None

    def _shift(self, step: Shift) -> str:
        route = self._route(step.service)
        if route is None:
            if step.upstreams:
                raise StepFailed(f"the front door has no route for {step.service}", hint="towline up")
            self._slots.forget(step.service)
            return "no route leads there"
        if route.kind == "files" and step.upstreams and not self._kept(step).is_dir():
            raise StepFailed(f"the files {step.upstreams[0]} of {step.service} are not here", hint="towline up")
        self._slots.send(route, step.upstreams)
        return "requests wait" if not step.upstreams else f"now {', '.join(step.upstreams)}"

    def _kept(self, step: Shift) -> Path:
        return self._ground.home.static / step.service / step.upstreams[0]

    def _confirm(self, step: ConfirmShift) -> str:
        route = self._route(step.service)
        if route is None:
            raise StepFailed(f"the front door has no route for {step.service}", hint="towline up")
        if not step.upstreams:
            return "requests wait" if not self._slots.upstreams(step.service) else "not all requests wait"
        targets = self._targets(route)
        deadline = time.monotonic() + step.within
        for host, port in targets:
            self._confirm_at(step, route, (host, port), deadline)
        return f"seen at {', '.join(f'{host}:{port}' for host, port in targets)}"

    def _targets(self, route: Route) -> list[tuple[str, int]]:
        """Every address of a service, the one for other services included."""
        door = routes.read(self._routes.read_text()).port
        inner = [("127.0.0.1", route.port)] if route.port is not None else []
        return [*((host, door) for host in route.hosts), *inner]

    def _confirm_at(self, step: ConfirmShift, route: Route, at: tuple[str, int], deadline: float) -> None:
        wanted, path = set(step.upstreams), self._path(step)
        count = route.slots if route.kind == "proxy" else 4
        while True:
            seen = _looks(count, at, path, max(deadline - time.monotonic(), 1.0))
            origins = {one.origin for one in seen}
            if origins == wanted:
                return
            if time.monotonic() >= deadline:
                raise StepFailed(
                    f"not only {', '.join(sorted(wanted))} answers for {step.service} at {at[0]}:{at[1]}",
                    hint=f"towline logs {step.service}",
                    evidence=_shown(seen),
                )
            time.sleep(_LOOK)

    def _path(self, step: ConfirmShift) -> str:
        """What to ask for: the path by which the instance itself says that it is ready."""
        for process in self._ground.supervisor.processes():
            instance = servers.instance_of(process.labels)
            if instance is not None and f"127.0.0.1:{instance.port}" in step.upstreams:
                return instance.ready.path if instance.ready.kind == "http" else "/"
        return "/"


def _looks(count: int, at: tuple[str, int], path: str, within: float) -> list[Seen]:
    """As many requests at once, so that they meet every slot."""
    with ThreadPoolExecutor(max_workers=count) as pool:
        return list(pool.map(lambda _number: look(at[0], at[1], path, within), range(count)))


def look(host: str, port: int, path: str, within: float) -> Seen:
    """One request through the door over a connection of its own; status 0 when there was no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=within)
    try:
        headers = {"Host": f"{host}:{port}", "Connection": "close", "User-Agent": "towline"}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        # To its end, as far as it has one: the door would note a client that leaves early.
        answer.read(_ENOUGH)
        # Whatever the app answers, it is the app that answers: only the door's own failures have no origin.
        origin = answer.getheader(caddy.UPSTREAM_HEADER) or answer.getheader(caddy.FILES_HEADER)
        return Seen(answer.status, origin or "the front door itself")
    except (OSError, http.client.HTTPException) as error:
        return Seen(0, f"no answer: {error}")
    finally:
        connection.close()


def _shown(seen: list[Seen]) -> tuple[str, ...]:
    return tuple(f"{count} x status {one.status} from {one.origin}" for one, count in Counter(seen).most_common())


class _OverSocket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("127.0.0.1", timeout=20)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _ask(path: Path, method: str, target: str, body: bytes | None) -> tuple[int, str]:
    connection = _OverSocket(path)
    try:
        connection.request(method, target, body=body, headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()
