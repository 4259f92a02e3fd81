"""The door of a machine: Caddy at ports 80 and 443 with a configuration that never changes, and names that are files.

Beside it each target has a front door of its own, behind a socket in a folder that both see. A name is a file that says
whose it is, and a link to the folder of that socket: adding, moving or taking away one is a rename, and no other target
notices. In the folder lies a file whose name no other front door has, the lane: connections are kept under it, so that
none of them outlives the front door that it leads to.
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

FORM = 2
"""Counts with every change of `config` or the image: a door of a higher form is never replaced by a lower one."""

FOLDER = "/door"
"""Where the machine's folder is inside: `clear` and `secure` hold names, `to` their links, `lanes` those of lanes."""

SOCKET = "door.sock"

GRACE = 30.0
"""Seconds that a door which is replaced waits for its open requests."""

TRY_FOR = "15s"
KEPT_FOR = "2s"
"""How long a connection to a front door is kept without a request: an old one that has been left is free after it."""

KEPT = 256
"""Connections to one front door that are kept at most."""

_ASKED = "/towline/name"
"""Where Caddy asks itself whether it may fetch a certificate; only from the machine itself, by its address."""

_NAME, _SNI = "{http.request.host}", "{http.request.tls.server_name}"
_PLAIN_NAME = "^[0-9a-z_:][0-9a-z._:-]*$"
_OTHER_NAME = "^$|^\\[|[A-Z]|[.]$"
_KINDS = ("secure", "clear")
_SPELT = "^([0-9A-Za-z_][0-9A-Za-z._-]*?)[.]?(:[0-9]+)?$"

Plain = dict[str, Any]


