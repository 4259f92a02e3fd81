"""The one connection to a host, over a real sshd: what goes through, what breaks it, and that nothing of it is left."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.contract.loopback_sshd import LoopbackSshd
from tests.real_servers import free_port, until

from towline.core.errors import SiteUnreachable, StepFailed
from towline.core.events import Noted
from towline.drivers.host.address import Address
from towline.drivers.host.shell import MOST
from towline.drivers.host.ssh import Connection
from towline.lab.faults import SlowLink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.core.events import Event

pytestmark = pytest.mark.needs("sshd", "ssh", "pgrep", "setsid")

ROOT = os.getuid() == 0
QUICK = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1", "-o", "ConnectTimeout=2")
"""Options that notice a frozen link in about 2 s, where ours need 20."""


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackSshd]:
    """An sshd that nobody stops."""
    with LoopbackSshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def connection(sshd: LoopbackSshd) -> Iterator[Connection]:
    """A connection that nobody breaks."""
    with sshd.connection() as made:
        yield made


def ssh_processes(word: str) -> list[str]:
    """The processes on this machine whose command line holds a word, but for this one."""
    found = subprocess.run(["pgrep", "-af", "--", word], capture_output=True, text=True, check=False)
    return [line for line in found.stdout.splitlines() if "pgrep" not in line]


# What goes through


def test_status_and_both_streams_are_exact(connection: Connection) -> None:
    """Any status, any bytes, each stream by itself; no line is made or lost at the end."""
    answer = connection.run("printf 'a\\n\\n\\000\\377'; printf 'e\\n=1 0 0 0' >&2; exit 124", within=20)
    assert (answer.status, answer.out, answer.err) == (124, b"a\n\n\x00\xff", b"e\n=1 0 0 0")
    assert not answer.timed_out
    assert connection.run("kill -9 $$", within=20).status == 137
    assert connection.run("if then", within=20).status == 2
    assert connection.run("", within=20).status == 0


def test_input_of_any_kind_arrives_or_is_left(connection: Connection) -> None:
    """Two megabytes come back as they were; a program that reads none of it does not disturb the next one."""
    data = random.Random(1).randbytes(2_000_000)
    assert connection.run("cat", within=60, data=data).out == data
    assert connection.run("head -c 3", within=60, data=data).out == data[:3]
    assert connection.run("echo next", within=20).text == "next\n"


def test_ten_megabytes_come_whole_and_more_is_cut(connection: Connection) -> None:
    """Output up to the limit is exact; what is beyond does not fill the memory of anybody, and is said to miss."""
    answer = connection.run("head -c 10000000 /dev/zero; head -c 10000000 /dev/zero >&2", within=60)
    assert (len(answer.out), len(answer.err), answer.cut, answer.status) == (10_000_000, 10_000_000, False, 0)
    more = connection.run(f"head -c {MOST + 5_000_000} /dev/zero; exit 3", within=60)
    assert (len(more.out), more.cut, more.status) == (MOST, True, 3)


def test_time_limit_ends_the_whole_group(connection: Connection, tmp_path: Path) -> None:
    """Neither what a program has started nor one that will not hear outlives its limit."""
    note = tmp_path / "pids"
    answer = connection.run(f"trap '' TERM; sleep 600 & echo $! $$ >{note}; wait; wait; sleep 600", within=0.5)
    assert (answer.timed_out, answer.status) == (True, -1)
    pids = note.read_text().split()
    until(lambda: not [pid for pid in pids if Path("/proc", pid).exists()], "the end of both")
    assert connection.run("echo next", within=20).text == "next\n"


def test_lines_come_as_they_are_printed(connection: Connection, tmp_path: Path) -> None:
    """A line is here before the program goes on; empty ones and a last one without an end are lines too."""
    go = tmp_path / "go"
    lines = connection.lines(f"echo first; until [ -e {go} ]; do sleep 0.02; done; echo; printf last", within=60)
    assert next(lines) == "first"
    go.touch()
    assert list(lines) == ["", "last"]


def test_lines_of_a_program_that_fails(connection: Connection) -> None:
    """What it printed is there, then the error with its last words."""
    lines = connection.lines("echo one; echo the reason >&2; exit 7", within=20)
    assert next(lines) == "one"
    with pytest.raises(StepFailed, match="the reason") as failed:
        next(lines)
    assert failed.value.evidence == ("the reason",)


def test_lines_that_nobody_wants_any_more(connection: Connection) -> None:
    """Whoever stops reading does not hinder the next one."""
    for _ in range(3):
        lines = connection.lines("echo one; sleep 5; echo two", within=3)
        assert next(lines) == "one"
        lines.close()  # type: ignore[attr-defined]  # a generator
    assert list(connection.lines("echo next", within=20)) == ["next"]


def test_many_threads_share_it(connection: Connection) -> None:
    """Each gets the answer to its own question, also while lines are read."""
    lines = connection.lines("while echo tick; do sleep 0.01; done", within=30)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: connection.run(f"echo {number}", within=60).text, range(24)))
    assert next(lines) == "tick"
    assert answers == [f"{number}\n" for number in range(24)]


def test_files_are_put_whole_and_private(connection: Connection, tmp_path: Path) -> None:
    """Each has its bytes and belongs to nobody else; a folder that is not there is an error, and nothing is half."""
    contents = {str(tmp_path / name): data for name, data in (("a b", b"\x00\n'"), ("c", b""), ("d", b"x" * 300_000))}
    connection.put(contents)
    for path, data in contents.items():
        assert Path(path).read_bytes() == data
        assert Path(path).stat().st_mode & 0o777 == 0o600
    with pytest.raises(StepFailed, match=r"nonexistent|No such file"):
        connection.put({str(tmp_path / "missing/x"): b"1"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a b", "c", "d"]


def test_socket_is_forwarded(connection: Connection, tmp_path: Path) -> None:
    """What listens on a socket there answers on a socket here."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "there"))
        server.listen()
        here = connection.forward(str(tmp_path / "there"))
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(here))
            client.sendall(b"ping")
            served, _ = server.accept()
            with served:
                assert served.recv(4) == b"ping"
                served.sendall(b"pong")
            assert client.recv(4) == b"pong"
    assert here.parent.stat().st_mode & 0o777 == 0o700


