"""The containers of one lab: made, started, waited for and removed, and no others ever touched."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from towline.core.errors import Refused, SiteUnreachable, StepFailed, Where
from towline.core.events import Noted
from towline.core.files import write_atomic
from towline.lab import access
from towline.lab.containers import (
    HTTP,
    HTTPS,
    LAB_LABEL,
    MOST_HOSTS,
    SSH,
    Order,
    container_name,
    create_words,
    let_go_words,
    read_container,
    volume_name,
)
from towline.lab.machine import MACHINE_LABEL
from towline.lab.network import free_port, joined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.core.events import Listener
    from towline.core.process import Ran
    from towline.lab.containers import Container, Wish
    from towline.lab.docker import LabDocker

UP_WITHIN = 120.0
"""Seconds until a host is up; 2 by itself."""

_PORT_TRIES = 5
_OUR_IMAGES = ("image", "ls", "--quiet", "--no-trunc", "--filter", f"label={MACHINE_LABEL}")
_PAUSE = 0.1

HOST_KEY, SYSTEMD_NEXT = "lab key: ", "lab: up"
"""What a host's first process says: its keys, and that systemd comes next."""

_SWAP_OFF = 'awk \'NR > 1 && $2 == "file" { print $1 }\' /proc/swaps | while read -r file; do swapoff "$file"; done'


