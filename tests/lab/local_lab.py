"""A local site in a folder of its own for tests: real servers, real programs, steps carried out one by one."""

from __future__ import annotations

import itertools
import json
import os
import socket
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from towline.core.errors import StepFailed
from towline.core.secret import Secret
from towline.drivers.local.driver import LocalSite
from towline.steps.kinds import (
    ConfigureDoor,
    ConfirmShift,
    EndSite,
    InitStore,
    Instance,
    PrepareStore,
    Probe,
    Shift,
    StartInstance,
    StopInstance,
    WaitReady,
)
from towline.steps.model import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline.steps.kinds import AnyStep
    from towline.steps.model import Lease, Line

APP = Path(__file__).with_name("local_app.py")
Found = TypeVar("Found")

PASSWORDS = {
    "db.password": "app-password-of-the-test",
    "db.admin_password": "admin-password-of-the-test",
    "queue.password": 'quoted "and\\slashed',
    "media.secret_key": "secret-key-of-the-test",
    "media.admin_secret_key": "admin-secret-key-of-the-test",
}


@dataclass
class Lab:
    """One site, its lease, and the ports that its parts got."""

    home: Path
    site: LocalSite
    lease: Lease
    ports: dict[str, int] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def carry(self, *steps: AnyStep) -> list[Line]:
        """Carry steps out as one batch; the lines that are not `began`. A failure is raised as it was written."""
        batch = Batch(self.site.site, next(self.numbers), steps)
        lines = [line for line in self.site.carry_out(batch, self.lease, "1") if line.event != "began"]
        for line in lines:
            if line.event == "failed":
                raise StepFailed(line.sentence, hint=line.hint, evidence=line.evidence)
        return lines

    def port(self, name: str) -> int:
        """The port of a part, chosen as a plan would."""
        if name not in self.ports:
            free = self.site.observe().room.ports
            self.ports[name] = next(port for port in free if port not in self.ports.values())
        return self.ports[name]

    def stash(self, digest: str, content: str) -> str:
        """Keep contents on the site."""
        self.site.stash({digest: Secret(content)}, self.lease)
        return digest

    def route(self, *services: dict[str, object], default: str | None = None) -> list[Line]:
        """Give the door its routes."""
        plain = {"app": "lab", "port": self.port("door"), "services": list(services), "default": default}
        text = json.dumps(plain)
        return self.carry(ConfigureDoor(self.stash(f"routes-{abs(hash(text))}", text)))

    def start(self, instance: Instance) -> list[Line]:
        """Start an instance and wait until it is ready."""
        return self.carry(StartInstance(instance), WaitReady(instance.name, instance.ready.within))

    def shift(self, service: str, *instances: Instance) -> list[Line]:
        """Send a service's traffic to these instances and see it arrive."""
        to = tuple(f"127.0.0.1:{one.port}" for one in instances)
        return self.carry(Shift(service, to), ConfirmShift(service, to))

    def pid(self, name: str) -> int | None:
        """The process of an instance now."""
        return next((one.pid for one in self.site.status() if one.name == name), None)

    def state(self, name: str) -> str:
        """The state of an instance now."""
        return next((one.state for one in self.site.status() if one.name == name), "gone")

    def app(self, name: str, service: str = "api", **changes: object) -> Instance:
        """An instance of the test app."""
        env = self.stash(f"env-{name}", json.dumps({**environment(), "PORT": str(self.port(name)), "NAME": name}))
        made = Instance(
            name=name,
            service=service,
            revision=name,
            runs="service",
            ready=Probe("http", within=20, path="/health"),
            port=self.port(name),
            command=("python3", str(APP)),
            cwd=str(self.home.parent),
            env=env,
            stop_within=10,
            drain=5,
        )
        return replace(made, **changes)  # type: ignore[arg-type]

    def door(self) -> Instance:
        """The front door."""
        port = self.port("door")
        return Instance("door", "door", str(port), "door", Probe("tcp", within=10), port=port)

    def store(self, name: str, kind: str, settings: dict[str, str], *, start: bool = True) -> Instance:
        """A store: its data, its server, what the app needs in it."""
        for known, value in PASSWORDS.items():
            self.stash(known, value)
        port = self.port(name)
        server = Instance(name, name, "r1", kind, Probe("tcp", within=30), port=port, settings=settings, stop_within=20)  # type: ignore[arg-type]
        if start:
            self.carry(InitStore(name, kind, "0", settings))
            self.start(server)
            self.carry(PrepareStore(name, kind, port, settings))
        return server

    def close(self) -> None:
        """End everything."""
        self.carry(EndSite())

    def stop(self, name: str) -> list[Line]:
        """Stop an instance."""
        return self.carry(StopInstance(name, 20))


def make_lab(project: Path) -> Lab:
    """A site in a project folder that nothing runs on yet, with the lock held."""
    home = project / ".towline" / "local"
    site = LocalSite(home, environ=dict(os.environ))
    return Lab(home, site, site.acquire("the test", 600))


def environment() -> dict[str, str]:
    """What every program needs."""
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


def until(ask: Callable[[], Found], within: float = 20.0, what: str = "the condition") -> Found:
    """Ask until the answer is true, at most `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        found = ask()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} was not so within {within:g} s")
        time.sleep(0.05)


def refuses(port: int) -> bool:
    """True when nobody listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


POSTGRES = {
    "user": "post cards",
    "database": 'po"st',
    "password": "db.password",
    "admin_password": "db.admin_password",
}
QUEUE = {"use": "queue", "password": "queue.password", "maxmemory": "64mb"}
MEDIA = {
    "bucket": "lab-media",
    "public": "",
    "access_key": "AKAPP",
    "secret_key": "media.secret_key",
    "admin_access_key": "AKADMIN",
    "admin_secret_key": "media.admin_secret_key",
}
