"""An API and a worker as one program, the way a combined container runs them: started, watched and ended as one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.real_servers import free_port, until

from towline_supervisor.client import Client

DEADLINE = 30.0

API = """
import http.server, os, signal, sys, threading, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if time.monotonic() - began > 0.5 else 503)
        self.end_headers()
        if self.path == "/die":
            os._exit(5)
    def log_message(self, *_):
        pass

began = time.monotonic()
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("api listens", flush=True)
server.serve_forever()
print("api drained", flush=True)
"""

WORKER = """
import os, signal, sys, time

stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
print("worker takes jobs", flush=True)
while not stopping:
    time.sleep(0.05)
time.sleep(0.3)
print("worker drained", flush=True)
"""

ORPHAN = """
import os, pathlib, time

if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        time.sleep(0.2)
        os._exit(0)
    os._exit(0)
os.wait()
time.sleep(0.5)
until = time.monotonic() + 20
def zombies():
    texts = []
    for folder in pathlib.Path("/proc").iterdir():
        try:
            texts += [(folder / "stat").read_text()] if folder.name.isdigit() else []
        except OSError:
            pass
    return [text for text in texts if text.rpartition(")")[2].split()[0] == "Z"]
while zombies() and time.monotonic() < until:
    time.sleep(0.05)
print("zombies:", len(zombies()), "parent:", os.getppid(), flush=True)
time.sleep(600)
"""


class Run:
    """A combined start and what it has printed so far."""

    def __init__(self, arguments: list[str], prefix: list[str] | None = None) -> None:
        command = [*(prefix or []), sys.executable, "-m", "towline_supervisor", "run", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def at(self, text: str, after: int = 0) -> int:
        """The number of the first line, from `after` on, that holds this text; waits for it."""

        def find() -> int | None:
            return next((number for number, line in enumerate(self.lines[after:], after) if text in line), None)

        try:
            until(lambda: find() is not None or self.process.poll() is not None, f"a line with {text!r}")
            self._reader.join(0 if self.process.poll() is None else DEADLINE)
            found = find()
            assert found is not None
        except AssertionError:
            raise AssertionError(f"no line with {text!r} in:\n{''.join(self.lines)}") from None
        return found

    def pid(self, name: str, after: int = 0) -> int:
        """The PID with which a process was started, as the stream says it."""
        match = re.search(r"\(PID (\d+)\)", self.lines[self.at(f"{name} started (PID", after)])
        assert match is not None
        return int(match[1])

    def end(self) -> int:
        """The exit status, when it has ended and all was read."""
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code

    def close(self) -> None:
        """Kill it if it still runs."""
        self.process.kill()
        self.end()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago, below those that the kernel hands out."""
    return free_port()


@pytest.fixture
def file(tmp_path: Path, port: int) -> Path:
    """The TOML file of an API that must be up before the worker, and whose end is the end of everything."""
    tmp_path.chmod(0o700)
    (tmp_path / "api.py").write_text(API)
    (tmp_path / "worker.py").write_text(WORKER)
    path = tmp_path / "combined.toml"
    path.write_text(
        f"""
        name = "shop"

        [process.worker]
        command = ["{sys.executable}", "worker.py"]
        after = ["api"]
        backoff = {{first = 0.1}}

        [process.api]
        command = ["{sys.executable}", "api.py", "{port}"]
        ready = {{http = "http://127.0.0.1:{port}/api/health", within = 20}}
        vital = true
        """
    )
    return path


