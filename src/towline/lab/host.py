"""Throwaway hosts: real Debian with systemd, sshd and Docker inside, as containers of this machine's Docker."""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from towline.core.errors import Refused, UsageError
from towline.core.events import Listener, ignore
from towline.core.files import hold_lock, write_atomic
from towline.core.process import Ran, run
from towline.core.units import show_bytes
from towline.lab import access, faults_inside, slow
from towline.lab.containers import HTTP, HTTPS, LEAST_DISK, LEAST_MEMORY, MOST_HOSTS, SSH, Wish
from towline.lab.docker import LabDocker, lab_folder
from towline.lab.fleet import Fleet
from towline.lab.machine import host_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from towline.lab.containers import Container
    from towline.lab.slow import SlowWay

T = TypeVar("T")


@dataclass(frozen=True)
class LabHost:
    """One host, as it was when somebody looked. Acts return it as it is then.

    `address` and `port` are where ssh reaches it from this machine (through the slow way while there is one,
    `direct_port` never); `ipv4` and `ipv6` are where the other hosts of the lab do. `state` is running, frozen or off.
    """

    name: str
    number: int
    state: str
    address: str
    port: int
    direct_port: int
    http_port: int
    https_port: int
    ipv4: str
    ipv6: str
    wish: Wish
    slow_ms: int
    key: Path
    known_hosts: Path
    lab: Lab = field(repr=False, compare=False)

    def ssh_options(self) -> tuple[str, ...]:
        """The words between `ssh` and `root@ADDRESS`; also for scp."""
        return access.options(self)

    def ssh(self, program: str, *, within: float = 60.0) -> Ran:
        """Run a shell program on the host, as root and through sshd; how it ended, whatever its status."""
        return run(("ssh", *self.ssh_options(), f"root@{self.address}", program), within=within)

    def inside(self, program: str, *, within: float = 60.0) -> Ran:
        """Run a shell program on the host, as root and past its sshd and firewall."""
        return self.lab.inside(self.number, program, within=within)

    def cut(self) -> LabHost:
        """Cut its power: nothing on it gets to say goodbye."""
        return self.lab.act(self.number, Fleet.cut)

    def on(self) -> LabHost:
        """Give it power again and wait until it is up."""
        return self.lab.act(self.number, Fleet.start)

    def freeze(self) -> LabHost:
        """Let it hang: it takes connections and answers nothing."""
        return self.lab.act(self.number, Fleet.freeze)

    def thaw(self) -> LabHost:
        """Let it go on where it was frozen."""
        return self.lab.act(self.number, Fleet.thaw)

    def reboot(self) -> LabHost:
        """Shut it down in order, start it again and wait until it is up."""
        return self.lab.act(self.number, Fleet.reboot)

    def reset(self, *, suite: str | None = None, docker: bool | None = None) -> LabHost:
        """A new machine of the same name and addresses, with an empty disk and other host keys."""
        wish = replace(
            self.wish,
            suite=self.wish.suite if suite is None else suite,
            docker=self.wish.docker if docker is None else docker,
        )
        return self.lab.reset(self.number, wish)

    def fill_disk(self, *, leave: int = 0) -> LabHost:
        """Fill its disk until only `leave` bytes are free, for root too."""
        faults_inside.fill_disk(self, leave)
        return self

    def free_disk(self) -> LabHost:
        """Take back what `fill_disk` did."""
        faults_inside.free_disk(self)
        return self

    def slow(self, ms: int) -> LabHost:
        """Add `ms` to each round trip of ssh to it, at a port of its own; 0 ends that."""
        return self.lab.slow(self.number, ms)

    def load(self, *images: str) -> None:
        """Copy images from the lab's Docker to the Docker inside the host."""
        faults_inside.load(self, images)


