"""A target on a loopback host as its operators see it, with tasks that end when they are told to."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING

from tests.contract.driver_cases import PLAIN
from tests.real_servers import until

from towline.core.errors import LockHeld
from towline.drivers.host.driver import HostSite
from towline.release.lock import held
from towline.steps.kinds import RunTask
from towline.steps.model import Batch, Line, Plan, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.loopback_sshd import LoopbackSshd

    from towline.drivers.host.ssh import Connection
    from towline.release.lock import Hold

SITE = "box"
WAITING = """
echo "$1" >>runs
ps -o sid= -p $$ >"$1.session"
echo $$ >"$1.pid"
until [ -e "$1.go" ]; do sleep 0.02; done
echo "$1" >>ends
"""
"""A task that writes down that it runs, and ends when it is told to."""


class Host:
    """A target in a folder on an sshd that others use too, as one operator sees it."""

    def __init__(self, sshd: LoopbackSshd, folder: Path, home: Path | None = None) -> None:
        self.sshd, self.folder, self.home = sshd, folder, home or folder / "home"
        self._open: list[Connection] = []
        self.site = self.another()

    def another(self, port: int | None = None) -> HostSite:
        """The same target as another operator sees it, over a connection of their own."""
        if port is not None:
            self.sshd.know(self.sshd.folder / "host.pub", port)
        self._open.append(self.sshd.connection(port))
        return HostSite(self._open[-1], str(self.home), site=SITE, programs=PLAIN)

    def close(self) -> None:
        for connection in self._open:
            connection.close()

    def task(self, name: str, script: str = WAITING, marker: str | None = None) -> RunTask:
        """A task that runs a shell script in the folder, with its name as the first argument."""
        return RunTask(name, "api", ("sh", "-c", script, "sh", name), str(self.folder), 60.0, marker=marker)

    def told(self, name: str) -> list[str]:
        """What tasks have written down under a name."""
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def go(self, *names: str) -> None:
        """Let tasks end."""
        for name in names:
            (self.folder / f"{name}.go").touch()

    def go_after(self, fence: int, *names: str) -> threading.Thread:
        """Let tasks end once somebody has taken over."""

        def wait() -> None:
            until(lambda: self.fence() > fence, "a takeover")
            self.go(*names)

        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    def plan(self, *names: str) -> Plan:
        """A plan with one waiting task a stage."""
        tasks = [self.task(name, marker=name) for name in names]
        stages = tuple(Stage(one.name, (Batch(SITE, number, (one,)),)) for number, one in enumerate(tasks))
        return Plan("tiny", "test", 1, "deploy", stages, {SITE: "x"})

    def fence(self) -> int:
        """The highest fence given."""
        return int(json.loads((self.home / "lock").read_text())["fence"])


def events(lines: list[Line] | tuple[Line, ...]) -> list[tuple[str, int]]:
    return [(line.event, line.index) for line in lines]


def in_background(lines: Iterator[Line]) -> tuple[list[Line], list[BaseException], threading.Thread]:
    """Read lines in a thread: what came so far, and the error that ended it."""
    came: list[Line] = []
    errors: list[BaseException] = []

    def read_all() -> None:
        try:
            for line in lines:
                came.append(line)  # noqa: PERF402 - what came before an error counts
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    thread = threading.Thread(target=read_all)
    thread.start()
    return came, errors, thread


@contextlib.contextmanager
def taken(site: HostSite, owner: str) -> Iterator[Hold]:
    """The lock, as soon as whoever holds it has let it run out."""
    deadline = time.monotonic() + 60
    while True:
        try:
            site.release(site.acquire(owner, 60.0))
            break
        except LockHeld:
            assert time.monotonic() < deadline
    with held({SITE: site}, owner) as hold:
        yield hold
