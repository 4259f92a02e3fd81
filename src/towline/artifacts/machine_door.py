"""The door of a machine: Caddy at ports 80 and 443 with a configuration that never changes, and names that are files.

Beside it each target has a front door of its own, behind a socket in a folder that both see. A name is a file that says
whose it is, and a link to that socket: adding, moving or taking away one is a rename, and no other target notices.
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from towline.artifacts.front_door import routes
from towline.artifacts.host_layout import DOOR_IMAGE
from towline.steps.door import ANY_NAME, OpenMachineDoor, PublicNames

if TYPE_CHECKING:
    from towline.artifacts.rendered import Material
    from towline.spec.model import Site
    from towline.steps.door import Certificates

FORM = 1
"""Counts with every change of `config` or the image: a door of a higher form is never replaced by a lower one."""

FOLDER = "/door"
"""Where the machine's folder is inside: `clear` and `secure` hold names, `to` their links."""

GRACE = 30.0
"""Seconds that a door which is replaced waits for its open requests."""

TRY_FOR = "15s"

_ASKED = "/towline/name"
"""Where Caddy asks itself whether it may fetch a certificate; only from the machine itself, by its address."""

Plain = dict[str, Any]


def config(certificates: Certificates) -> str:
    """Caddy's whole configuration: the same for every machine."""
    https: Plain = {
        "listen": [":443"],
        "routes": [_asked_for("secure", [*_bare(), _to("{http.request.host}")]), _nothing()],
        "automatic_https": {"disable": True},
        "tls_connection_policies": [{}],
    }
    clear: Plain = {
        "listen": [":80"],
        "routes": [
            *_permission(),
            _asked_for("secure", [_secured()]),
            _asked_for("clear", [*_bare(), _to("{http.request.host}")]),
            {"match": [{"file": _file("clear", ANY_NAME)}], "handle": [*_bare(), _to(ANY_NAME)], "terminal": True},
            _nothing(),
        ],
        "automatic_https": {"disable": True},
    }
    policy: Plain = {"on_demand": True}
    if certificates == "internal":
        policy["issuers"] = [{"module": "internal"}]
    asked = {"module": "http", "endpoint": f"http://127.0.0.1:80{_ASKED}"}
    plain: Plain = {
        "admin": {"disabled": True},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": {
            "http": {"grace_period": f"{GRACE:.0f}s", "servers": {"clear": clear, "https": https}},
            "tls": {"automation": {"on_demand": {"permission": asked}, "policies": [policy]}},
        },
    }
    return json.dumps(plain, sort_keys=True, indent=1)


def opening(site: Site, names: PublicNames) -> OpenMachineDoor:
    """The door that a target with these names needs; without https one that is open may have any certificates."""
    wanted: Certificates = "internal" if site.options.get("certificates") == "internal" else "acme"
    return OpenMachineDoor(FORM, DOOR_IMAGE, wanted, strict=bool(names.secure))


def names_of(material: Material, site: Site, host: str | None, *, named: bool) -> PublicNames:
    """The names of a target on one host, whose own name or address is `host`.

    `named`: somebody gave it that name. Without, what people see first answers to every name that nobody has.
    """
    known = routes(material.placement, site, material.containers)
    secure = {one.domain.lower() for one in known if one.domain is not None}
    own = _as_asked(host) if host else None
    in_clear = [one for one in known if one.domain is None]
    clear = {own if one.label is None else f"{one.label}.{own}".lower() for one in in_clear if own}
    if not named and any(one.label is None for one in in_clear):
        clear.add(ANY_NAME)
    return PublicNames(tuple(sorted(clear - secure)), tuple(sorted(secure)))


def _as_asked(host: str) -> str:
    """As Caddy shows the name that was asked for: small letters, and an IPv6 address without its brackets."""
    bare = host.strip("[]")
    try:
        return str(ip_address(bare))
    except ValueError:
        return bare.lower().rstrip(".")


def _asked_for(folder: str, handle: list[Plain]) -> Plain:
    """Requests for a name that lies in a folder; one without a name would be found as the folder itself."""
    some = {"header_regexp": {"Host": {"pattern": "."}}, "file": _file(folder, "{http.request.host}")}
    return {"match": [some], "handle": handle, "terminal": True}


def _file(folder: str, name: str) -> Plain:
    return {"root": f"{FOLDER}/{folder}", "try_files": [f"/{name}"]}


def _permission() -> list[Plain]:
    here = {"remote_ip": {"ranges": ["127.0.0.1/32"]}, "host": ["127.0.0.1"], "path": [_ASKED]}
    known = {**here, "query": {"domain": ["*"]}, "file": _file("secure", "{http.request.uri.query.domain}")}
    yes = {"handler": "static_response", "status_code": 200}
    return [
        {"match": [known], "handle": [yes], "terminal": True},
        {"match": [here], "handle": [{**yes, "status_code": 404}], "terminal": True},
    ]


def _to(name: str) -> Plain:
    """The front door of whoever has the name.

    A connection for each request: the next one goes where the link leads by then, so that a front door can be replaced
    or told other routes without a request on a connection that is about to end. While there is none, requests wait.
    """
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"unix/{FOLDER}/to/{name}"}],
        "transport": {"protocol": "http", "keep_alive": {"enabled": False}},
        "load_balancing": {"try_duration": TRY_FOR, "try_interval": "100ms"},
        # Streams leave at once. Not -1: then a client that goes away would leave its request running behind the door.
        "flush_interval": "10ms",
    }


def _secured() -> Plain:
    there = {"Location": ["https://{http.request.host}{http.request.uri}"]}
    return {"handler": "static_response", "status_code": 308, "headers": there}


def _bare() -> list[Plain]:
    return [{"handler": "headers", "response": {"deferred": True, "delete": ["Server", "Via"]}}]


def _nothing() -> Plain:
    return {"handle": [{"handler": "static_response", "status_code": 404}]}
