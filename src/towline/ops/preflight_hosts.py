"""What would stop a deploy on a target's hosts, with numbers, all at once and before the first change."""

from __future__ import annotations

import ipaddress
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from towline.artifacts.front_door import routes
from towline.core.errors import Finding, Findings, Where
from towline.core.units import show_bytes
from towline.ops.deploy import observed, prepare
from towline.ops.workspace import outside_of
from towline.release.provision import ENGINE_API
from towline.secrets.dotenv import NAME
from towline.spec.check import in_order
from towline.steps.kinds import StartInstance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from towline.artifacts.rendered import Variable
    from towline.ops.deploy import Prepared
    from towline.ops.hosts import Hosts
    from towline.spec.model import Site
    from towline.steps.model import Facts, Plan

CODES: dict[str, tuple[str, str]] = {
    "host-disk-full": ("error", "Too little of a host's disk is free for images, data and logs."),
    "host-memory-short": (
        "warning",
        "What a plan starts may take more memory, by its limits, than is free while the old copies still run.",
    ),
    "host-no-engine": ("error", "There is no Docker on the host, or it does not answer, or it is too old."),
    "host-port-taken": ("error", "Something else listens at port 80 or 443; it is named."),
    "host-clock": (
        "warning",
        "The host's clock is wrong; certificates and signed links need it. From 15 minutes an error.",
    ),
    "dns-elsewhere": ("warning", "A domain of the app does not lead to its host; the record to set is named."),
    "variable-name": ("error", "A variable has a name that no program on a host can be given."),
    "file-missing": ("error", "A secret or config of the Compose file is not here, or is too large to be sent."),
    "one-site-only": ("error", "What keeps data, or is `single`, is placed on several sites."),
    "link-address": ("error", "The other hosts of a target are not told where one is, and it needs a private link."),
    "link-key": ("error", "A host has made no key for the private link: it has no program for that."),
    "link-no-door": ("error", "A service is called from another host, and its own host has no front door."),
    "link-port": ("error", "Two things that other hosts use need the same port of one host's address."),
    "link-hosts": ("error", "A target has more hosts than a private link has room for."),
}
"""Everything that is found, with its level and its meaning; printed as part of the reference."""

LEAST_DISK = 2_000_000_000
"""Bytes: a second set of images of a usual app, and the dump before a migration."""

_WRONG_CLOCK, _USELESS_CLOCK = 30.0, 900.0
"""Seconds; a signed request for an object is refused when it is more than 15 minutes old."""


def looked_over(hosts: Hosts) -> tuple[Prepared | None, tuple[Finding, ...]]:
    """The plan, None where something is missing for it, and all that is in its way or worth knowing."""
    seen = observed(hosts.sites)
    with ThreadPoolExecutor(1, "names") as beside:
        names = beside.submit(lambda: tuple(_names(hosts)))
        found = [finding for site in hosts.target.sites for finding in _ground(site, seen[site.name])]
        found += variable_names(hosts.material.variables)
        try:
            prepared = prepare(hosts, seen)
        except Findings as missing:
            return None, in_order((*missing.findings, *found, *names.result()))
        return prepared, in_order((*found, *_ports(prepared, seen), *_memory(prepared.plan, seen), *names.result()))


def _ground(site: Site, facts: Facts) -> Iterator[Finding]:
    room, where = facts.room, Where(site.name)
    if room.disk_free < LEAST_DISK:
        sentence = f"only {show_bytes(room.disk_free)} of disk are free, and {show_bytes(LEAST_DISK)} are needed"
        yield Finding("host-disk-full", sentence, where, "docker system df, there; journalctl --vacuum-size=200M")
    if not room.engine:
        yield Finding("host-no-engine", "no Docker answers there", where, f"towline provision {site.options['ssh']}")
    elif _version(room.api) < _version(ENGINE_API):
        sentence = f"Docker {room.engine} has Engine API {room.api}, and {ENGINE_API} is the oldest that will do"
        yield Finding("host-no-engine", sentence, where, "apt-get install docker.io, there")
    if abs(room.skew) > _WRONG_CLOCK:
        level = "error" if abs(room.skew) > _USELESS_CLOCK else "warning"
        sentence = f"its clock is {abs(room.skew):.0f} s {'ahead' if room.skew > 0 else 'behind'} of the one here"
        yield Finding("host-clock", sentence, where, "timedatectl set-ntp true, there", level)  # type: ignore[arg-type]


def variable_names(variables: Iterable[Variable]) -> Iterator[Finding]:
    """Every variable that no program on a host can be given: it is handed on by a shell, which takes plain names."""
    for one in variables:
        if not NAME.fullmatch(one.name):
            plain = re.sub(r"\W+|^(?=\d)", "_", one.name, flags=re.ASCII).upper()
            sentence = f"`{one.service}` has the variable `{one.name}`, and on a host a name has letters, digits and _"
            hint = f"{plain}   (Spring reads this as the same)" if "." in one.name else plain
            yield Finding("variable-name", sentence, Where("compose.yaml"), hint)


def _ports(prepared: Prepared, seen: Mapping[str, Facts]) -> Iterator[Finding]:
    for part in prepared.bundle.sites:
        if part.machine_door is not None:
            for port, holder in sorted(seen[part.site].room.holders.items()):
                sentence = f"port {port} is taken by {holder}, and the front door needs it"
                yield Finding("host-port-taken", sentence, Where(part.site), f"ss -ltnp 'sport = :{port}', there")


def _memory(plan: Plan, seen: Mapping[str, Facts]) -> Iterator[Finding]:
    """Old and new copies run side by side: what starts has to fit beside what is there."""
    for name, facts in seen.items():
        batches = [batch for stage in plan.stages for batch in stage.batches if batch.site == name]
        starts = [step.instance for batch in batches for step in batch.steps if isinstance(step, StartInstance)]
        more = sum(one.memory or 0 for one in starts)
        if more > facts.room.memory_free:
            sentence = (
                f"the {len(starts)} copies that start may take {show_bytes(more)} by their limits, and"
                f" {show_bytes(facts.room.memory_free)} are free"
            )
            hint = "memory: 256m for those services that take less"
            yield Finding("host-memory-short", sentence, Where(name), hint, "warning")


def _names(hosts: Hosts) -> Iterator[Finding]:
    """Each domain has to lead to a host that answers for it; a network of one's own has names of its own."""
    for site in hosts.target.sites:
        if site.options.get("certificates") == "internal":
            continue
        known = routes(hosts.material.placement, site, hosts.material.containers)
        domains = sorted({one.domain for one in known if one.domain is not None})
        wanted = _addresses(outside_of(site)) if domains else set()
        for domain in domains:
            yield from _leads(domain, wanted, Where(site.name))


def _leads(domain: str, wanted: set[str], where: Where) -> Iterator[Finding]:
    found = _addresses(domain)
    if not wanted or found & wanted:
        return
    to = min(wanted, key=lambda one: (":" in one, one))
    record = f"{domain}. {'AAAA' if ':' in to else 'A'} {to}"
    told = f"leads to {', '.join(sorted(found))}" if found else "is not known to the name servers"
    sentence = f"{domain} {told}: until it leads to {to}, browsers and certificates do not find this host"
    yield Finding("dns-elsewhere", sentence, where, f"the record to set: {record}", "warning")


def _addresses(name: str) -> set[str]:
    try:
        return {str(ipaddress.ip_address(name))}
    except ValueError:
        pass
    try:
        return {str(one[4][0]) for one in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split(".") if one.isdigit())
