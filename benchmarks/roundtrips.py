"""What each call of a host's driver costs over a link of 100 ms.

A real sshd on loopback, reached straight and through a slow link (50 ms each way). In each round one operator does what
a release does: look, take the lock, look again, stash, carry out six stages of a step each in one go (each step asked
whether it holds and what was before, journalled, done, journalled; the plan written before, the end after), read the
journal, give the lock back.
Round trips = (T at 100 ms - T at 0) / 100 ms, of the fastest rounds: whatever else runs only adds. Opening the
connection is once a command, and told apart.
"""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Goals, machine, spread, table
from protocol import sshd
from towline.core.secret import Secret
from towline.drivers.host.address import Address
from towline.drivers.host.driver import HostSite
from towline.drivers.host.ssh import Connection
from towline.drivers.host.tasks import run_task
from towline.lab.faults import SlowLink
from towline.steps.kinds import RunTask
from towline.steps.model import Batch, Line, Stretch

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from towline.steps.model import Lease

    T = TypeVar("T")

STEPS = 6
ROUNDS = 5
DELAY = 0.05
OPENING = "open the connection"
ALL = f"{STEPS} stages in one go"


def connect(folder: Path, port: int) -> Connection:
    """A connection that is not open yet."""
    unchecked = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
    options = ("-F", "none", "-i", str(folder / "user"), *unchecked)
    return Connection(Address("127.0.0.1", getpass.getuser(), port), options=options, root=os.getuid() == 0)


class Round:
    """One release, each call timed."""

    def __init__(self, site: HostSite, folder: Path, number: int, times: dict[str, list[float]]) -> None:
        self._site, self._folder, self._number, self._times = site, folder, number, times

    def run(self) -> None:
        """All calls in order."""
        site, run = self._site, str(self._number)
        self._timed("observe", site.observe)
        lease = self._timed("take the lock", lambda: site.acquire("bench", 600.0))
        self._timed("observe under the lock", site.observe)
        self._timed("stash", lambda: site.stash({f"e{run}": Secret(f'{{"VALUE": "of round {run}"}}')}, lease))
        lines = self._timed(ALL, lambda: list(site.carry_out(self._stretch(lease), lease, run)))
        if [line.event for line in lines] != ["plan", *["began", "done"] * STEPS, "ended"]:
            raise SystemExit(f"the stages ended with {lines[-1]}")
        self._timed("read the journal", site.journal)
        self._timed("give the lock back", lambda: site.release(lease))

    def _task(self, index: int) -> RunTask:
        run = str(self._number)
        return RunTask(f"step {index}", "api", ("true",), str(self._folder), 30.0, env=f"e{run}", marker=run)

    def _stretch(self, lease: Lease) -> Stretch:
        """A stage for each step, and the engine's lines around them."""
        run = str(self._number)
        plain = {"release": self._number, "intent": "deploy", "stages": ["x" * 200] * 40}
        stages = tuple(Batch("box", index, (self._task(index),)) for index in range(STEPS))
        opening = Line("", run, "plan", lease.fence, site="box", plan=plain)
        return Stretch(stages, opening, Line("", run, "ended", lease.fence, site="box", outcome="done"))

    def _timed(self, name: str, call: Callable[[], T]) -> T:
        began = time.monotonic()
        answer = call()
        self._times.setdefault(name, []).append(time.monotonic() - began)
        return answer


def measure(folder: Path, port: int, home: str) -> dict[str, list[float]]:
    """Seconds of each call, by its name."""
    times: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        with connect(folder, port) as connection:
            began = time.monotonic()
            connection.run("true", within=30)
            times.setdefault(OPENING, []).append(time.monotonic() - began)
            Round(
                HostSite(connection, home, site="box", programs={"run-task": run_task}), folder, number + 1, times
            ).run()
    return times


def main() -> int:
    """Measure at 0 and at 100 ms, print both and the round trips."""
    version = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.strip()
    machine(ssh=version)
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as name:
        folder = Path(name)
        folder.chmod(0o700)
        with sshd(folder) as port:
            near = measure(folder, port, f"{name}/near")
            with SlowLink(("127.0.0.1", port), DELAY) as link:
                far = measure(folder, link.port, f"{name}/far")
    trips = {call: (min(far[call]) - min(near[call])) / (2 * DELAY) for call in near}
    rows = [(call, spread(near[call]), spread(far[call]), f"{trips[call]:.1f}") for call in near]
    table((f"{ROUNDS} rounds", "at 0 ms", "at 100 ms", "round trips"), rows)
    of_a_release = sum(value for call, value in trips.items() if call != OPENING)
    print(f"a release: {of_a_release:.1f} round trips, {trips[OPENING]:.1f} to open the connection")
    goals = Goals("roundtrips")
    goals.at_most("of_all_stages", trips[ALL], "trips", 2)
    goals.at_most("of_a_release", of_a_release, "trips", 8)
    return goals.close()


if __name__ == "__main__":
    sys.exit(main())
