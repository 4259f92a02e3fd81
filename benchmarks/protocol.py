"""What a link of 100 ms costs a deploy: one program for a batch, against one call for each question.

A real sshd on loopback, reached straight and through a slow link (50 ms each way), over one multiplexed connection.
The same six steps of a swap, each with its four questions (does it hold, what was before, act, write the journal), are
carried out (a) as the Driver protocol has it: a batch is one program that writes the journal beside each act and prints
its lines; (b) with one call for each question. Round trips = (T at 100 ms - T at 0) / 100 ms.
"""

from __future__ import annotations

import getpass
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Goals, machine, spread, table
from towline.lab.faults import SlowLink

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = ("start new", "wait ready", "shift", "confirm", "drain old", "stop old")
ROUNDS = 5
DELAY = 0.05


@contextmanager
def sshd(folder: Path) -> Iterator[int]:
    """A real sshd of our own on loopback that knows one key."""
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    server = subprocess.Popen([program, "-D", "-f", config, "-E", folder / "log"])
    try:
        wait_for_port(port)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=10)


def wait_for_port(port: int) -> None:
    """Wait until something accepts there, at most ten seconds."""
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
        else:
            return


class Connection:
    """One multiplexed ssh connection."""

    def __init__(self, folder: Path, port: int) -> None:
        self._argv = [
            "ssh", "-F", "none", "-i", str(folder / "user"), "-p", str(port),
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
            "-o", f"ControlPath={folder}/control-{port}", "-o", "BatchMode=yes",
            f"{getpass.getuser()}@127.0.0.1",
        ]  # fmt: skip
        subprocess.run([self._argv[0], "-o", "ControlMaster=yes", "-fN", *self._argv[1:]], check=True)

    def run(self, program: str) -> list[str]:
        """Run a shell program there, given on standard input; the lines it prints."""
        argv = [self._argv[0], *self._argv[1:], "sh", "-s"]
        return subprocess.run(argv, input=program, capture_output=True, text=True, check=True).stdout.splitlines()

    def close(self) -> None:
        """End the connection."""
        subprocess.run([self._argv[0], "-O", "exit", *self._argv[1:]], capture_output=True, check=False)


def questions(step: str, home: str) -> tuple[str, str, str, str, str]:
    """Shell lines of one step: still permitted? holds? before, with `began`; the act; `done`. All synced."""
    mark = shlex.quote(f"{home}/{step}")
    journal = shlex.quote(f"{home}/journal")
    write = "printf '%s\\n' {line} | tee -a " + journal + f" && sync {journal}"
    return (
        f'[ "$(cat {shlex.quote(home)}/fence)" -le 7 ]',
        f"[ -e {mark} ] || true",
        write.format(line=shlex.quote(f"began {step}")),
        f"touch {mark}",
        write.format(line=shlex.quote(f"done {step}")),
    )


def as_one_program(connection: Connection, home: str) -> int:
    """A batch as the Driver protocol has it; the number of journal lines that came back."""
    body = "\n".join(line for step in STEPS for line in questions(step, home))
    return len(connection.run(f"set -e\n{body}\n"))


def as_calls(connection: Connection, home: str) -> int:
    """The same batch with a call for each question."""
    return sum(len(connection.run(f"set -e\n{line}\n")) for step in STEPS for line in questions(step, home))


def measure(folder: Path, port: int) -> dict[str, list[float]]:
    """Seconds of both ways over one connection, in turn."""
    connection = Connection(folder, port)
    times: dict[str, list[float]] = {"one program": [], "one call a question": []}
    ways = {"one program": as_one_program, "one call a question": as_calls}
    try:
        for number in range(ROUNDS):
            for name, way in ways.items():
                home = str(folder / f"site-{port}-{number}-{len(name)}")
                connection.run(f"mkdir -p {shlex.quote(home)} && echo 7 > {shlex.quote(home)}/fence")
                began = time.monotonic()
                lines = way(connection, home)
                times[name].append(time.monotonic() - began)
                if lines != 2 * len(STEPS):
                    raise SystemExit(f"{name}: {lines} journal lines, not {2 * len(STEPS)}")
    finally:
        connection.close()
    return times


def main() -> int:
    """Measure at 0 and at 100 ms, print both and the round trips."""
    version = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.strip()
    machine(ssh=version)
    with tempfile.TemporaryDirectory(prefix="towline-bench-") as name:
        folder = Path(name)
        folder.chmod(0o700)
        with sshd(folder) as port:
            near = measure(folder, port)
            with SlowLink(("127.0.0.1", port), DELAY) as link:
                far = measure(folder, link.port)
    trips = {way: (statistics.median(far[way]) - statistics.median(near[way])) / (2 * DELAY) for way in near}
    rows = [(way, spread(near[way]), spread(far[way]), f"{trips[way]:.1f}") for way in near]
    table((f"{len(STEPS)} steps", "at 0 ms", "at 100 ms", "round trips"), rows)
    goals = Goals("protocol")
    goals.at_most("round_trips_of_a_batch", trips["one program"], "trips", 2.5)
    goals.at_most("against_one_call_a_question", trips["one program"] / trips["one call a question"], "ratio", 0.1)
    return goals.close()


if __name__ == "__main__":
    sys.exit(main())