class Lab:
    """The hosts of one project, while the block runs and, until `down`, after it.

    `folder` is the project: the lab is named after it, so that two never meet. Everything of it carries its label in
    Docker and lies in `state`; nothing else is touched. Raises SiteUnreachable where Docker or ssh is missing.
    """

    def __init__(self, environ: Mapping[str, str], folder: Path | None = None, listener: Listener = ignore) -> None:
        self.project = (Path.cwd() if folder is None else folder).resolve()
        self.name = hashlib.sha256(str(self.project).encode()).hexdigest()[:8]
        self.state = lab_folder(environ) / "labs" / self.name
        self.docker = LabDocker(environ, users=not self._note().get("own", False))
        self._environ, self._listener = environ, listener

    def __enter__(self) -> Lab:
        access.refuse_without_ssh(self._environ.get("PATH"))
        self.docker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.docker.__exit__(kind, error, trace)

    @property
    def exists(self) -> bool:
        """Whether `up` was ever begun and no `down` has ended it."""
        return bool(self._note())

    @property
    def ssh_config(self) -> Path:
        """A configuration for ssh with the names of the hosts."""
        return access.config_file(self.state)

    def up(
        self,
        count: int,
        suite: str = "bookworm",
        *,
        docker: bool = False,
        memory: int = Wish.memory,
        disk: int = Wish.disk,
    ) -> tuple[LabHost, ...]:
        """See that hosts 1 to `count` are there and up; those that are stay as they are.

        `docker` means that they come with Docker. Raises Refused when one is there and was made otherwise.
        """
        if not 1 <= count <= MOST_HOSTS:
            raise UsageError(f"a lab has 1 to {MOST_HOSTS} hosts, not {count}", hint="towline lab up --hosts 3")
        if memory < LEAST_MEMORY or disk < LEAST_DISK:
            raise UsageError(
                f"a host has at least {show_bytes(LEAST_MEMORY)} of memory and {show_bytes(LEAST_DISK)} of disk",
                hint="towline lab up --memory 512MiB --disk 4GiB",
            )
        wish = Wish(suite, docker, memory, disk)
        with self._changing():
            wanted = range(1, count + 1)
            there = self._fleet.containers()
            if any(one.wish != wish for number, one in there.items() if number in wanted):
                raise Refused(
                    "this lab has hosts that were made otherwise; nothing was changed", hint="towline lab down"
                )
            return self._brought(wanted, wish)

    def add(self, number: int, wish: Wish) -> LabHost:
        """See that one host is there and up; made like `wish` only if it is new."""
        with self._changing():
            return self._brought([number], wish)[-1]

    def hosts(self) -> tuple[LabHost, ...]:
        """The hosts of the lab as they are now, by number."""
        return tuple(self._host(one) for _, one in sorted(self._fleet.containers().items()))

    def host(self, number: int) -> LabHost:
        """One host as it is now. Raises Refused when there is none of that number."""
        return self._host(self._container(number))

    def act(self, number: int, what: Callable[[Fleet, Container], None]) -> LabHost:
        """Do something with a host while nobody else does; the host as it is then."""
        with self._changing():
            what(self._fleet, self._container(number))
            return next(host for host in self._written() if host.number == number)

    def reset(self, number: int, wish: Wish) -> LabHost:
        """Replace a host by a new one."""

        def anew(fleet: Fleet, there: Container) -> None:
            image = self._image(wish)
            slow.close_way(self._slow_file(number))
            fleet.drop(there)
            fleet.prepare(image, [number])
            fleet.make(number, wish, there.ports)

        return self.act(number, anew)

    def slow(self, number: int, ms: int) -> LabHost:
        """Add `ms` to each round trip of ssh to a host; 0 ends that."""
        if ms < 0:
            raise UsageError(f"{ms} ms cannot be waited", hint="towline lab slow 1 --ms 100")

        def slowed(_: Fleet, there: Container) -> None:
            slow.close_way(self._slow_file(number))
            if ms:
                slow.open_way(self._slow_file(number), there.ports[SSH], ms, self._environ)

        return self.act(number, slowed)

    def inside(self, number: int, program: str, *, within: float = 60.0) -> Ran:
        """Run a shell program on a host, past its sshd and firewall."""
        return self._fleet.inside(self._container(number), program, within)

    def down(self) -> None:
        """Remove every host of the lab with its disk, the network, the keys and what runs for it."""
        with self._changing():
            for number in range(1, MOST_HOSTS + 1):
                slow.close_way(self._slow_file(number))
            _side_by_side(self._fleet.containers().values(), self._fleet.drop)
            self._fleet.clear()
            self.docker.keep_no_longer(self.name)
            shutil.rmtree(self.state, ignore_errors=True)

    def _brought(self, wanted: Sequence[int], wish: Wish) -> tuple[LabHost, ...]:
        self._begin()
        there = self._fleet.containers()
        if missing := [number for number in wanted if number not in there]:
            self._fleet.prepare(self._image(wish), missing)

        def bring(number: int) -> None:
            if number in there:
                self._fleet.wake(there[number])
            else:
                self._fleet.make(number, wish)

        _side_by_side(wanted, bring)
        return tuple(host for host in self._written() if host.number in wanted)

    def _container(self, number: int) -> Container:
        found = self._fleet.containers()
        if number not in found:
            known = ", ".join(str(one) for one in sorted(found)) or "none"
            raise Refused(f"this lab has no host {number}; there are: {known}", hint=f"towline lab up --hosts {number}")
        return found[number]

    @property
    def _fleet(self) -> Fleet:
        return Fleet(self.docker, self.name, self.state, self._listener)

    def _image(self, wish: Wish) -> str:
        return host_image(self.docker, wish.suite, with_docker=wish.docker, listener=self._listener)

    def _host(self, one: Container) -> LabHost:
        way: SlowWay | None = slow.standing(self._slow_file(one.number))
        return LabHost(
            name=f"host{one.number}",
            number=one.number,
            state=one.state,
            address="127.0.0.1",
            port=one.ports[SSH] if way is None else way.port,
            direct_port=one.ports[SSH],
            http_port=one.ports[HTTP],
            https_port=one.ports[HTTPS],
            ipv4=one.ipv4,
            ipv6=one.ipv6,
            wish=one.wish,
            slow_ms=0 if way is None else way.ms,
            key=access.key_file(self.state),
            known_hosts=access.known_hosts_file(self.state, one.number),
            lab=self,
        )

    def _written(self) -> tuple[LabHost, ...]:
        hosts = self.hosts()
        access.write_access(self.state, hosts)
        return hosts

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Nobody else changes this lab while the block runs; its lock outlives its folder."""
        with hold_lock(self.state.with_name(f"{self.name}.lock")):
            yield

    def _begin(self) -> None:
        """Note down that there is a lab, before anything of it is: a killed command leaves what `down` can find."""
        self.docker.keep(self.name)
        note = {"project": str(self.project), "own": self.docker.own}
        write_atomic(self.state / "lab.json", json.dumps(note))

    def _note(self) -> dict[str, object]:
        try:
            note: dict[str, object] = json.loads((self.state / "lab.json").read_text())
        except (OSError, ValueError):
            return {}
        return note

    def _slow_file(self, number: int) -> Path:
        return self.state / f"host{number}.slow"


def _side_by_side(things: Iterable[T], what: Callable[[T], None]) -> None:
    """Do it with all of them at once; the first error is raised when all have ended."""
    with ThreadPoolExecutor(max_workers=MOST_HOSTS) as pool:
        for done in [pool.submit(what, one) for one in things]:
            done.result()
