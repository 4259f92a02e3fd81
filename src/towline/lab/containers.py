"""A host as a container of Docker's: the words that make one, and what Docker tells about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.lab.network import Network

LAB_LABEL, HOST_LABEL = "towline.lab", "towline.lab.host"
_SUITE_LABEL, _DOCKER_LABEL = "towline.lab.suite", "towline.lab.docker"

MOST_HOSTS = 9

LEAST_MEMORY, LEAST_DISK = 128 * 10**6, 2 * 2**30
"""Bytes with which a host still starts, and holds what `--with docker` installs."""

DISKS = "towline-lab-disks"
"""The volume with the disks that new hosts of all labs start from, one for each image."""

SSH, HTTP, HTTPS = "22/tcp", "80/tcp", "443/tcp"

# What a machine may do and a container may not. Not --privileged: that would hand over this machine's devices.
# SYS_BOOT ends only the container, whose restart policy then starts it again: a reboot.
_CAPABILITIES = (
    "AUDIT_WRITE", "DAC_READ_SEARCH", "IPC_LOCK", "MKNOD", "NET_ADMIN", "NET_RAW", "SETFCAP", "SYS_ADMIN",
    "SYS_BOOT", "SYS_CHROOT", "SYS_NICE", "SYS_PTRACE", "SYSLOG",
)  # fmt: skip

# Loop devices for the disk, and the characters tun (10:200), fuse (10:229) and loop-control (10:237).
_DEVICES = ("b 7:* rmw", "c 10:200 rmw", "c 10:229 rmw", "c 10:237 rmw")
_CONFINED_BY_LESS = tuple(
    word
    for option in ("seccomp=unconfined", "apparmor=unconfined", "label=disable")
    for word in ("--security-opt", option)
) + tuple(word for rule in _DEVICES for word in ("--device-cgroup-rule", rule))


@dataclass(frozen=True)
class Wish:
    """What a host shall be: its Debian, with Docker in it or not, bytes of its memory and of its disk."""

    suite: str = "bookworm"
    docker: bool = False
    memory: int = 2 * 1024**3
    disk: int = 8 * 1024**3


@dataclass(frozen=True)
class Container:
    """A host as Docker has it. `state` is running, frozen or off; `ports` are those of 127.0.0.1 by the host's own."""

    number: int
    name: str
    state: str
    wish: Wish
    ports: Mapping[str, int]
    ipv4: str
    ipv6: str


@dataclass(frozen=True)
class Order:
    """A host that is to be made: `ports` of this machine by its own; `given` are variables that `init` reads."""

    lab: str
    number: int
    wish: Wish
    image: str
    network: Network
    ports: Mapping[str, int]
    given: Mapping[str, str]


def create_words(order: Order) -> tuple[str, ...]:
    """The words after `docker` that create a host."""
    lab, number, wish, network = order.lab, order.number, order.wish, order.network
    ipv4, ipv6 = network.addresses(number)
    others = [
        word
        for other in range(1, MOST_HOSTS + 1)
        for address in network.addresses(other)
        if other != number
        for word in ("--add-host", f"host{other}:{address}")
    ]
    return (
        "create", "--name", container_name(lab, number), "--hostname", f"host{number}",
        "--label", f"{LAB_LABEL}={lab}", "--label", f"{HOST_LABEL}={number}",
        "--label", f"{_SUITE_LABEL}={wish.suite}", "--label", f"{_DOCKER_LABEL}={int(wish.docker)}",
        "--network", network.name, "--ip", ipv4, "--ip6", ipv6, *others,
        *(word for port, mine in order.ports.items() for word in ("--publish", f"127.0.0.1:{mine}:{port}")),
        *(word for one in _CAPABILITIES for word in ("--cap-add", one)),
        *_CONFINED_BY_LESS,
        "--cgroupns", "private", "--memory", str(wish.memory),
        "--volume", f"{volume_name(lab, number)}:/lab/disk", "--volume", f"{DISKS}:/lab/disks",
        "--env", f"LAB_NAME={lab}", "--env", f"LAB_DISK={wish.disk}", "--env", f"LAB_LEAST_DISK={LEAST_DISK}",
        *(word for pair in order.given.items() for word in ("--env", "=".join(pair))),
        "--restart", "unless-stopped", "--stop-signal", "SIGRTMIN+3", "--stop-timeout", "20",
        order.image,
    )  # fmt: skip


def let_go_words(lab: str, number: int, image: str) -> tuple[str, ...]:
    """The words that end swap on the disk of a host that is off: it would hold the disk beyond its deletion."""
    return (
        "run", "--rm", "--label", f"{LAB_LABEL}={lab}", "--network", "none",
        "--cap-add", "SYS_ADMIN", "--cap-add", "MKNOD", *_CONFINED_BY_LESS,
        "--volume", f"{volume_name(lab, number)}:/lab/disk", image, "sh", "/lab/init", "let-go",
    )  # fmt: skip


def container_name(lab: str, number: int) -> str:
    """The name of a host's container, on this machine."""
    return f"towline-lab-{lab}-{number}"


def volume_name(lab: str, number: int) -> str:
    """The name of the volume that holds a host's disk."""
    return f"towline-lab-{lab}-{number}"


def read_container(told: Mapping[str, Any]) -> Container:
    """A host from what `docker inspect` tells of its container."""
    labels: Mapping[str, str] = told["Config"]["Labels"]
    variables = dict(one.split("=", 1) for one in told["Config"]["Env"])
    own = next(iter(told["NetworkSettings"]["Networks"].values()))["IPAMConfig"]
    status = told["State"]["Status"]
    return Container(
        number=int(labels[HOST_LABEL]),
        name=str(told["Name"]).removeprefix("/"),
        state={"running": "running", "paused": "frozen"}.get(status, "off"),
        wish=Wish(
            suite=labels[_SUITE_LABEL],
            docker=labels[_DOCKER_LABEL] == "1",
            memory=int(told["HostConfig"]["Memory"]),
            disk=int(variables["LAB_DISK"]),
        ),
        ports={port: int(bound[0]["HostPort"]) for port, bound in told["HostConfig"]["PortBindings"].items()},
        ipv4=own["IPv4Address"],
        ipv6=own["IPv6Address"],
    )
