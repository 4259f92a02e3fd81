"""The front door of a host for a driver: Caddy's JSON, in which each address is a file that is read at every request.

So a shift is a rename: no reload, no dropped connection. Only JSON takes such an address; the `Caddyfile` that
`towline render` writes leads to names of containers instead. It has no port of the machine: what comes from outside
comes in clear through a socket, from the door of the machine (`machine_door`), which all targets share.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from towline.artifacts.front_door import container_port, routes
from towline.artifacts.maintenance import unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.artifacts.front_door import Route
    from towline.artifacts.rendered import Material
    from towline.spec.model import Service, Site

SLOTS = 12
"""Files for the addresses of one service: more than the copies of any, each filled with a live one."""

FOLDER = "/door"
"""Where the slot files are inside the door's container."""

SOCKETS, SOCKET = "/run/door", "door.sock"
"""The folder that it shares with the machine's door, as it is inside, and the socket there at which it is found."""

HOLD = "127.0.0.1:1"
"""An address that always refuses: requests to it wait until another one is written, at most `TRY_FOR`."""

UPSTREAM_HEADER = "X-Towline-Upstream"
"""What the door adds to an answer of a service, so that a shift can be seen through it."""

TRY_FOR = "15s"
GRACE = 30.0

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "base-uri 'self'; frame-ancestors 'self'; object-src 'none'",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
_HSTS = {"Strict-Transport-Security": "max-age=31536000"}

Plain = dict[str, Any]


def config(material: Material, site: Site, host: str | None) -> str:
    """Caddy's whole configuration of one host, the same text for the same app; `host` is the site's public name."""
    known = routes(material.placement, site, material.containers)
    named = [_public(one, [one.domain], secure=True) for one in known if one.domain is not None]
    clear = [_in_clear(one, host) for one in _main_last([one for one in known if one.domain is None])]
    # Only the machine's door is at the other end, so that what it says of the browser is believed.
    front = {**_server([f"unix/{SOCKETS}/{SOCKET}|0600"], [*named, *clear]), "trusted_proxies_unix": True}
    plain: Plain = {
        "admin": {"disabled": True},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": {"http": {"grace_period": f"{GRACE:.0f}s", "servers": {"front": front, **_inner(material, site)}}},
    }
    return json.dumps(plain, sort_keys=True, indent=1)


def slot(service: str, number: int) -> str:
    """The name of a slot file: slots count from 1."""
    return f"{service}.{number}"


def through_door(service: Service) -> bool:
    """Whether other services reach it through the door as well, so that it can be swapped without a pause."""
    return service.kind in ("web", "private", "static")


def inner_names(material: Material, site: Site) -> tuple[str, ...]:
    """The names of services that the door answers to inside the app's network."""
    return tuple(one.name for one in material.placement.services_on(site) if through_door(one))


def _server(listen: list[str], inner: list[Plain]) -> Plain:
    unknown = {"handle": [{"handler": "static_response", "status_code": 404}]}
    # A name in a route alone would make Caddy want a certificate for it.
    return {"listen": listen, "routes": [*inner, unknown], "automatic_https": {"disable": True}}


def _public(route: Route, names: list[str] | None, *, secure: bool) -> Plain:
    said = _headers(_HEADERS | (_HSTS if secure else {}))
    handle = [said, *(_bucket(route) if route.kind == "bucket" else [_compressed(), _to_slots(route.name)])]
    paused = [] if route.kind == "bucket" else [unavailable(FOLDER)]
    inner = [*paused, {"handle": handle}]
    found: Plain = {"handle": [{"handler": "subroute", "routes": inner}], "terminal": True}
    return found if names is None else {"match": [{"host": names}], **found}


def _in_clear(route: Route, host: str | None) -> Plain:
    """By the site's own name where it is known, else by how the name that was asked for begins."""
    if route.label is None:
        return _public(route, None, secure=False)
    if host is not None:
        return _public(route, [f"{route.label}.{host}"], secure=False)
    begins = {"header_regexp": {"Host": {"pattern": rf"(?i)^{route.label}\."}}}
    return {**_public(route, None, secure=False), "match": [begins]}


def _main_last(clear: list[Route]) -> list[Route]:
    return sorted(clear, key=lambda one: one.label is None)


def _inner(material: Material, site: Site) -> Plain:
    """A server for each port at which services are called by others, told apart by name."""
    ports: dict[int, list[str]] = {}
    for service in material.placement.services_on(site):
        if through_door(service):
            port = container_port(service, material.containers.get(service.name))
            ports.setdefault(port, []).append(service.name)
    return {
        f"inner {port}": _server([f":{port}"], [_named(name) for name in names])
        for port, names in sorted(ports.items())
    }


def _named(name: str) -> Plain:
    return {"match": [{"host": [name]}], "handle": [_to_slots(name)], "terminal": True}


def _to_slots(service: str) -> Plain:
    dials = [f"{{file.{FOLDER}/{slot(service, number)}}}" for number in range(1, SLOTS + 1)]
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": dial} for dial in dials],
        "load_balancing": {
            "selection_policy": {"policy": "round_robin"},
            "try_duration": TRY_FOR,
            "try_interval": "100ms",
        },
        # A connection to an instance is kept this long without a request; then the instance is free.
        "transport": {"protocol": "http", "keep_alive": {"idle_timeout": "1s"}},
        # Streams leave at once. Not -1: then a client that goes away would leave its request running behind the door.
        "flush_interval": "10ms",
        "stream_close_delay": "10m",
        "headers": {"response": {"set": {UPSTREAM_HEADER: ["{http.reverse_proxy.upstream.hostport}"]}}},
    }


def _bucket(route: Route) -> list[Plain]:
    """Only objects of the app's own bucket, never the list of them; nothing that they hold runs as the app's page."""
    bucket = "/" + route.prefix.strip("/").partition("/")[0]
    rule: Plain = {"path": [f"{route.prefix}*"], "not": [{"path": [route.prefix]}]}
    if route.whole:
        rule = {"path": [bucket, f"{bucket}/*"]}
    if route.reads_only:
        rule["method"] = ["GET", "HEAD"]
    proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": f"{route.name}:{route.port}"}]}
    guard = _headers({"Content-Security-Policy": "script-src 'none'; frame-ancestors 'self'"})
    inner = [
        {"match": [rule], "handle": [guard, proxy], "terminal": True},
        {"handle": [{"handler": "static_response", "status_code": 404}]},
    ]
    return [{"handler": "subroute", "routes": inner}]


def _compressed() -> Plain:
    return {"handler": "encode", "encodings": {"zstd": {}, "gzip": {}}, "prefer": ["zstd", "gzip"]}


def _headers(headers: Mapping[str, str]) -> Plain:
    """What an answer says where the app says nothing itself."""
    rules = [{"handler": "headers", "response": {"deferred": True, "require": {"headers": {name: None}},
              "set": {name: [value]}}} for name, value in headers.items()]  # fmt: skip
    hidden = {"handler": "headers", "response": {"deferred": True, "delete": ["Server", "Via"]}}
    return {"handler": "subroute", "routes": [{"handle": [*rules, hidden]}]}
