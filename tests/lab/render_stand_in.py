"""Render's API as far as the workflows speak with it: every request is checked against the vendor's own description."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from jsonschema import Draft4Validator
from tests.lab.described import Description

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

DESCRIPTION = Description("render")
KEY = "rnd_of_the_test"


@dataclass
class Deploy:
    """One deploy: what was asked for, and the states that it will be seen in, the last one for good."""

    id: str
    asked: dict[str, Any]
    states: list[str]
    commit: str = ""


@dataclass
class State:
    """What the account holds. `queued` are the services whose next deploy waits behind another."""

    services: dict[str, str] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)
    deploys: dict[str, list[Deploy]] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    queued: set[str] = field(default_factory=set)
    exports: list[dict[str, str]] = field(default_factory=list)
    archive: bytes = b""
    calls: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class RenderStandIn:
    """A server on loopback that behaves as the API does; `wrong` in its state is what a request had wrong."""

    def __init__(self, *services: str) -> None:
        self.state = State(services={name: f"srv-{name}" for name in services})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.state))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(state: State) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
            pass

        def do_GET(self) -> None:
            self._answered("get", None)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self._answered("post", self.rfile.read(length) if length else None)

        def _answered(self, method: str, body: bytes | None) -> None:
            address = urlsplit(self.path)
            if address.path == "/archive":
                self._send(200, state.archive, "application/gzip")
                return
            state.calls.append(f"{method.upper()} {address.path}")
            if self.headers.get("Authorization") != f"Bearer {KEY}":
                self._send(401, b'{"message": "unauthorized"}')
                return
            path = address.path.removeprefix("/v1")
            asked = json.loads(body) if body else None
            state.wrong += DESCRIPTION.mistakes(method, path, parse_qs(address.query), asked)
            host = f"http://{self.headers['Host']}"
            status, answer = _act(state, (method, path), parse_qs(address.query), (asked, host))
            self._send(status, b"" if answer is None else json.dumps(answer).encode())

        def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _act(state: State, call: tuple[str, str], query: dict[str, list[str]], given: tuple[Any, str]) -> tuple[int, Any]:
    method, path = call
    body, host = given
    parts = path.strip("/").split("/")
    if path == "/services":
        names = [name for name in query["name"] if name in state.services]
        rows = [{"service": {"id": state.services[name]}, "cursor": name} for name in names]
        rows += [{"service": {"id": f"srv-{name}-2"}, "cursor": name} for name in names if name in state.twice]
        return 200, rows
    if path == "/postgres":
        return 200, [{"postgres": {"id": f"dpg-{name}"}, "cursor": name} for name in query["name"]]
    if parts[-1] == "export":
        if method == "post":
            number = len(state.exports)
            state.exports.append({"id": f"exp-{number}", "createdAt": "2026-11-22T03:17:00Z", "url": f"{host}/archive"})
            return 202, None
        return 200, state.exports
    return _of_service(state, method, parts[1:], body)


def _of_service(state: State, method: str, parts: list[str], body: Any) -> tuple[int, Any]:
    service = parts[0]
    deploys = state.deploys.setdefault(service, [])
    if parts[1:] == []:
        return 200, {
            "id": service,
            "serviceDetails": {"url": f"https://{service.removeprefix('srv-')}.onrender.example"},
        }
    if parts[1:] in (["deploys"], ["rollback"]) and method == "post":
        end = state.ends.get(service.removeprefix("srv-"), "live")
        made = Deploy(f"dep-{service}-{len(deploys)}", body, ["build_in_progress", "update_in_progress", end])
        made.commit = body.get("commitId", "")
        deploys.append(made)
        if service in state.queued:
            state.queued.discard(service)
            return 202, None
        return 201, _shown(made, forget=False)
    if parts[1:] == ["deploys"]:
        return 200, [{"deploy": _shown(one, forget=False), "cursor": one.id} for one in reversed(deploys)]
    found = next(one for one in deploys if one.id == parts[2])
    return 200, _shown(found, forget=True)


def _shown(deploy: Deploy, *, forget: bool) -> dict[str, Any]:
    """A deploy as the API shows it; each look at one moves it on."""
    state = deploy.states.pop(0) if forget and len(deploy.states) > 1 else deploy.states[0]
    shown = {"id": deploy.id, "status": state, "trigger": "api", "commit": {"id": deploy.commit}}
    answer = DESCRIPTION.schema("deploy")
    assert not list(Draft4Validator(answer).iter_errors(shown)), "the stand-in itself answers wrongly"
    return shown