def test_login_that_talks_is_not_listened_to(tmp_path: Path) -> None:
    """A greeting of the user's own shell is no answer."""
    with LoopbackSshd(tmp_path / "sshd") as server:
        allowed = server.folder / "authorized"
        allowed.write_text(
            f'command="echo =1 0 0 0; echo Welcome; eval \\"$SSH_ORIGINAL_COMMAND\\"" {allowed.read_text()}'
        )
        with server.connection() as greeted:
            assert greeted.run("echo hello", within=20).out == b"hello\n"


# What does not get there


def refused(connection: Connection) -> SiteUnreachable:
    with connection, pytest.raises(SiteUnreachable) as error:
        connection.run("echo never", within=5)
    return error.value


def test_each_way_not_to_get_there_has_its_sentence(sshd: LoopbackSshd) -> None:
    """The real words of ssh, as an error with a next step that fits."""
    nobody = free_port()
    assert "nothing listens for ssh" in refused(sshd.connection(nobody)).sentence
    assert "lets none of the keys in" in refused(sshd.connection(key="other")).sentence
    unknown = Connection(Address("nowhere.invalid"), options=sshd.options())
    assert "the name nowhere.invalid is unknown" in refused(unknown).sentence


def test_host_key_is_checked(sshd: LoopbackSshd) -> None:
    """A key that is not known, and one that has changed, end the connection before anything is said."""
    with SlowLink(("127.0.0.1", sshd.port), 0.0) as link:
        error = refused(sshd.connection(link.port))
        assert "is not known here" in error.sentence
        sshd.know(sshd.folder / "other.pub", link.port)
        error = refused(sshd.connection(link.port))
    assert "another host key than before" in error.sentence
    assert f"ssh-keygen -R '[127.0.0.1]:{link.port}'" in (error.hint or "")


