"""A supervisor as a container runs it: in a memory control group of its own, and without the right to trace others."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.real_servers import until

from towline_supervisor.client import Client

DEADLINE = 30.0
EATER = "hold = []\nwhile True: hold.append(b'x' * 1_000_000)"
CONTROL = Path("/sys/fs/cgroup")


def skip_on_a_laptop(why: str) -> None:
    """What this machine does not permit is skipped, except on CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must permit it: {why}", pytrace=False)
    pytest.skip(why)


@contextlib.contextmanager
def serving(folder: Path, *prefix: str) -> Iterator[Client]:
    """A daemon started through another program, and a client of it."""
    folder.chmod(0o700)
    places = ["--socket", str(folder / "c"), "--logs", str(folder / "logs")]
    command = [*prefix, sys.executable, "-m", "towline_supervisor", "serve", *places]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b'"ok": true' in process.stdout.readline()
        try:
            with Client(folder / "c") as client:
                yield client
        finally:
            process.terminate()
        assert process.wait(DEADLINE) == 0


@pytest.fixture
def group() -> Iterator[Path]:
    """A memory control group with a limit of 60 MB."""
    old = CONTROL / "memory"
    path = (old if old.exists() else CONTROL) / f"towline-test-{os.getpid()}"
    try:
        path.mkdir()
        limit = path / ("memory.limit_in_bytes" if old.exists() else "memory.max")
        limit.write_text("60000000")
    except OSError as error:
        skip_on_a_laptop(f"no memory control group can be made: {error.strerror}")
    yield path
    until(lambda: not (path / "cgroup.procs").read_text(), "the group is empty")
    path.rmdir()


def test_want_of_memory_is_told(group: Path, tmp_path: Path) -> None:
    """A process that the kernel killed for want of memory says so; one that was merely killed does not."""
    with serving(tmp_path, "sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$0" "$@"') as client:
        # The kernel takes the largest of the group, which is the eater.
        client.ask("start", process={"name": "eater", "command": [sys.executable, "-c", EATER], "restart": "never"})
        eater = client.process("wait", name="eater", until="stopped", within=DEADLINE)
        assert eater["exit"] == {"code": None, "signal": "KILL", "reason": "oom", "oom": True}
        assert eater["verdict"] == "ended (signal KILL, out of memory)"
        killed = {"name": "killed", "command": ["sh", "-c", "kill -KILL $$"], "restart": "never"}
        client.ask("start", process=killed)
        assert client.process("wait", name="killed", until="stopped", within=DEADLINE)["exit"] == {
            "code": None,
            "signal": "KILL",
            "reason": "killed",
            "oom": False,
        }


@pytest.mark.needs("setpriv")
def test_port_of_another_user_is_trusted(tmp_path: Path) -> None:
    """Without the right to look into a process of another user, a port that nobody else holds counts as its own."""
    if os.geteuid() != 0:
        skip_on_a_laptop("only root can give up the right to trace")
    port = 22_000 + os.getpid() % 9_000
    server = ["/usr/bin/env", "python3", "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    spec = {
        "name": "web",
        "command": ["setpriv", "--reuid", "65534", "--clear-groups", *server],
        "cwd": "/tmp",
        "ready": {"http": f"http://127.0.0.1:{port}/", "within": DEADLINE},
    }
    with serving(tmp_path, "setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace") as client:
        client.ask("start", process=spec)
        web = client.process("wait", name="web", within=DEADLINE)
        assert web["state"] == "ready"

        def used() -> int:
            processes = client.ask("status")["processes"]
            assert isinstance(processes, list)
            return int(processes[0]["memory"])

        until(lambda: used() > 1_000_000, "the resident size is told, where the proportional one is hidden")