Start = Callable[..., Run]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts runs, and ends what a failed test leaves behind."""
    begun: list[Run] = []

    def begin(*arguments: str, prefix: list[str] | None = None) -> Run:
        begun.append(Run(list(arguments), prefix))
        return begun[-1]

    yield begin
    for run in begun:
        run.close()


def test_api_first_then_worker_then_banner(start: Start, file: Path) -> None:
    """The worker starts when the API has answered; then the banner; SIGTERM drains both, worker first, and ends 0."""
    run = start(str(file))
    said = [
        "starting api",
        "waiting for api to answer http://",
        "api ready after",
        "starting worker",
        "worker takes jobs",
    ]
    numbers = [run.at(text) for text in said]
    assert numbers == sorted(numbers)
    assert run.at("All services running") > run.at("worker ready after")
    run.process.terminate()
    assert run.end() == 0
    assert run.at("worker drained") < run.at("stopping api") < run.at("api drained") < run.at("everything has stopped")
    assert re.match(r"^\d\d:\d\d:\d\d worker     \| worker takes jobs\n$", run.lines[run.at("worker takes jobs")])
    assert "\x1b" not in "".join(run.lines)


def test_crashed_worker_comes_back(start: Start, file: Path) -> None:
    """A killed worker is told, waited for, and started with a new PID, while the API goes on."""
    run = start(str(file))
    banner = run.at("All services running")
    first = run.pid("worker")
    os.kill(first, signal.SIGKILL)
    crash = run.at("worker crashed (signal KILL), restarting in 0.1 s", banner)
    assert run.pid("worker", crash) != first
    run.at("worker ready", crash)
    assert not any("api crashed" in line or "stopping" in line for line in run.lines)
    run.process.terminate()
    assert run.end() == 0


def test_dead_api_ends_everything(start: Start, file: Path, port: int) -> None:
    """When the vital API ends, the worker is drained and the exit status is the API's."""
    run = start(str(file))
    run.at("All services running")
    with socket.create_connection(("127.0.0.1", port)) as victim:
        victim.sendall(b"GET /die HTTP/1.0\r\n\r\n")
        victim.recv(100)
    assert run.end() == 5
    assert run.at("api ended (exit 5), and it is vital") < run.at("worker drained")


def test_killed_api_gives_the_code_of_its_signal(start: Start, file: Path) -> None:
    """A vital process ended by a signal gives 128 and its number."""
    run = start(str(file))
    run.at("All services running")
    os.kill(run.pid("api"), signal.SIGKILL)
    assert run.end() == 128 + signal.SIGKILL


def test_api_that_never_answers_ends_everything(start: Start, file: Path) -> None:
    """An API that is not ready in time is told with its last lines, and ends all with a code that is not 0."""
    file.write_text(file.read_text().replace("/api/health", "/").replace("within = 20", "within = 0.3"))
    run = start(str(file))
    assert run.end() == 1
    verdict = run.at("api was not ready within 0.3 s: to answer http://")
    assert run.at("api listens", verdict) > run.at("last lines of api:") > verdict - 1
    assert not any("starting worker" in line for line in run.lines)


def test_second_signal_kills(start: Start, tmp_path: Path) -> None:
    """A first SIGTERM is polite; a second one does not wait for a stubborn process."""
    script = "trap '' TERM; echo up; while :; do sleep 0.1; done"
    (tmp_path / "f.toml").write_text(f'[process.a]\ncommand = ["sh", "-c", "{script}"]\nstop = {{within = 600}}\n')
    run = start(str(tmp_path / "f.toml"))
    run.at("up")
    run.process.terminate()
    run.at("stopping a")
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 0
    assert run.at("told again: killing the rest") < run.at("a stopped (signal KILL)")


def test_total_memory_restarts_the_largest_that_is_not_vital(start: Start, tmp_path: Path) -> None:
    """Over the limit for all together, the largest process that is not vital is restarted."""
    script = "import sys, time; hold = b'x' * int(sys.argv[1]); time.sleep(600)"
    tables = [
        f'[process.{name}]\ncommand = ["{sys.executable}", "-c", "{script}", "{size}"]\nvital = {vital}\n'
        for name, size, vital in (("core", 60_000_000, "true"), ("big", 40_000_000, "false"), ("small", 1, "false"))
    ]
    (tmp_path / "f.toml").write_text('[limit]\nmemory = "60MB"\n' + "".join(tables))
    run = start(str(tmp_path / "f.toml"))
    total = run.at("all together use")
    assert "over the limit of 60 MB" in run.lines[total]
    assert run.pid("big", total) != run.pid("big")
    run.process.terminate()
    assert run.end() == 0
    assert not any("stopping core" in line for line in run.lines[: run.at("stopping everything")])


