"""Real processes under a real daemon: gates, restarts, stops, limits, and what is left when one of them dies."""

import http.server
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import lives
from tests.real_servers import free_port, until

from towline_supervisor.client import Client, Refused

DEADLINE = 20.0
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.1; done"
WEB = (
    "import http.server as h, sys;"
    "h.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), h.SimpleHTTPRequestHandler).serve_forever()"
)
GREEDY = "import time; hold = b'x' * 60_000_000; print('holding', flush=True); time.sleep(600)"

Record = dict[str, object]


def numbers(file: Path, count: int) -> list[int]:
    """The numbers in a file, as soon as there are enough."""
    until(lambda: file.exists() and len(file.read_text().split()) >= count, f"{count} numbers in {file.name}")
    return [int(word) for word in file.read_text().split()]


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago, below those that the kernel hands out."""
    return free_port()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A private folder whose path is short enough for a socket."""
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def daemon(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that listens on `control.sock` of the folder."""
    places = [
        "--socket",
        str(folder / "control.sock"),
        "--logs",
        str(folder / "logs"),
        "--state",
        str(folder / "state"),
    ]
    command = [sys.executable, "-m", "towline_supervisor", "serve", *places]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "FROM_CALLER": "1"}) as process:
        assert process.stdout is not None
        assert b'"ok": true' in process.stdout.readline()
        yield process
        process.terminate()
        assert process.wait(DEADLINE) in {0, -signal.SIGKILL, 7}


@pytest.fixture
def client(daemon: subprocess.Popen[bytes], folder: Path) -> Iterator[Client]:
    """A client of the daemon."""
    with Client(folder / "control.sock") as connected:
        yield connected


def shell(name: str, script: str, **more: object) -> Record:
    return {"name": name, "command": ["sh", "-c", script], **more}


def status(client: Client, name: str) -> Record:
    """The record of one process."""
    processes = client.ask("status")["processes"]
    assert isinstance(processes, list)
    return next(one for one in processes if one["name"] == name)


def said(client: Client, text: str) -> bool:
    """Whether the supervisor said this."""
    with Client(client.path) as other:
        return any(text in str(line["text"]) for line in other.tail(["supervisor"], 1000))


def test_gate_opens_when_the_port_answers(client: Client, port: int) -> None:
    """A process waits until the one before it answers, with a verdict that says for whom."""
    late = "import time; time.sleep(0.5); " + WEB
    client.ask("start", process=shell("worker", "echo $FROM_CALLER; exec sleep 600", after=["api"]))
    assert status(client, "worker")["verdict"] == "waits for api, which nobody started"
    ready = {"http": f"http://127.0.0.1:{port}/", "within": DEADLINE}
    client.ask("start", process={"name": "api", "command": [sys.executable, "-c", late, str(port)], "ready": ready})
    assert status(client, "worker")["state"] == "waiting"
    assert client.process("wait", name="worker", until="ready", within=DEADLINE)["state"] == "ready"
    assert status(client, "api")["state"] == "ready"
    assert status(client, "worker")["last"] == ["1"]


def test_tcp_and_command_readiness(client: Client, folder: Path, port: int) -> None:
    """A port that accepts is ready; a command is asked again until it ends with 0."""
    client.ask(
        "start",
        process={
            "name": "tcp",
            "command": [sys.executable, "-c", WEB, str(port)],
            "ready": {"tcp": f"localhost:{port}"},
        },
    )
    asked = {"command": ["test", "-e", str(folder / "flag")], "within": DEADLINE}
    client.ask("start", process=shell("cmd", "exec sleep 600", ready=asked))
    assert client.process("wait", name="tcp", within=DEADLINE)["state"] == "ready"
    assert status(client, "cmd")["state"] == "starting"
    (folder / "flag").touch()
    assert client.process("wait", name="cmd", within=DEADLINE)["state"] == "ready"


def test_other_status_is_not_ready(client: Client, port: int) -> None:
    """An answer with the wrong status is told in the verdict, and the process goes on living."""
    ready = {"http": f"http://127.0.0.1:{port}/absent", "within": 1.0}
    client.ask("start", process={"name": "api", "command": [sys.executable, "-c", WEB, str(port)], "ready": ready})
    with pytest.raises(Refused, match="answered 404 instead of 200") as caught:
        client.ask("wait", name="api", within=DEADLINE)
    assert caught.value.code == "not-ready"
    assert status(client, "api")["state"] == "starting"


def test_port_of_a_foreign_server_is_not_ready(client: Client, port: int) -> None:
    """A busy port answers for somebody else: the verdict names its holder; `owned = false` does not ask."""
    server = http.server.HTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ready = {"tcp": f"127.0.0.1:{port}", "within": 0.5}
    client.ask("start", process=shell("api", "exec sleep 600", ready=ready))
    with pytest.raises(Refused, match=f"port {port} is held by process {os.getpid()}"):
        client.ask("wait", name="api", within=DEADLINE)
    client.ask("start", process=shell("trusting", "exec sleep 600", ready={**ready, "owned": False}))
    assert client.process("wait", name="trusting", within=DEADLINE)["state"] == "ready"
    server.shutdown()
    server.server_close()


def test_port_of_a_grandchild_is_owned(client: Client, port: int) -> None:
    """The server may be started by a shell: the whole tree of the process counts as its own."""
    script = f'{sys.executable} -c "{WEB}" {port} & wait'
    client.ask("start", process=shell("api", script, ready={"tcp": f"127.0.0.1:{port}", "within": DEADLINE}))
    assert client.process("wait", name="api", within=DEADLINE)["state"] == "ready"


def test_crash_is_restarted_with_growing_pauses_then_given_up(client: Client) -> None:
    """Each end is followed by a longer pause, the last one by a verdict; the pid is new each time."""
    spec = shell("bad", "echo $$; echo broken; exit 3", backoff={"first": 0.05}, give_up={"times": 3, "within": 30})
    client.ask("start", process=spec)
    with pytest.raises(Refused, match="ended 3 times within 30 s, the last time with exit 3") as caught:
        client.ask("wait", name="bad", within=DEADLINE)
    process = caught.value.answer["process"]
    assert isinstance(process, dict)
    assert (process["state"], process["restarts"]) == ("crashed", 2)
    assert process["exit"] == {"code": 3, "signal": None, "reason": None, "oom": False}
    assert process["last"][-1] == "broken"
    assert len(set(process["last"])) == 4  # three pids and "broken"
    assert said(client, "bad crashed (exit 3), restarting in 0.05 s")
    assert said(client, "bad crashed (exit 3), restarting in 0.1 s")


def test_restart_policies(client: Client) -> None:
    """`never` and a good end of `on-failure` stay stopped; the one that ended well lets others start."""
    client.ask("start", process=shell("once", "exit 0", restart="on-failure"))
    client.ask("start", process=shell("failed", "exit 4", restart="never"))
    client.ask("start", process=shell("next", "exec sleep 600", after=["once"]))
    client.ask("start", process=shell("never", "exec sleep 600", after=["failed"]))
    assert client.process("wait", name="once", until="stopped", within=DEADLINE)["verdict"] is None
    assert client.process("wait", name="failed", until="stopped", within=DEADLINE)["verdict"] == "ended (exit 4)"
    assert client.process("wait", name="next", within=DEADLINE)["state"] == "ready"
    assert status(client, "never")["state"] == "waiting"


def test_killed_from_outside_is_no_want_of_memory(client: Client) -> None:
    """A SIGKILL that the kernel did not count is told as one, not as a want of memory."""
    pid = client.process("start", process=shell("a", "exec sleep 600", restart="never"))["pid"]
    os.kill(int(str(pid)), signal.SIGKILL)
    end = client.process("wait", name="a", until="stopped", within=DEADLINE)["exit"]
    assert end == {"code": None, "signal": "KILL", "reason": "killed", "oom": False}


def test_program_that_cannot_start(client: Client, folder: Path) -> None:
    """A missing program, a missing folder and an open environment file each give a verdict that says so."""
    (folder / "open.json").write_text('{"SECRET": "hunter2"}')
    (folder / "open.json").chmod(0o644)
    cases: dict[str, tuple[Record, str]] = {
        "program": ({"command": ["no-such-program"]}, "is not on the PATH of its environment"),
        "cwd": ({"command": ["true"], "cwd": "/no/such"}, "directory /no/such: No such file"),
        "env": ({"command": ["true"], "env_file": str(folder / "open.json")}, "can be read by others"),
    }
    for name, (fields, sentence) in cases.items():
        process = client.process("start", process={"name": name, **fields})
        assert process["state"] == "crashed"
        assert sentence in str(process["verdict"])
        assert "hunter2" not in str(process)


def test_environment_file_is_complete(client: Client, folder: Path) -> None:
    """A process with an environment file gets that and its additions, found on its own PATH, and nothing of ours."""
    (folder / "env.json").write_text('{"PATH": "/usr/bin:/bin", "SECRET": "hunter2"}')
    (folder / "env.json").chmod(0o600)
    script = 'echo "$SECRET $MORE ${FROM_CALLER-none}"; exec sleep 600'
    client.ask("start", process=shell("a", script, env_file=str(folder / "env.json"), env={"MORE": "x"}))
    client.ask("wait", name="a", within=DEADLINE)
    process = status(client, "a")
    assert process["last"] == ["hunter2 x none"]
    assert "hunter2" not in str([value for key, value in process.items() if key != "last"])


def test_polite_stop_lets_it_finish(client: Client) -> None:
    """SIGTERM reaches the leader, which says its last words and ends by itself."""
    client.ask(
        "start",
        process=shell("a", "trap 'sleep 0.3; echo drained; exit 0' TERM; echo up; while :; do sleep 0.05; done"),
    )
    until(lambda: status(client, "a")["last"] == ["up"], "the trap is set")
    process = client.process("stop", name="a")
    assert (process["state"], process["verdict"], process["last"]) == ("stopped", None, ["up", "drained"])
    assert process["exit"] == {"code": 0, "signal": None, "reason": "stop", "oom": False}


def test_stop_signal_of_its_own(client: Client) -> None:
    """A process may ask for another signal, as a database does that would wait for its clients on SIGTERM."""
    script = "trap 'echo int; exit 0' INT; trap 'echo term; exit 1' TERM; echo up; while :; do sleep 0.05; done"
    client.ask("start", process=shell("db", script, stop={"signal": "INT"}))
    until(lambda: status(client, "db")["last"] == ["up"], "the traps are set")
    assert client.process("stop", name="db")["last"] == ["up", "int"]


def test_stubborn_process_is_killed_after_its_limit(client: Client, folder: Path) -> None:
    """After the limit the whole group is killed, those it started included, and the verdict says so."""
    spec = shell("a", f"sleep 600 & echo $! > {folder}/grandchild; {STUBBORN}", stop={"within": 0.3})
    client.ask("start", process=spec)
    until(lambda: status(client, "a")["last"] == ["up"], "the trap is set")
    [grandchild] = numbers(folder / "grandchild", 1)
    process = client.process("stop", name="a")
    assert process["verdict"] == "SIGTERM was not enough: it was killed"
    assert process["exit"] == {"code": None, "signal": "KILL", "reason": "stop", "oom": False}
    assert not lives(grandchild)


def test_leftovers_of_a_leader_are_ended(client: Client, folder: Path) -> None:
    """When the leader ends and leaves others of its group behind, they are ended before it counts as stopped."""
    client.ask("start", process=shell("a", f"sleep 600 & sleep 600 & jobs -p > {folder}/left; exec sleep 600"))
    left = numbers(folder / "left", 2)
    client.ask("stop", name="a")
    assert not any(lives(pid) for pid in left)


def test_process_that_left_its_group_is_killed_too(client: Client, folder: Path) -> None:
    """A descendant with a session of its own does not outlive the kill of its tree."""
    script = f"setsid sh -c 'echo $$ > {folder}/away; exec sleep 600' & {STUBBORN}"
    client.ask("start", process=shell("a", script, stop={"within": 0.2}))
    [away] = numbers(folder / "away", 1)
    client.ask("stop", name="a")
    until(lambda: not lives(away), "the process in another session is gone")


def test_adopted_orphans_are_reaped(client: Client, daemon: subprocess.Popen[bytes], folder: Path) -> None:
    """A grandchild whose parent ended becomes ours, and leaves no zombie."""
    waits = f"until [ -e {folder}/go ]; do sleep 0.05; done"
    client.ask("start", process=shell("a", f"sh -c '({waits}) & echo $! > {folder}/orphan'; exec sleep 600"))
    [orphan] = numbers(folder / "orphan", 1)
    entry = Path(f"/proc/{orphan}")
    parent = f"PPid:\t{daemon.pid}\n"
    until(lambda: parent in (entry / "status").read_text(), "the orphan is adopted by the supervisor")
    (folder / "go").touch()
    until(lambda: not entry.exists(), "the orphan is reaped")
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    assert children == [str(status(client, "a")["pid"])]


def test_over_its_memory_it_is_restarted(client: Client) -> None:
    """A process over its limit is stopped politely and started again, and the log gives both figures."""
    first = client.process(
        "start", process={"name": "fat", "command": [sys.executable, "-c", GREEDY], "memory": "40MB"}
    )
    until(lambda: status(client, "fat")["restarts"] == 1, "it was restarted")
    process = status(client, "fat")
    assert process["exit"] == {"code": None, "signal": "TERM", "reason": "memory", "oom": False}
    assert process["pid"] != first["pid"]
    with Client(client.path) as other:
        lines = [str(line["text"]) for line in other.tail(["supervisor"], 1000)]
    assert any(line.startswith("fat uses ") and "over its limit of 40 MB" in line for line in lines)


def test_vital_process_ends_everything(client: Client, daemon: subprocess.Popen[bytes], folder: Path) -> None:
    """When a vital process ends by itself, the others are stopped and the supervisor exits with its code."""
    pid = client.process("start", process=shell("other", "exec sleep 600"))["pid"]
    client.ask("start", process=shell("core", "sleep 0.2; exit 7", vital=True))
    assert daemon.wait(DEADLINE) == 7
    assert not lives(int(str(pid)))
    assert "core is vital: stopping everything" in (folder / "logs/supervisor.log").read_text()


def test_nothing_of_ours_leaks_into_a_child(client: Client) -> None:
    """A child has its three standard files only, its input is empty, and it leads its own session."""
    script = "ls -l /proc/self/fd | wc -l; cat | wc -c; ps -o sid= -p $$ | tr -d ' '; exec sleep 600"
    client.ask("start", process=shell("a", script))
    until(lambda: len(status(client, "a")["last"]) == 3, "three lines")  # type: ignore[arg-type]
    process = status(client, "a")
    assert process["last"] == ["5", "0", str(process["pid"])]  # a heading, 0, 1, 2 and the folder that ls reads


def test_killed_supervisor_leaves_nothing(daemon: subprocess.Popen[bytes], client: Client) -> None:
    """When the supervisor itself is killed, the kernel ends its children."""
    pid = client.process("start", process=shell("a", "exec sleep 600"))["pid"]
    daemon.kill()
    daemon.wait(DEADLINE)
    until(lambda: not lives(int(str(pid))), "the child is gone")
