"""The network that the hosts of one lab share: an IPv4 and an IPv6 subnet that nobody else has."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import random
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.core.errors import Refused, StepFailed, Where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.lab.docker import LabDocker

TRIES = 20
"""How many subnets are tried until one is free."""

_FIRST = 10
"""What is added to a host's number for its address, beyond the gateway's."""


@dataclass(frozen=True)
class Network:
    """A network of Docker's by its name, with both subnets."""

    name: str
    subnet4: ipaddress.IPv4Network
    subnet6: ipaddress.IPv6Network

    def addresses(self, number: int) -> tuple[str, str]:
        """The IPv4 and the IPv6 address of a host, the same after every reset."""
        return str(self.subnet4[_FIRST + number]), str(self.subnet6[_FIRST + number])


def joined(docker: LabDocker, name: str, label: str) -> Network:
    """The network `name`, made where it is not there. Raises Refused when every subnet that is tried overlaps."""
    there = found(docker, name)
    if there is not None:
        return there
    last = ""
    for subnet4, subnet6 in subnets(name):
        words = ("--ipv6", "--subnet", str(subnet4), "--subnet", str(subnet6), "--label", label)
        made = docker.ask("network", "create", *words, name)
        if made.status == 0:
            return Network(name, subnet4, subnet6)
        last = made.stderr.strip()
        if "overlaps" not in last:
            raise StepFailed("Docker did not make the network of the lab", where=Where("lab"), evidence=(last,))
    raise Refused(f"no free subnet was found for the lab: {last}", hint="docker network prune")


def found(docker: LabDocker, name: str) -> Network | None:
    """The network `name`, None when it is not there."""
    asked = docker.ask("network", "inspect", "--format", "{{json .IPAM.Config}}", name)
    if asked.status != 0:
        return None
    subnets = [ipaddress.ip_network(one["Subnet"]) for one in json.loads(asked.stdout)]
    four = next(one for one in subnets if isinstance(one, ipaddress.IPv4Network))
    six = next(one for one in subnets if isinstance(one, ipaddress.IPv6Network))
    return Network(name, four, six)


def free_port() -> int:
    """Choose a port of 127.0.0.1 that nobody listens on, below the range of outgoing connections."""
    while True:
        port = random.randint(20000, 29999)  # noqa: S311 - it need not be hard to guess
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def subnets(name: str) -> Iterator[tuple[ipaddress.IPv4Network, ipaddress.IPv6Network]]:
    """Subnets for this name, the same ones each time: 10.64.0.0/10 by /24, and a unique local /64 (RFC 4193)."""
    for attempt in range(TRIES):
        digest = hashlib.sha256(f"{name} {attempt}".encode()).digest()
        four = ipaddress.IPv4Network(((10 << 24) + ((64 + digest[0] % 64) << 16) + (digest[1] << 8), 24))
        six = ipaddress.IPv6Network((((0xFD << 40) + int.from_bytes(digest[2:7], "big") << 16) << 64, 64))
        yield four, six