def test_json_stream(start: Start, file: Path) -> None:
    """With --json every line is one object with the same five fields."""
    run = start(str(file), "--json")
    run.at("All services running")
    run.process.terminate()
    assert run.end() == 0
    records = [json.loads(line) for line in run.lines]
    assert {tuple(record) for record in records} == {("at", "name", "pid", "stream", "text")}
    assert {record["name"] for record in records} == {"supervisor", "api", "worker"}


def test_stalled_reader_holds_up_nobody(tmp_path: Path) -> None:
    """While nobody reads the stream, the supervisor still answers and ends in order; memory stays bounded."""
    tmp_path.chmod(0o700)
    (tmp_path / "f.toml").write_text('[process.loud]\ncommand = ["yes", "a line of some length"]\n')
    command = [
        sys.executable,
        "-m",
        "towline_supervisor",
        "run",
        str(tmp_path / "f.toml"),
        "--socket",
        str(tmp_path / "c"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process, contextlib.ExitStack() as end:
        end.callback(process.kill)
        until((tmp_path / "c").exists, "the socket")
        with Client(tmp_path / "c") as client:
            assert client.process("wait", name="loud", within=DEADLINE)["state"] == "ready"
            resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            assert resident < 60_000_000
            assert client.ask("shutdown") == {"ok": True}
        assert process.wait(DEADLINE) == 0


def test_run_ends_when_nothing_is_left(start: Start, tmp_path: Path) -> None:
    """When all processes ended and none is to run again, the run ends with the worst of their codes."""
    tables = '[process.{0}]\ncommand = ["sh", "-c", "exit {1}"]\nrestart = "never"\n'
    (tmp_path / "f.toml").write_text(tables.format("good", 0) + tables.format("bad", 6))
    run = start(str(tmp_path / "f.toml"))
    assert run.end() == 6


def test_check_lists_all_mistakes(tmp_path: Path, file: Path) -> None:
    """--check runs nothing: it confirms a good file, and lists every mistake of a bad one with status 2."""
    good = check(file)
    assert (good.returncode, good.stdout) == (0, "")
    assert "start order: api, worker" in good.stderr
    bad = tmp_path / "bad.toml"
    bad.write_text('[process.a]\ncomand = ["x"]\nafter = ["b"]\n')
    found = check(bad)
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        "process.a.command: must be a list of texts",
        "process.a.comand: is not known; did you mean command?",
        "process.a.after: names b, which is no process of this file",
    ]
    assert check(tmp_path / "absent.toml").returncode == 2


def check(file: Path) -> subprocess.CompletedProcess[str]:
    """The outcome of --check."""
    command = [sys.executable, "-m", "towline_supervisor", "run", str(file), "--check"]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)


@pytest.mark.needs("unshare")
def test_as_pid_1(start: Start, tmp_path: Path) -> None:
    """As PID 1 of its own process namespace it reaps an orphan that nobody else can, and SIGTERM ends all with 0."""
    prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    allowed = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    if not allowed and os.environ.get("CI") != "true":
        pytest.skip("unshare --pid is not permitted here")
    (tmp_path / "orphan.py").write_text(ORPHAN)
    (tmp_path / "f.toml").write_text(f'[process.a]\ncommand = ["{sys.executable}", "orphan.py"]\n')
    run = start(str(tmp_path / "f.toml"), prefix=prefix)
    assert "(PID 1)" in run.lines[run.at("services: 1 processes")]
    assert "zombies: 0 parent: 1" in run.lines[run.at("zombies:")]
    children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)  # unshare keeps the signal for itself: docker sends it to PID 1
    assert run.end() == 0
    assert run.at("a stopped (signal TERM)") < run.at("everything has stopped")