def test_host_that_says_nothing_is_given_up(sshd: LoopbackSshd) -> None:
    """A port that accepts and never answers costs the limit and no more."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begun = time.monotonic()
        quiet = Connection(Address("127.0.0.1", "root", silent.getsockname()[1]), options=(*QUICK, *sshd.options()))
        assert refused(quiet).retryable
    assert time.monotonic() - begun < 30


def test_frozen_host_is_noticed_in_a_call_and_in_a_stream(tmp_path: Path) -> None:
    """Where everything hangs, ssh's own questions find out: nobody waits for the limit of the program."""
    with LoopbackSshd(tmp_path / "sshd") as server:
        frozen: list[int] = []
        slow = Connection(server.address(), options=(*QUICK, *server.options()), root=ROOT)
        try:
            with slow:
                lines = slow.lines("echo here; sleep 500", within=600)
                assert next(lines) == "here"
                frozen = server.freeze()
                begun = time.monotonic()
                with pytest.raises(SiteUnreachable):
                    slow.run("echo never", within=600)
                with pytest.raises(SiteUnreachable):
                    next(lines)
                assert time.monotonic() - begun < 60
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGKILL)


def test_connection_that_was_cut_is_made_again(sshd: LoopbackSshd) -> None:
    """The call in which it broke says so, at once; the next one goes through, and says that it had to connect again."""
    heard: list[Event] = []
    with SlowLink(("127.0.0.1", sshd.port), 0.0) as link:
        sshd.know(sshd.folder / "host.pub", link.port)
        with sshd.connection(link.port, listener=heard.append) as made:
            assert made.run("echo 1", within=20).text == "1\n"
            threading.Timer(0.3, link.cut).start()
            with pytest.raises(SiteUnreachable):
                made.run("sleep 300", within=300)
            assert heard == []
            assert made.run("echo 2", within=20).text == "2\n"
            assert list(made.lines("echo 3", within=20)) == ["3"]
    assert [type(event) for event in heard] == [Noted]


# What is left


def test_closing_leaves_nothing(sshd: LoopbackSshd) -> None:
    """No process and no socket here, and no folder there, also with a stream in the middle."""
    made = sshd.connection()
    here = made.forward("/nowhere").parent
    there = made.run('echo "$d"; dirname "$0"', within=20).text.split()[-1]
    lines = made.lines("while echo tick; do sleep 0.05; done", within=30)
    next(lines)
    assert ssh_processes(str(here))
    made.close()
    assert not here.exists()
    until(lambda: not ssh_processes(str(here)), "the end of every ssh")
    until(lambda: not Path(there).exists(), "the end of the shell there")


def test_killed_operator_leaves_nothing(sshd: LoopbackSshd, tmp_path: Path) -> None:
    """SIGKILL gives nobody a chance to clean up: the connection and its sockets go all the same."""
    program = tmp_path / "an_operator.py"
    program.write_text(
        "import sys\n"
        "from towline.drivers.host.address import Address\n"
        "from towline.drivers.host.ssh import Connection\n"
        "made = Connection(Address.parse(sys.argv[1]), options=sys.argv[3:], root=sys.argv[2] == 'True')\n"
        "lines = made.lines('echo up; sleep 4321', within=4321)\n"
        "print(next(lines), made.forward('/nowhere').parent, flush=True)\n"
        "sys.stdin.read()\n"
    )
    argv = [sys.executable, str(program), str(sshd.address()), str(ROOT), *sshd.options()]
    operator = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert operator.stdout is not None
    word, folder = operator.stdout.readline().split()
    assert word == "up"
    assert ssh_processes(folder)
    operator.kill()
    operator.communicate()
    until(lambda: not ssh_processes(folder), "the end of every ssh")
    until(lambda: not ssh_processes("sleep 4321"), "the end of the program there")
    until(lambda: not Path(folder).exists(), "the end of the control socket")
