"""What the hosts of one target use of each other, and the private link that it goes through (pure).

Whoever uses a store or a private service of another host finds it under its own name there too: the name leads to the
other host's address in the link.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from towline.artifacts.containers import settings_in
from towline.artifacts.front_door import S3_PORT, container_port, hosts, routes
from towline.artifacts.host_door import through_door
from towline.artifacts.host_references import POSTGRES_PORT, REDIS_PORT, runs_on, setting, value
from towline.core.errors import Finding, Findings, Where
from towline.steps.container import Network
from towline.steps.links import JoinLink, Opening, Peer, digest_of_link, interface_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.artifacts.containers import Text
    from towline.artifacts.rendered import Material
    from towline.spec.model import Binding, Site
    from towline.steps.container import Container

PORTS = {"postgres": POSTGRES_PORT, "redis": REDIS_PORT, "bucket": S3_PORT}
MOST_HOSTS = 250

_FIRST_PORT, _PORTS = 21000, 8000
"""UDP ports that are nobody's by custom, and below those that a system gives out by itself."""


@dataclass(frozen=True)
class Use:
    """Something of host `home` that services on the hosts `users` are told of; `port` is where it listens there."""

    of: str
    port: int
    home: str
    users: tuple[str, ...]
    store: bool


@dataclass(frozen=True)
class SiteLink:
    """One host's part: the end that it should have, and the names of things elsewhere with their addresses."""

    join: JoinLink
    names: Mapping[str, str]

    def port_of(self, name: str) -> int | None:
        """The port at which others reach this host's store or service of that name."""
        return next((one.port for one in self.join.openings if one.name == name), None)


def uses(material: Material) -> tuple[Use, ...]:
    """All that one host of the target uses of another, in the order of the app."""
    found: dict[tuple[str, str], Use] = {}
    for binding, home, user in _across(material):
        if _inside(material, binding):
            known = found.get((binding.of, home.name))
            users = {*(known.users if known else ()), user.name}
            ordered = tuple(one.name for one in material.target.sites if one.name in users)
            port, store = _port(material, binding.of), _is_store(material, binding.of)
            found[binding.of, home.name] = Use(binding.of, port, home.name, ordered, store)
    return tuple(found.values())


def told(material: Material) -> dict[str, Text]:
    """Settings that somebody would have to give if the hosts knew nothing of each other, as texts of other settings."""
    found: dict[str, Text] = {}
    for binding, home, user in _across(material):
        reference, name = (binding.of, binding.attribute), setting(binding.of, binding.attribute).name
        asked = settings_in(value(material.placement, user, material.containers, reference))
        text = value(material.placement, home, material.containers, reference)
        # A password is the same everywhere: it is asked for under its own name.
        if name in {one.name for one in asked} and name not in {one.name for one in settings_in(text)}:
            found[name] = text
    return found


def links(material: Material, keys: Mapping[str, str], endpoints: Mapping[str, str]) -> dict[str, SiteLink]:
    """Each host's part of the link, by site; none for hosts that use nothing of each other.

    `keys` are the public keys that the hosts have made, `endpoints` their addresses as the others reach them. Raises
    Findings for a host without a key, and for what cannot be reached through a link.
    """
    known = uses(material)
    linked = sorted({site for one in known for site in (one.home, *one.users)})
    _refuse(material, known, {name: keys.get(name, "") for name in linked})
    places = _Places(material)
    return {name: _part(name, known, places, keys, endpoints) for name in linked}


def linked_sites(material: Material) -> tuple[str, ...]:
    """The hosts that need an end of a link, in the order of the target."""
    known = {site for one in uses(material) for site in (one.home, *one.users)}
    return tuple(one.name for one in material.target.sites if one.name in known)


def with_link(container: Container, names: Mapping[str, str], opened: Mapping[int, str], network: str) -> Container:
    """A container that finds names elsewhere, and whose ports are open at this host's address in the link.

    `opened` are ports with that address. A container that leads nowhere else gets `network` for it, which leads in
    only: engines publish nothing of one that is in internal networks alone.
    """
    ports = tuple(f"{address}:{port}/tcp" for port, address in sorted(opened.items()))
    networks = container.networks
    if ports and all(one.internal for one in networks):
        networks = (*networks, Network(network, inward=True))
    return replace(
        container, hosts=tuple(sorted(names.items())), published=(*container.published, *ports), networks=networks
    )


class _Places:
    """Addresses of one target's link: 10.192.0.0/10 by /24, a host's number is its place in the target."""

    def __init__(self, material: Material) -> None:
        app, target = material.app.name, material.target.name
        raw = bytes.fromhex(digest_of_link(app, target))
        self.interface = interface_of(app, target)
        self.port = _FIRST_PORT + int.from_bytes(raw[6:8], "big") % _PORTS
        self._net = ipaddress.IPv4Network(((10 << 24) + ((192 + raw[4] % 64) << 16) + (raw[5] << 8), 24))
        self._numbers = {one.name: number for number, one in enumerate(material.target.sites, start=1)}

    def address(self, site: str) -> str:
        """The address of a host in the link."""
        return str(self._net[self._numbers[site]])