class Fleet:
    """What Docker has of the lab `lab`, whose files are in `state`."""

    def __init__(self, docker: LabDocker, lab: str, state: Path, listener: Listener) -> None:
        self._docker, self._lab, self._state, self._listener = docker, lab, state, listener
        self._label = f"{LAB_LABEL}={lab}"

    def containers(self) -> dict[int, Container]:
        """Every host by its number."""
        names = (container_name(self._lab, number) for number in range(1, MOST_HOSTS + 1))
        asked = self._docker.ask("container", "inspect", *names)  # one call: those that are not there are only missed
        told = json.loads(asked.stdout or "null")
        if told is None:
            raise SiteUnreachable("Docker does not say what it has of the lab", hint="docker version")
        hosts = [read_container(one) for one in told if one["Config"]["Labels"].get(LAB_LABEL) == self._lab]
        return {one.number: one for one in hosts}

    def prepare(self, image: str, numbers: list[int]) -> None:
        """See to what new hosts need before they are made: network, key, image."""
        joined(self._docker, self._network_name, self._label)
        access.public_key(self._state)
        write_atomic(self._state / "image", image, durable=False)
        resolv = self._state / "resolv.conf"
        if not resolv.exists():
            # What a container on Docker's first network gets: name servers that can be reached from inside.
            told = self._docker.run("run", "--rm", "--label", self._label, image, "cat", "/etc/resolv.conf")
            lines = [line for line in told.splitlines() if line.strip() and not line.startswith("#")]
            write_atomic(resolv, "\n".join(lines), durable=False)
        for number in numbers:
            self._listener(Noted(f"Starting host{number} ..."))

    def make(self, number: int, wish: Wish, ports: Mapping[str, int] | None = None) -> None:
        """Make a new host and wait until it is up; it gets `ports` of this machine if they are still free."""
        self._create(number, wish, ports)
        self._until_up(number)

    def wake(self, there: Container) -> None:
        """See that a host that is there is up."""
        if there.state == "frozen":
            self._docker.run("unpause", there.name)
        elif there.state == "off":
            self._docker.run("start", there.name)
        self._until_up(there.number)

    def start(self, there: Container) -> None:
        """Give a host power. Raises Refused when it has some."""
        _must_be(there, "off", "cut")
        self._docker.run("start", there.name)
        self._until_up(there.number)

    def cut(self, there: Container) -> None:
        """Kill all processes of a host at once, frozen or not. Raises Refused when it is off."""
        if there.state == "frozen":
            self._docker.run("unpause", there.name)
        else:
            _must_be(there, "running", "on")
        self._docker.run("kill", there.name)

    def freeze(self, there: Container) -> None:
        """Stop all processes of a host where they are. Raises Refused when it does not run."""
        _must_be(there, "running", "on" if there.state == "off" else "thaw")
        self._docker.run("pause", there.name)

    def thaw(self, there: Container) -> None:
        """Let all processes of a frozen host go on. Raises Refused when it is not frozen."""
        _must_be(there, "frozen", "freeze")
        self._docker.run("unpause", there.name)

    def reboot(self, there: Container) -> None:
        """Shut a host down in order and start it again. Raises Refused when it does not run."""
        _must_be(there, "running", "on" if there.state == "off" else "thaw")
        self._docker.run("restart", there.name)
        self._until_up(there.number)

    def inside(self, there: Container, program: str, within: float) -> Ran:
        """Run a shell program in a host. Raises Refused when it does not run."""
        _must_be(there, "running", "on" if there.state == "off" else "thaw")
        return self._docker.ask("exec", there.name, "sh", "-c", program, within=within)

    def drop(self, there: Container) -> None:
        """Remove a host with its disk."""
        if there.state == "frozen":
            self._docker.run("unpause", there.name)
        self._let_go(there)
        self._docker.run("container", "rm", "--force", there.name)
        self._docker.ask("volume", "rm", "--force", volume_name(self._lab, there.number))
        for left in self._state.glob(f"host{there.number}.*"):
            left.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what is left when no host is: containers of a killed command, disks, the network."""
        for kind in ("container", "volume", "network"):
            everything = ("--all",) if kind == "container" else ()
            found = self._docker.run(kind, "ls", *everything, "--quiet", "--filter", f"label={self._label}").split()
            if found:
                self._docker.run(kind, "rm", *(("--force",) if kind == "container" else ()), *found)

    @property
    def _network_name(self) -> str:
        return f"towline-lab-{self._lab}"

    def _create(self, number: int, wish: Wish, ports: Mapping[str, int] | None) -> None:
        volume = volume_name(self._lab, number)
        network = joined(self._docker, self._network_name, self._label)
        image = (self._state / "image").read_text()
        given = {
            "LAB_KEY": access.public_key(self._state),
            "LAB_RESOLV": (self._state / "resolv.conf").read_text(),
            "LAB_IMAGE": _digest(self._docker.run("image", "inspect", "--format", "{{.Id}}", image)),
            "LAB_IMAGES": " ".join(_digest(one) for one in self._docker.run(*_OUR_IMAGES).split()),
        }
        self._docker.ask("volume", "rm", "--force", volume)  # of a host that was removed half-way
        self._docker.run("volume", "create", "--label", self._label, volume)
        for tries_left in reversed(range(_PORT_TRIES)):
            chosen = ports or {port: free_port() for port in (SSH, HTTP, HTTPS)}
            order = Order(self._lab, number, wish, image=image, network=network, ports=chosen, given=given)
            self._docker.run(*create_words(order))
            started = self._docker.ask("start", container_name(self._lab, number))
            if started.status == 0:
                return
            self._docker.run("container", "rm", "--force", container_name(self._lab, number))
            ports = None
            if not tries_left or "already" not in started.stderr:  # another lab took one of the ports first
                raise StepFailed(f"host{number} did not start", where=Where("lab"), evidence=started.last_lines)

    def _until_up(self, number: int) -> None:
        """Wait until a host has told its keys and finished its start."""
        deadline = time.monotonic() + UP_WITHIN
        name = container_name(self._lab, number)
        first, said = self._said(name)
        while SYSTEMD_NEXT not in said:
            starts, said = self._said(name)
            if time.monotonic() > deadline or starts > first + 1:
                self._docker.ask("stop", name)
                raise StepFailed(f"host{number} does not come up", where=Where("lab"), evidence=tuple(said[-20:]))
            time.sleep(_PAUSE)
        keys = [line.removeprefix(HOST_KEY) for line in said if line.startswith(HOST_KEY)]
        access.remember(self._state, number, "\n".join(keys))
        ended: Ran | None = None
        while ended is None or ended.stdout.strip() not in {"running", "degraded"}:
            if time.monotonic() > deadline:
                evidence = () if ended is None else ended.last_lines
                raise StepFailed(f"host{number} does not finish its start", where=Where("lab"), evidence=evidence)
            time.sleep(_PAUSE)
            ended = self._docker.ask("exec", name, "systemctl", "is-system-running", "--wait", within=UP_WITHIN)

    def _said(self, name: str) -> tuple[int, list[str]]:
        """How often Docker has started a host again, and what the host has said since its last start."""
        told = self._docker.run("container", "inspect", "--format", "{{.RestartCount}} {{.State.StartedAt}}", name)
        count, since = told.split()
        said = self._docker.ask("logs", "--since", since, name)
        return int(count), (said.stderr + said.stdout).splitlines()

    def _let_go(self, there: Container) -> None:
        """End swap on the disk of a host: the kernel would hold the disk for good."""
        if there.state != "off":
            self._docker.ask("exec", there.name, "sh", "-c", _SWAP_OFF)
            return
        swaps = Path("/proc/swaps")
        if swaps.exists() and not any(" file " in line.replace("\t", " ") for line in swaps.read_text().splitlines()):
            return
        image = self._docker.run("container", "inspect", "--format", "{{.Image}}", there.name).strip()
        self._docker.ask(*let_go_words(self._lab, there.number, image))


def _must_be(there: Container, state: str, command: str) -> None:
    if there.state != state:
        raise Refused(f"host{there.number} is {there.state}, not {state}", hint=f"towline lab {command} {there.number}")


def _digest(image: str) -> str:
    """As much of an image's id as a name needs."""
    return image.strip().rpartition(":")[2][:16]
