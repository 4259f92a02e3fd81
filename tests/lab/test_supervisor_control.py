"""The control socket of a real daemon: every call, many and bad clients, logs, and recovery after a SIGKILL."""

import contextlib
import json
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import lives
from tests.real_servers import until

from towline_supervisor.client import Client, Refused

DEADLINE = 20.0
SLOW = "trap 'sleep 1; exit 0' TERM; echo up; while :; do sleep 0.05; done"
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.1; done"

Record = dict[str, object]


def command(folder: Path, *more: str) -> list[str]:
    """The command line of a daemon that keeps everything in one folder."""
    files = {"--socket": "control.sock", "--logs": "logs", "--state": "state"}
    places = [word for option, name in files.items() for word in (option, str(folder / name))]
    return [sys.executable, "-m", "towline_supervisor", "serve", *places, *more]


@contextlib.contextmanager
def serving(folder: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon until the end of the block."""
    with subprocess.Popen(command(folder, *more), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        greeting = json.loads(process.stdout.readline())
        assert greeting == {"ok": True, "pid": process.pid}
        try:
            yield process
        finally:
            process.terminate()
            process.wait(DEADLINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A private folder whose path is short enough for a socket."""
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def daemon(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running daemon."""
    with serving(folder) as process:
        yield process


@pytest.fixture
def client(daemon: subprocess.Popen[bytes], folder: Path) -> Iterator[Client]:
    """A client of the daemon."""
    with Client(folder / "control.sock") as connected:
        yield connected


def shell(name: str, script: str, **more: object) -> Record:
    return {"name": name, "command": ["sh", "-c", script], **more}


def sleeper(name: str, **more: object) -> Record:
    return shell(name, "exec sleep 600", **more)


def status(client: Client, name: str) -> Record:
    """The record of one process."""
    processes = client.ask("status")["processes"]
    assert isinstance(processes, list)
    return next(one for one in processes if one["name"] == name)


def refusal(client: Client, do: str, **fields: object) -> str:
    """The code with which a request is refused."""
    with pytest.raises(Refused) as caught:
        client.ask(do, **fields)
    return caught.value.code


def test_ping_and_an_empty_beginning(client: Client, daemon: subprocess.Popen[bytes]) -> None:
    """A new daemon answers with its pid and runs nothing."""
    answer = client.ask("ping")
    assert (answer["pid"], answer["version"]) == (daemon.pid, "0.1.0")
    assert client.ask("status")["processes"] == []


def test_a_process_record_has_every_field(client: Client) -> None:
    """The record that the protocol promises, for a process that is ready."""
    client.ask("start", process=sleeper("a", labels={"service": "api"}, env={"KEY": "value"}))
    record = client.process("wait", name="a", until="ready", within=DEADLINE)
    assert set(record) == {
        *("name", "state", "pid", "started_at", "uptime", "restarts", "memory", "exit", "last", "verdict"),
        *("holding", "labels", "spec_digest", "spec"),
    }
    assert (record["state"], record["exit"], record["verdict"], record["restarts"]) == ("ready", None, None, 0)
    assert record["labels"] == {"service": "api"}
    assert record["spec"] == {**sleeper("a"), "labels": {"service": "api"}, "env": ["KEY"]}
    assert int(str(record["memory"])) > 0
    assert float(str(record["uptime"])) > 0


def test_start_is_repeatable(client: Client) -> None:
    """The same process again is fine and not started twice; another one of that name is refused."""
    first = client.process("start", process=sleeper("a"))
    again = client.ask("start", process=sleeper("a", restart="always"))
    assert again["already"] is True
    assert again["process"]["pid"] == first["pid"]  # type: ignore[index]
    assert refusal(client, "start", process=sleeper("a", env={"A": "1"})) == "name-taken"
    client.ask("stop", name="a")
    assert client.process("start", process=sleeper("a", env={"A": "1"}))["state"] == "starting"


def test_start_order_and_reverse_stop(client: Client, daemon: subprocess.Popen[bytes], folder: Path) -> None:
    """Status lists in start order; shutdown stops strictly in reverse and answers when all have ended."""
    for name in ("db", "api", "web"):
        script = f"trap 'echo {name} >> {folder}/ended; exit 0' TERM; echo up; while :; do sleep 0.05; done"
        client.ask("start", process=shell(name, script))
    until(lambda: all(status(client, name)["last"] for name in ("db", "api", "web")), "the traps are set")
    processes = client.ask("status")["processes"]
    assert isinstance(processes, list)
    assert [one["name"] for one in processes] == ["db", "api", "web"]
    assert client.ask("shutdown") == {"ok": True}
    assert (folder / "ended").read_text().split() == ["web", "api", "db"]
    assert daemon.wait(DEADLINE) == 0
    assert not (folder / "control.sock").exists()


def test_shutdown_within_a_limit_kills(client: Client, daemon: subprocess.Popen[bytes]) -> None:
    """A shutdown with a limit does not wait for a process that has a longer one."""
    client.ask("start", process=shell("a", STUBBORN, stop={"within": 600}))
    until(lambda: status(client, "a")["last"], "the trap is set")
    assert client.ask("shutdown", within=0.2) == {"ok": True}
    assert daemon.wait(DEADLINE) == 0


def test_sigterm_is_an_orderly_shutdown_and_others_are_ignored(daemon: subprocess.Popen[bytes], client: Client) -> None:
    """SIGINT and SIGHUP of a terminal change nothing for us or the children; SIGTERM drains and exits 0."""
    client.ask("start", process=shell("a", SLOW))
    until(lambda: status(client, "a")["last"], "the trap is set")
    daemon.send_signal(signal.SIGINT)
    daemon.send_signal(signal.SIGHUP)
    assert status(client, "a")["state"] in {"starting", "ready"}
    daemon.terminate()
    assert daemon.wait(DEADLINE) == 0


def test_a_slow_stop_does_not_hold_up_others(client: Client, folder: Path) -> None:
    """While one client waits for a stop, another one is answered at once."""
    client.ask("start", process=shell("a", SLOW))
    until(lambda: status(client, "a")["last"], "the trap is set")
    client.send({"do": "stop", "name": "a"})
    with Client(folder / "control.sock") as other:
        until(lambda: status(other, "a")["state"] == "stopping", "it is being stopped")
        assert refusal(other, "start", process=sleeper("a")) == "stopping"
    answer = client.receive()
    assert answer["process"]["state"] == "stopped"  # type: ignore[index]


def test_stop_limit_of_the_request(client: Client) -> None:
    """A stop may bring a shorter limit than the process has."""
    client.ask("start", process=shell("a", STUBBORN, stop={"within": 600}))
    until(lambda: status(client, "a")["last"], "the trap is set")
    assert client.process("stop", name="a", within=0.1)["verdict"] == "SIGTERM was not enough: it was killed"


def test_stop_and_remove_are_repeatable(client: Client) -> None:
    """Stopping or removing what is not there is fine; a running process is not removed."""
    assert client.ask("stop", name="ghost") == {"ok": True, "already": True, "process": None}
    assert client.ask("remove", name="ghost") == {"ok": True, "already": True}
    client.ask("start", process=sleeper("a"))
    assert refusal(client, "remove", name="a") == "running"
    client.ask("stop", name="a")
    assert client.ask("stop", name="a")["already"] is True
    assert client.ask("remove", name="a") == {"ok": True}
    assert client.ask("status")["processes"] == []


def test_replace_is_one_call(client: Client) -> None:
    """The old one has ended before the new one begins, and the answer is about the new one."""
    old = client.process("start", process=shell("a", SLOW))
    until(lambda: status(client, "a")["last"], "the trap is set")
    new = client.process("replace", process=sleeper("a"))
    assert new["pid"] not in {None, old["pid"]}
    assert not lives(int(str(old["pid"])))
    assert client.process("replace", process=sleeper("fresh"))["state"] == "starting"


def test_wait_answers_when_it_is_so(client: Client) -> None:
    """A wait ends at its limit with what is known, for an unknown name at once."""
    client.ask("start", process=sleeper("a"))
    with pytest.raises(Refused) as caught:
        client.ask("wait", name="a", until="stopped", within=0.1)
    assert caught.value.code == "not-stopped"
    assert caught.value.answer["process"]["state"] in {"starting", "ready"}  # type: ignore[index]
    assert refusal(client, "wait", name="ghost") == "unknown-name"
    assert refusal(client, "wait", name="a", until="bored") == "bad-request"


@pytest.mark.parametrize(
    ("request_line", "code"),
    [
        (b"not json", "malformed"),
        (b"[1]", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'{"do": "dance"}', "unknown-request"),
        (b'{"do": ["ping"]}', "unknown-request"),
        (b'{"do": "start"}', "bad-request"),
        (b'{"do": "start", "process": {"name": "a"}}', "bad-spec"),
        (b'{"do": "stop"}', "bad-request"),
        (b'{"do": "stop", "name": "a", "within": -1}', "bad-request"),
        (b'{"do": "stop", "name": "a", "within": Infinity}', "bad-request"),
        (b'{"do": "logs", "names": "a"}', "bad-request"),
        (b'{"do": "logs", "lines": 1000000}', "bad-request"),
        (b"x" * 1_000_001, "too-long"),
    ],
)
def test_a_bad_request_gets_an_error(
    daemon: subprocess.Popen[bytes], folder: Path, request_line: bytes, code: str
) -> None:
    """Whatever a client sends is answered with a code, and the daemon serves on."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(DEADLINE)
        raw.connect(str(folder / "control.sock"))
        raw.sendall(request_line + b"\n")
        answer = json.loads(raw.makefile("rb").readline())
    assert (answer["ok"], answer["error"]["code"]) == (False, code)
    with Client(folder / "control.sock") as other:
        assert other.ask("ping")["ok"] is True


def test_half_closed_client_is_answered(daemon: subprocess.Popen[bytes], folder: Path) -> None:
    """A client that writes, closes its side and reads (as `nc -U` does) gets all answers in order."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(DEADLINE)
        raw.connect(str(folder / "control.sock"))
        raw.sendall(b'{"do": "ping"}\n{"do": "status"}\n{"do": "ping"}')
        raw.shutdown(socket.SHUT_WR)
        answers = [json.loads(line) for line in raw.makefile("rb")]
    assert [sorted(answer) for answer in answers] == [
        ["ok", "pid", "uptime", "version"],
        ["ok", "processes"],
        ["ok", "pid", "uptime", "version"],
    ]


def test_fifty_clients(daemon: subprocess.Popen[bytes], folder: Path) -> None:
    """Fifty clients at once each get their own answers."""
    failures: list[BaseException] = []

    def talk(number: int) -> None:
        try:
            with Client(folder / "control.sock") as mine:
                mine.ask("start", process=sleeper(f"p{number}"))
                assert mine.process("wait", name=f"p{number}", within=DEADLINE)["name"] == f"p{number}"
                assert mine.process("stop", name=f"p{number}")["state"] == "stopped"
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * DEADLINE)
    assert failures == []


def test_a_client_that_does_not_read_holds_up_nobody(client: Client, folder: Path) -> None:
    """A follower that never reads is hung up on when it is megabytes behind; others are served all the time."""
    with Client(folder / "control.sock") as lazy:
        lazy.send({"do": "logs", "follow": True, "lines": 0})
        spec = shell("loud", "yes 0123456789012345678901234567890123456789 | head -n 120000; echo done; exec sleep 600")
        client.ask("start", process=spec)
        until(lambda: status(client, "loud")["last"][-1:] == ["done"], "all was read")  # type: ignore[index]
        with pytest.raises((ConnectionError, OSError)):  # noqa: PT012 - the end of the stream is what is waited for
            while True:
                lazy.receive()


def test_many_requests_without_reading(client: Client, folder: Path) -> None:
    """A client that asks for megabytes of answers without reading gets every one of them once it reads."""
    client.ask("start", process=shell("a", "head -c 50000 /dev/zero | tr '\\0' x; echo; exec sleep 600"))
    until(lambda: status(client, "a")["last"], "the long line")
    with Client(folder / "control.sock") as lazy:
        for _ in range(100):
            lazy.send({"do": "status"})
        assert client.ask("ping")["ok"] is True
        assert [lazy.receive()["ok"] for _ in range(100)] == [True] * 100


def test_logs_are_told_and_followed(client: Client, folder: Path) -> None:
    """The last lines come first, then each new one, of the named processes only, with both streams."""
    script = f"echo one; echo two >&2; until [ -e {folder}/go ]; do sleep 0.05; done; echo three; exec sleep 600"
    client.ask("start", process=shell("a", script))
    client.ask("start", process=shell("b", "echo other; exec sleep 600"))
    until(lambda: len(status(client, "a")["last"]) == 2, "two lines")  # type: ignore[arg-type]
    with Client(folder / "control.sock") as other:
        told = {(line["stream"], line["text"]) for line in other.tail(["a"])}
    assert told == {("stdout", "one"), ("stderr", "two")}
    with Client(folder / "control.sock") as other:
        assert "other" in {line["text"] for line in other.tail()}
    with Client(folder / "control.sock") as follower:
        lines = follower.follow(["a"], lines=1)
        next(lines)
        (folder / "go").touch()
        line = next(lines)
    assert (line["text"], line["name"], line["stream"]) == ("three", "a", "stdout")
    assert line["pid"] == status(client, "a")["pid"]
    assert client.ask("ping")["ok"] is True


def test_socket_and_files_are_private(client: Client, folder: Path) -> None:
    """Socket, state and logs can be opened by their owner only."""
    client.ask("start", process=shell("a", "echo hi; exec sleep 600"))
    until((folder / "logs/a.log").exists, "the log")
    wanted = {"control.sock": 0o600, "state": 0o600, "logs": 0o700, "logs/a.log": 0o600}
    assert {name: stat.S_IMODE((folder / name).stat().st_mode) for name in wanted} == wanted


def test_second_daemon_is_refused(daemon: subprocess.Popen[bytes], folder: Path) -> None:
    """A socket that is served is not taken over: exit 3, and the first one serves on."""
    second = subprocess.run(command(folder), capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert second.returncode == 3
    assert f"a supervisor (PID {daemon.pid}) already serves" in second.stderr
    assert f"hint: kill -TERM {daemon.pid}" in second.stderr
    assert second.stdout == ""
    with Client(folder / "control.sock") as client:
        assert client.ask("ping")["pid"] == daemon.pid


def test_open_folder_is_refused(tmp_path: Path) -> None:
    """A socket in a folder that others may enter is refused with the command that helps."""
    tmp_path.chmod(0o755)
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 1
    assert f"chmod 700 {tmp_path}" in done.stderr
    assert "Traceback" not in done.stderr


def test_dead_socket_is_replaced_and_leftovers_are_ended(folder: Path) -> None:
    """After a SIGKILL the next daemon takes the dead socket and ends what outlived the first one before it says ok."""
    with serving(folder) as first, Client(folder / "control.sock") as client:
        script = f"setsid sh -c 'echo $$ > {folder}/away; exec sleep 600' & {STUBBORN}"
        pid = int(str(client.process("start", process=shell("a", script, stop={"within": 0.3}))["pid"]))
        until(lambda: status(client, "a")["last"], "the trap is set")
        until(lambda: (folder / "away").exists() and (folder / "away").read_text().strip(), "its grandchild")
        first.kill()
        first.wait(DEADLINE)
    away = int((folder / "away").read_text())
    assert lives(pid)
    assert lives(away)
    assert (folder / "control.sock").exists()
    with serving(folder), Client(folder / "control.sock") as client:
        assert not lives(pid)
        assert not lives(away)
        assert client.ask("status")["processes"] == []


def test_a_daemon_that_was_started_for_nothing_ends_by_itself(folder: Path) -> None:
    """With `--idle` it ends when nobody has started anything; without a process but with none asked for it stays."""
    with serving(folder, "--idle", "0.2") as idle:
        assert idle.wait(DEADLINE) == 0
    assert not (folder / "control.sock").exists()


def test_a_daemon_that_runs_something_outlives_its_idle_time(folder: Path) -> None:
    """What was started goes on after the time is over."""
    with serving(folder, "--idle", "3") as busy, Client(folder / "control.sock") as client:
        client.process("start", process={"name": "one", "command": ["sh", "-c", SLOW]})
        began = time.monotonic()
        until(lambda: time.monotonic() > began + 3.5, "the idle time is over")
        assert client.ask("ping")["pid"] == busy.pid