def _part(
    name: str, known: tuple[Use, ...], places: _Places, keys: Mapping[str, str], endpoints: Mapping[str, str]
) -> SiteLink:
    others = {user for one in known if one.home == name for user in one.users}
    others |= {one.home for one in known if name in one.users}
    peers = tuple(
        Peer(site, keys[site], places.address(site), _with_port(endpoints[site], places.port))
        for site in sorted(others)
    )
    openings = tuple(
        Opening(one.of, one.port, tuple(places.address(user) for user in one.users))
        for one in sorted(known, key=lambda one: one.of)
        if one.home == name
    )
    join = JoinLink(places.interface, places.address(name), places.port, peers, openings)
    return SiteLink(join, {one.of: places.address(one.home) for one in known if name in one.users})


def _across(material: Material) -> Iterator[tuple[Binding, Site, Site]]:
    """Each binding of a service on one host to something that only another host runs: the binding, home and user."""
    own = hosts(material.target)
    for binding in material.app.bindings:
        homes = [site for site in own if _runs(material, site, binding.of)]
        for user in own:
            there = user.name in material.target.place.get(binding.service, ())
            if there and homes and not any(home.name == user.name for home in homes):
                yield binding, homes[0], user


def _runs(material: Material, site: Site, name: str) -> bool:
    store = next((one for one in material.app.stores if one.name == name), None)
    if store is not None:
        return runs_on(material.placement, site, store)
    return site.name in material.target.place.get(name, ())


def _inside(material: Material, binding: Binding) -> bool:
    """Whether it goes through the link: not what browsers use, nor a service with a domain, which is found by that."""
    if _is_store(material, binding.of):
        return not binding.attribute.startswith("public_")
    service = material.app.service(binding.of)
    return service.domain is None and service.kind != "static" and (service.kind != "web" or binding.attribute != "url")


def _is_store(material: Material, name: str) -> bool:
    return any(one.name == name for one in material.app.stores)


def _port(material: Material, name: str) -> int:
    store = next((one for one in material.app.stores if one.name == name), None)
    if store is not None:
        return PORTS[store.kind]
    return container_port(material.app.service(name), material.containers.get(name))


def _refuse(material: Material, known: tuple[Use, ...], keys: Mapping[str, str]) -> None:
    findings = [
        Finding(
            "link-key",
            f"`{name}` has made no key for the private link: it has neither wg nor openssl",
            _place(material),
            "apt-get install wireguard-tools, there",
        )
        for name, key in keys.items()
        if not key
    ]
    findings += [found for one in known if not one.store for found in _unreachable(material, one)]
    findings += _one_port(material, known)
    if len(material.target.sites) > MOST_HOSTS:
        sentence = f"a private link has room for {MOST_HOSTS} hosts, and `{material.target.name}` has more"
        findings.append(Finding("link-hosts", sentence, _place(material)))
    if findings:
        raise Findings(tuple(findings))


def _unreachable(material: Material, use: Use) -> Iterator[Finding]:
    """Several copies of a service share one port only behind a front door, which hosts have that browsers reach."""
    service = material.app.service(use.of)
    home = next(one for one in material.target.sites if one.name == use.home)
    if through_door(service) and not _has_door(material, home):
        yield Finding(
            "link-no-door",
            f"`{use.of}` is called from {', '.join(use.users)}, and `{use.home}` has no front door to call it through",
            Where("compose.yaml", service.line),
            f"place a web service on {use.home} too, or `{use.of}` where its callers are",
        )


def _one_port(material: Material, known: tuple[Use, ...]) -> Iterator[Finding]:
    """An address has each port once; what the front door tells apart by name may share one."""
    taken: dict[tuple[str, int], Use] = {}
    for use in known:
        other = taken.setdefault((use.home, use.port), use)
        if use.port in (80, 443):
            sentence = (
                f"`{use.of}` is called from {', '.join(use.users)} at port {use.port}, where the front door listens"
            )
            yield Finding("link-port", sentence, _place(material), f"services: {{{use.of}: {{port: 8000}}}}")
        elif other is not use and (other.store or use.store):
            sentence = f"`{use.of}` and `{other.of}` of {use.home} are both used from elsewhere at port {use.port}"
            yield Finding("link-port", sentence, _place(material), "place one of them on another host")


def _place(material: Material) -> Where:
    return Where("towline.yaml", material.target.line)


def _has_door(material: Material, site: Site) -> bool:
    return bool(routes(material.placement, site, material.containers))


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
