"""What answers on a host that should not: all of its ports from outside, and its stores from beside."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Final

from towline.artifacts.front_door import S3_PORT, routes
from towline.artifacts.host_references import REDIS_PORT
from towline.core.errors import CheckFailed, UsageError
from towline.ops.port_scan import addresses_of, open_ports
from towline.ops.report import Check
from towline.ops.workspace import outside_of, ssh_port_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.ops.hosts import Hosts
    from towline.spec.model import Site

KNOWN: Final = {
    21: "FTP", 23: "telnet", 25: "mail", 111: "portmapper", 2019: "the front door's own control", 2375: "Docker",
    2376: "Docker", 3306: "MySQL", 5432: "Postgres", 6379: "Redis", 8333: "S3", 8888: "SeaweedFS, its filer",
    9333: "SeaweedFS, its master", 9200: "Elasticsearch", 11211: "memcached", 27017: "MongoDB",
}  # fmt: skip
"""What people know a port as."""

STORE_PORTS: Final = (5432, 6379, 8333, 9333, 8888, 3306, 27017, 2375, 2019)
"""What must never answer from outside: databases, queues, object stores, Docker and the front door's own control."""

OF_A_STORE: Final = {"postgres": 5432, "redis": REDIS_PORT, "bucket": S3_PORT}
_WEB: Final = (80, 443)
_GREETING: Final = re.compile(rb"^SSH-[0-9.]+-")


def from_outside(hosts: Hosts, site: Site, *, whole: bool) -> Iterator[Check]:
    """One check an address of the host; with `whole` all ports, else those of stores."""
    for address in addresses_of(outside_of(site)):
        yield _closed(hosts, site, address) if whole else _stores_closed(site, address)


def _stores_closed(site: Site, address: str) -> Check:
    name = f"no store of {site.name} answers from outside"
    try:
        found = open_ports(address, STORE_PORTS)
    except CheckFailed as error:
        return Check(name, ok=False, saw=error.sentence, hint=error.hint)
    saw = f"{len(STORE_PORTS)} ports of stores are closed at {address}"
    if found:
        saw = f"open at {address}: {_named(found)}"
    return Check(name, ok=not found, saw=saw, hint=_hint(site) if found else None)


def _closed(hosts: Hosts, site: Site, address: str) -> Check:
    """All 65,535 against what the files open: ssh, and the front door where the site has one."""
    name = f"nothing but the app answers at {address}"
    try:
        found = open_ports(address)
    except CheckFailed as error:
        return Check(name, ok=False, saw=error.sentence, hint=error.hint)
    wanted = _WEB if routes(hosts.material.placement, site, hosts.material.containers) else ()
    ours = {*wanted, *_allowed(site), *_ssh(site, address, found)}
    others = [port for port in found if port not in ours]
    if others:
        return Check(name, ok=False, saw=f"open besides: {_named(others)}", hint=_hint(site))
    return Check(name, ok=True, saw=f"65535 ports asked; open: {', '.join(map(str, found)) or 'none'}")


def _allowed(site: Site) -> tuple[int, ...]:
    """Ports of other programs that the site says it has open. Raises UsageError for what is no port."""
    words = site.options.get("open_ports", "").replace(",", " ").split()
    for word in words:
        if not (word.isdecimal() and 0 < int(word) < 65536):
            raise UsageError(f"`open_ports` of site `{site.name}`: {word} is no port", hint='open_ports: "25, 993"')
    return tuple(int(word) for word in words)


def _ssh(site: Site, address: str, found: tuple[int, ...]) -> Iterator[int]:
    """Where ssh goes: the port that the site names, else whatever greets as ssh does."""
    told = ssh_port_of(site)
    if told is not None:
        yield told
        return
    for port in found:
        if port not in _WEB and _greets_as_ssh(address, port):
            yield port


def _greets_as_ssh(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=3.0) as one:
            return _GREETING.match(one.recv(64)) is not None
    except OSError:
        return False


def _named(ports: tuple[int, ...] | list[int]) -> str:
    return ", ".join(f"{port} ({KNOWN[port]})" if port in KNOWN else str(port) for port in ports)


def _hint(site: Site) -> str:
    return f"towline provision {site.options['ssh']} --check"


def from_beside(hosts: Hosts, site: Site) -> Iterator[Check]:
    """Of each store on a host only its own port must answer those that share its network, and none else."""
    for store in hosts.material.placement.stores_on(site):
        own = OF_A_STORE.get(store.kind)
        if own is None:
            continue
        name = f"{store.name} shows only its own port to the app"
        seen = hosts.live[site.name].reached(store.name)
        if seen is None:
            continue
        others = [port for port in seen if port != own]
        saw = f"port {own} answers its neighbours, nothing else does" if own in seen else f"port {own} does not answer"
        if others:
            saw = f"its neighbours reach {_named(others)} as well"
        ok = own in seen and not others
        yield Check(name, ok=ok, saw=saw, hint=None if ok else "towline deploy")
