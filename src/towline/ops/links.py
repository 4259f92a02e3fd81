"""The private link of a target's hosts: where each is reached by the others, and what the link makes known."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from towline.artifacts import links
from towline.artifacts.containers import text_of
from towline.core.errors import Finding, Findings, Where
from towline.core.secret import Secret
from towline.ops.workspace import outside_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.artifacts.links import SiteLink
    from towline.artifacts.rendered import Material
    from towline.spec.model import Site
    from towline.steps.model import Facts


def site_links(material: Material, seen: Mapping[str, Facts]) -> dict[str, SiteLink]:
    """Each host's part of the link, by site. Raises Findings with all that is in its way."""
    linked = links.linked_sites(material)
    if not linked:
        return {}
    found = {one.name: address_of(one) for one in material.target.sites if one.name in linked}
    findings = tuple(_nowhere(material, {name for name, address in found.items() if address is None}))
    if findings:
        raise Findings(findings)
    keys = {name: seen[name].link_key for name in linked}
    return links.links(material, keys, {name: address for name, address in found.items() if address is not None})


def told_values(material: Material, known: Mapping[str, Secret]) -> dict[str, Secret]:
    """The settings that nobody has to give, since the hosts of one target know each other; those of `known` stay."""
    plain = {name: one.reveal() for name, one in known.items()}
    told = {}
    for name, text in links.told(material).items():
        if name not in known:
            try:
                told[name] = Secret(text_of(text, plain))
            except KeyError:
                continue  # what it is made of is missing itself, and said to be
    return told


def address_of(site: Site) -> str | None:
    """The IP address at which the other hosts reach one: `link_address` of the site, else where it is from outside.

    WireGuard keeps no names: it would ask for them once, at every start of the machine.
    """
    name = site.options.get("link_address") or outside_of(site)
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except OSError:
        return None
    public = [str(one[4][0]) for one in sorted(found, key=lambda one: one[0] != socket.AF_INET)]
    usable = [one for one in public if not ipaddress.ip_address(one).is_loopback]
    return usable[0] if usable else None


def _nowhere(material: Material, names: set[str]) -> Iterator[Finding]:
    for name in sorted(names):
        yield Finding(
            "link-address",
            f"the other hosts of `{material.target.name}` are not told where `{name}` is: it has no address of its own",
            Where("towline.yaml", material.target.line),
            f"{name}: {{address: 203.0.113.7}}, or link_address: for a network between the hosts",
        )