def config(certificates: Certificates) -> str:
    """Caddy's whole configuration: the same for every machine."""
    https: Plain = {
        "listen": [":443"],
        "routes": [
            _asked_otherwise(),
            # A certificate is there for secure names alone: whoever asks for that of the certificate asks for one.
            _plainly_asked([_lane(_NAME, {"vars": {_SNI: [_NAME]}}), _known("secure", _to_owner(_NAME))]),
            _nothing(),
        ],
        "automatic_https": {"disable": True},
        "tls_connection_policies": [{}],
    }
    clear: Plain = {
        "listen": [":80"],
        "routes": [
            *_permission(),
            _asked_otherwise(),
            # What is there and not secure is in clear.
            _plainly_asked([_known("secure", [_secured()]), _lane(_NAME), _known("clear", _to_owner(_NAME))]),
            {"match": [{"file": _file("clear", ANY_NAME)}], "handle": _to_owner(ANY_NAME), "terminal": True},
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


def _asked_otherwise() -> Plain:
    """What is asked for otherwise than names are kept is asked for as they are: one look at each request finds it.

    Without a name, as HTTP/1.0 may: the machine's own address. An IPv6 address in brackets, which Caddy takes off only
    where a port follows: with the port that it means. The rest has capitals, or a dot at its end.
    """
    nameless = {"match": [{"vars_regexp": {_NAME: {"pattern": "^$"}}}], "handle": [_host("{http.request.local.host}")]}
    literal = {
        "match": [{"header_regexp": {"Host": {"name": "literal", "pattern": "^(\\[[0-9a-f:.]+])$"}}}],
        "handle": [_host("{http.regexp.literal.1}:80")],
    }
    spelt = {
        "match": [{"header_regexp": {"Host": {"name": "spelt", "pattern": _SPELT}}}],
        "handle": [_subroute([_spelt_as_kept()])],
    }
    other = {"vars_regexp": {_NAME: {"pattern": _OTHER_NAME}}}
    return {"match": [other], "handle": [_subroute([nameless, literal, spelt])]}


def _spelt_as_kept() -> Plain:
    """Where somebody has the name in small letters, without the dot.

    Caddy has no placeholder in small letters. Its expressions have a function for them, and one that looks for a file
    by a name that is only known at the request: the matcher `file`, under the name that its macro gives it.
    """
    names = "['/' + {http.regexp.spelt.1}.lowerAscii()]"
    looks = (f"file_request_map(req, {{'root': '{FOLDER}/{kind}', 'try_files': {names}}})" for kind in _KINDS)
    found = _host("{http.matchers.file.relative}{http.regexp.spelt.2}")
    found["request"]["replace"] = {"Host": [{"search": "/", "replace": ""}]}
    return {"match": [{"expression": " || ".join(looks)}], "handle": [found]}


def _host(name: str) -> Plain:
    return {"handler": "headers", "request": {"set": {"Host": [name]}}}


def _plainly_asked(routes: list[Plain]) -> Plain:
    """Requests for what may be a name: only those look for files, of which the name becomes a part of the path."""
    return {"match": [{"vars_regexp": {_NAME: {"pattern": _PLAIN_NAME}}}], "handle": [_subroute(routes)]}


def _known(kind: str, handle: list[Plain]) -> Plain:
    return {"match": [{"file": _file(kind, _NAME)}], "handle": handle, "terminal": True}


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


def _to_owner(name: str) -> list[Plain]:
    """The front door of whoever has the name, which is a link in `to`.

    It leads to the folder of a front door. Versions before lanes make links to the socket itself, and folders without a
    lane.
    """
    link = f"{FOLDER}/to/{name}"
    socket = f"{link}/{SOCKET}"
    older = _or_else(_fresh(link), _or_else(_fresh(socket), _waiting(socket, link)))
    return [_subroute([_lane(name), {"handle": [*_bare(), older]}])]


def _lane(name: str, more: Plain | None = None) -> Plain:
    """By the lane that lies in the folder that the name leads to, looked up at each request."""
    link = f"{FOLDER}/to/{name}"
    there = {"file": {"root": link, "try_files": ["/*.lane"]}, **(more or {})}
    return {"match": [there], "handle": [*_bare(), _or_else(_kept(), _waiting(f"{link}/{SOCKET}"))], "terminal": True}


def _kept() -> Plain:
    """Over a connection that is kept for the next request.

    Each lane has connections of its own. From the switch to another front door on nobody takes one of the older lane,
    and the door behind it goes when they have been given up: no request comes over a connection that is about to end.
    """
    kept = {"idle_timeout": KEPT_FOR, "max_idle_conns_per_host": KEPT}
    return _proxy(f"{FOLDER}/lanes{{http.matchers.file.relative}}/{SOCKET}", keep_alive=kept)


def _fresh(*sockets: str) -> Plain:
    """Over a connection of its own."""
    return _proxy(*sockets, keep_alive={"enabled": False})


def _waiting(*sockets: str) -> Plain:
    """The same, and while nobody is at any of the sockets the request waits: links are read anew at each try."""
    balance = {"selection_policy": {"policy": "round_robin"}, "try_duration": TRY_FOR, "try_interval": "100ms"}
    return {**_fresh(*sockets), "load_balancing": balance}


def _or_else(first: Plain, other: Plain) -> Plain:
    """The other one, where nobody takes a connection of the first, and nothing has been sent to anybody."""
    refused = {"vars_regexp": {"{http.error.message}": {"pattern": "^dial "}}}
    failed = {"handler": "error", "error": "{http.error.message}", "status_code": "{http.error.status_code}"}
    errors: list[Plain] = [{"match": [refused], "handle": [other], "terminal": True}, {"handle": [failed]}]
    return {**_subroute([{"handle": [first]}]), "errors": {"routes": errors}}


def _subroute(routes: list[Plain]) -> Plain:
    return {"handler": "subroute", "routes": routes}


def _proxy(*sockets: str, keep_alive: Plain) -> Plain:
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"unix/{one}"} for one in sockets],
        "transport": {"protocol": "http", "keep_alive": keep_alive},
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
