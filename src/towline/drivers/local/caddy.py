"""The front door's configuration: Caddy's JSON from the routes (pure).

An address stands in a file of its own, read at every request, so that a shift is a rename: no reload, no dropped
connection. Paths are relative to the folder that Caddy runs in, so a project may lie anywhere and be moved.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from towline.drivers.local.routes import Route, Routes

HOLD = "127.0.0.1:1"
"""An address that always refuses: requests to it wait until another one is written, at most `TRY_FOR`."""

UPSTREAM_HEADER = "X-Towline-Upstream"
FILES_HEADER = "X-Towline-Files"
"""What the door adds to an answer, so that a shift can be seen through it: the address, or the name of the files."""

TRY_FOR = "15s"
IDLE_SECONDS = 1.0
"""The door keeps a connection to an instance this long without a request; then the instance is free."""

Plain = dict[str, Any]


def config(routes: Routes, *, admin_socket: str, listen: tuple[str, ...]) -> Plain:
    """Caddy's whole configuration; `listen` are the addresses of the door, such as "127.0.0.1:7080"."""
    servers = {"door": _server(listen, [*_public(routes), _unknown_host(routes)])}
    for route in routes.routes:
        if route.kind == "proxy" and route.port is not None:
            servers[f"service {route.name}"] = _server((f"127.0.0.1:{route.port}",), [{"handle": [_handler(route)]}])
    return {
        "admin": {"listen": f"unix/{admin_socket}|0600", "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": {"http": {"grace_period": "5s", "servers": servers}},
    }


def slot(service: str, number: int) -> str:
    """The name of a slot file: slots count from 1."""
    return f"{service}.{number}"


def root(service: str) -> str:
    """The name of the file that names the kept files of a static service."""
    return f"{service}.root"


def _server(listen: tuple[str, ...], routes: list[Plain]) -> Plain:
    return {
        "listen": list(listen),
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
        "routes": routes,
        "errors": {"routes": [{"handle": [_failure()]}]},
    }


def _public(routes: Routes) -> list[Plain]:
    found = []
    for route in routes.routes:
        hosts = [*route.hosts, *(("localhost", "127.0.0.1", "::1") if route.name == routes.default else ())]
        if hosts:
            inner = _files(route) if route.kind == "files" else [{"handle": [_handler(route)]}]
            handle = [{"handler": "subroute", "routes": inner}]
            found.append({"match": [{"host": hosts}], "handle": handle, "terminal": True})
    return found


def _handler(route: Route) -> Plain:
    fixed = route.kind == "fixed"
    dials = [route.dial] if fixed else [f"{{file.door/{slot(route.name, n)}}}" for n in range(1, route.slots + 1)]
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": dial} for dial in dials],
        "load_balancing": {
            "selection_policy": {"policy": "round_robin"},
            "try_duration": TRY_FOR,
            "try_interval": "100ms",
        },
        "transport": {"protocol": "http", "keep_alive": {"idle_timeout": f"{IDLE_SECONDS:g}s"}},
        # Streams leave at once. Not -1: then a client that goes away would leave its request running behind the door.
        "flush_interval": "10ms",
        # New routes close WebSockets only after this time.
        "stream_close_delay": "10m",
        "headers": {"response": {"set": {UPSTREAM_HEADER: ["{http.reverse_proxy.upstream.hostport}"]}}},
    }


def _files(route: Route) -> list[Plain]:
    name = f"{{file.door/{root(route.name)}}}"
    folder = f"static/{route.name}/{name}"
    there = {"root": folder, "try_files": ["{http.request.uri.path}", "{http.request.uri.path}/index.html"]}
    routes: list[Plain] = [
        {"handle": [_headers({FILES_HEADER: name})]},
        {"group": "file", "match": [{"file": there}], "handle": [_rewrite("{http.matchers.file.relative}")]},
    ]
    if route.spa:
        # A name with an extension asks for a file: a page in its place would only hide that it is missing.
        page = {"not": [{"path_regexp": {"pattern": r"\.[^/]+$"}}]}
        routes.append({"group": "file", "match": [page], "handle": [_rewrite("/index.html")]})
    # Names of built files change with their content, the page that names them does not: it is asked for anew.
    pages = {"path": ["*.html", "*/"]}
    routes.append({"match": [pages], "handle": [_headers({"Cache-Control": "no-cache"})]})
    routes.append({"handle": [{"handler": "file_server", "root": folder}]})
    return routes


def _headers(headers: dict[str, str]) -> Plain:
    return {"handler": "headers", "response": {"set": {name: [value] for name, value in headers.items()}}}


def _rewrite(uri: str) -> Plain:
    return {"handler": "rewrite", "uri": uri}


def _unknown_host(routes: Routes) -> Plain:
    addresses = [
        f"http://{host}:{routes.port}" for route in routes.routes if route.kind != "fixed" for host in route.hosts
    ]
    links = "".join(f'<li><a href="{html.escape(one)}">{html.escape(one)}</a></li>' for one in addresses)
    title = html.escape(routes.app or "This app")
    body = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Not found</title>'
        f"<h1>Nothing has this address</h1><p>{title} answers at:</p><ul>{links}</ul></html>\n"
    )
    headers = {"Content-Type": ["text/html; charset=utf-8"]}
    # Braces would be taken for placeholders of Caddy; no host name has one.
    return {"handle": [{"handler": "static_response", "status_code": 404, "headers": headers, "body": body}]}


def _failure() -> Plain:
    return {
        "handler": "static_response",
        "status_code": "{http.error.status_code}",
        "headers": {"Content-Type": ["text/plain; charset=utf-8"]},
        "body": "{http.error.status_code} {http.error.status_text}: `towline status` says what runs\n",
    }
