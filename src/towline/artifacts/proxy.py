"""The routes of a site's front door, as data that the site's own proxy is configured from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from towline.artifacts.addresses import Local
    from towline.planner.model import Placement
    from towline.spec.model import Service, Site

SLOTS = 12
"""Upstream slots of each service: more than the copies of any service on a laptop, each slot filled with a live one."""


def routes(placement: Placement, site: Site, addresses: Local) -> str:
    """JSON: `{"app", "port", "services": [...], "default"}`, by name.

    A service is of kind "proxy" (its upstreams are in slot files; `port` is its fixed address for other services),
    "files" (kept files of a static service) or "fixed" (a bucket at `dial`). `hosts` are matched exactly.
    """
    fronted = [one for one in placement.services_on(site) if has_traffic(one)]
    services = [_of_service(one, addresses) for one in fronted]
    buckets: list[dict[str, object]] = [
        {"name": one.name, "kind": "fixed", "hosts": [addresses.host(one.name)], "dial": _dial(addresses, one.name)}
        for one in placement.stores_on(site)
        if one.kind == "bucket"
    ]
    ordered = sorted(services + buckets, key=lambda one: str(one["name"]))
    plain = {"app": placement.app.name, "port": addresses.door, "services": ordered, "default": main_service(fronted)}
    return json.dumps(plain, sort_keys=True)


def main_service(services: Iterable[Service]) -> str | None:
    """The service that a newcomer wants to see first: a static page, else the first web service."""
    by_kind = {kind: [one.name for one in services if one.kind == kind] for kind in ("static", "web")}
    return next((names[0] for names in by_kind.values() if names), None)


def has_traffic(service: Service) -> bool:
    """True when the front door, or its fixed address, leads to the service."""
    return service.kind in ("web", "private", "static") or (service.kind == "stateful" and service.port is not None)


def _of_service(service: Service, addresses: Local) -> dict[str, object]:
    if service.kind == "static":
        return {"name": service.name, "kind": "files", "hosts": [addresses.host(service.hostname)]}
    hosts = [addresses.host(service.hostname)] if service.kind == "web" else []
    port = addresses.ports[service.name]
    return {"name": service.name, "kind": "proxy", "hosts": hosts, "slots": SLOTS, "port": port}


def _dial(addresses: Local, name: str) -> str:
    return f"127.0.0.1:{addresses.ports[name]}"
