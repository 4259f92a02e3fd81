"""The outside-in proof of a target on hosts: asked over the network as its users do, and nothing else is open."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import httpx

from towline.artifacts.front_door import HOST, routes
from towline.ops.report import Check, Verdict
from towline.ops.workspace import outside_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from towline.artifacts.front_door import Route
    from towline.ops.hosts import Hosts
    from towline.spec.model import Site
    from towline.steps.model import Facts

PATIENCE: Final = 10.0
STORE_PORTS: Final = (5432, 6379, 8333, 9333, 8888, 3306, 27017, 2375, 2019)
"""What must never answer from outside: databases, queues, object stores, Docker and the front door's own control."""


def verify_hosts(hosts: Hosts, told: Callable[[Check], None] | None = None) -> Verdict:
    """Look at everything; changes nothing."""
    began, checks = time.monotonic(), []
    for check in _checks(hosts):
        checks.append(check)
        if told is not None:
            told(check)
    return Verdict(tuple(checks), time.monotonic() - began)


def _checks(hosts: Hosts) -> Iterator[Check]:
    public = hosts.values()[HOST.name].reveal()
    for site in hosts.target.sites:
        facts = hosts.live[site.name].observe()
        yield from _alive(hosts, site, facts)
        address = outside_of(site)
        for route in routes(hosts.material.placement, site, hosts.material.containers):
            if route.kind != "bucket":
                yield _answers(hosts, route, address, public)
        yield _closed(site, address)


def _alive(hosts: Hosts, site: Site, facts: Facts) -> Iterator[Check]:
    """One check for each thing that should run there: as many copies as wanted, all ready."""
    wanted = {one.name: 1 for one in hosts.material.placement.stores_on(site)}
    here = [one for one in hosts.material.placement.services_on(site) if one.kind != "task"]
    wanted |= {one.name: max(1, -(-one.replicas // len(hosts.target.place[one.name]))) for one in here}
    for name, copies in wanted.items():
        ready = [one for one in facts.instances if one.service == name and one.state == "ready"]
        ill = [one for one in facts.instances if one.service == name and one.state not in ("ready", "stopped")]
        saw = f"{len(ready)} of {copies} ready" + (f"; {ill[0].name} is {ill[0].state}" if ill else "")
        ok = len(ready) == copies and not ill
        yield Check(f"{name} is alive on {site.name}", ok=ok, saw=saw, hint=f"towline logs {name}")


def _answers(hosts: Hosts, route: Route, address: str, public: str) -> Check:
    """Through the front door, by the name that a browser uses, at the address of the host."""
    name = f"{route.name} answers through the front door"
    host = route.domain or (public if route.label is None else f"{route.label}.{public}")
    secure = route.domain is not None
    internal = any(one.options.get("certificates") == "internal" for one in hosts.target.sites)
    url = f"{'https' if secure else 'http'}://{f'[{address}]' if ':' in address else address}{route.path or '/'}"
    extensions = {"sni_hostname": host} if secure else {}
    try:
        with httpx.Client(timeout=PATIENCE, trust_env=False, verify=not internal) as client:
            answer = client.get(url, headers={"Host": host}, extensions=extensions)
    except httpx.HTTPError as error:
        return Check(name, ok=False, saw=f"{host}: {error}", hint=f"towline logs {route.name}")
    ok = answer.status_code < 500 and (route.path is None or answer.status_code < 400)
    return Check(
        name, ok=ok, saw=f"{host}{route.path or '/'} answered {answer.status_code}", hint=f"towline logs {route.name}"
    )


def _closed(site: Site, address: str) -> Check:
    """Nothing that holds data answers from outside."""
    with ThreadPoolExecutor(len(STORE_PORTS), "ports") as pool:
        found = [
            port
            for port, is_open in zip(
                STORE_PORTS, pool.map(lambda one: _is_open(address, one), STORE_PORTS), strict=True
            )
            if is_open
        ]
    saw = f"open: {', '.join(map(str, found))}" if found else f"{len(STORE_PORTS)} ports of stores are closed"
    return Check(
        f"no store of {site.name} answers from outside",
        ok=not found,
        saw=saw,
        hint=f"towline provision {address} --check",
    )


def _is_open(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2.0):
            return True
    except OSError:
        return False
