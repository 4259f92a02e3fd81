"""The routes of the front door, read from the JSON that the artifacts make (pure)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from towline.core.errors import Defect

SLOTS = 4


@dataclass(frozen=True)
class Route:
    """One service, or a bucket, behind the door.

    `proxy`: to the addresses in its slot files, `slots` of them; with `port`, other services reach it at that port of
    127.0.0.1 as well. `files`: kept files of a static service. `fixed`: always to `dial`.
    """

    name: str
    kind: Literal["proxy", "files", "fixed"]
    hosts: tuple[str, ...] = ()
    slots: int = SLOTS
    port: int | None = None
    dial: str = ""
    spa: bool = True


@dataclass(frozen=True)
class Routes:
    """All that a door leads to. `default` is the service that answers at the machine's own names."""

    port: int
    routes: tuple[Route, ...] = ()
    app: str = ""
    default: str | None = None

    def of(self, service: str) -> Route | None:
        """The route of a service."""
        return next((route for route in self.routes if route.name == service), None)


def read(text: str) -> Routes:
    """Routes from JSON. Raises Defect when it has another shape."""
    try:
        plain = json.loads(text)
        return Routes(
            port=int(plain["port"]),
            routes=tuple(_route(one) for one in plain["services"]),
            app=str(plain.get("app", "")),
            default=plain.get("default"),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Defect("the routes of the front door cannot be read") from error


def _route(plain: dict[str, object]) -> Route:
    kind = plain["kind"]
    if kind not in ("proxy", "files", "fixed"):
        raise ValueError(f"unknown kind of route: {kind}")
    hosts, slots, port = plain.get("hosts", []), plain.get("slots", SLOTS), plain.get("port")
    return Route(
        name=str(plain["name"]),
        kind=kind,
        hosts=tuple(str(host) for host in hosts) if isinstance(hosts, list) else (),
        slots=slots if isinstance(slots, int) else SLOTS,
        port=port if isinstance(port, int) else None,
        dial=str(plain.get("dial", "")),
        spa=bool(plain.get("spa", True)),
    )
