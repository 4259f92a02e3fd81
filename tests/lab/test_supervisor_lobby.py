"""Where connections to a slow process wait, on a real daemon: what waits, what goes through, how it ends."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from tests.real_servers import until

from towline_supervisor.client import Client, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 20.0

ECHO = """
import os, socket, sys, threading
def serve(one):
    with one:
        while data := one.recv(65536):
            one.sendall(data)
            if data == b"die": os._exit(3)
with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=200) as listener:
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
"""Gives back what it gets, to its end; ends itself at a word."""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client of a running daemon."""
    tmp_path.chmod(0o700)
    control = tmp_path / "control"
    argv = [sys.executable, "-m", "towline_supervisor", "serve", "--socket", str(control), "--logs", str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        assert b'"ok": true' in daemon.stdout.readline()
        try:
            with Client(control) as connected:
                yield connected
        finally:
            daemon.terminate()
            daemon.wait(DEADLINE)


@pytest.fixture
def ports() -> tuple[int, int]:
    """Where connections wait, and where the process listens."""
    free = (port for port in range(28000 + os.getpid() % 1500, 30000) if refuses(port))
    return next(free), next(free)


def refuses(port: int) -> bool:
    """True when nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def echo(ports: tuple[int, int], **more: object) -> dict[str, object]:
    """The process behind the lobby."""
    hold, own = (f"127.0.0.1:{port}" for port in ports)
    command = [sys.executable, "-c", ECHO, str(ports[1])]
    return {"name": "echo", "command": command, "hold": hold, "ready": {"tcp": own}, **more}


def started(client: Client, ports: tuple[int, int], **more: object) -> None:
    """The process ready, its connections still waiting."""
    client.ask("start", process=echo(ports, **more))
    client.ask("wait", name="echo", until="ready", within=DEADLINE)


def ended(client: Client) -> bool:
    """Whether the daemon has seen an end of the process."""
    (process,) = cast("list[dict[str, object]]", client.ask("status")["processes"])
    return process["holding"] is True or process["restarts"] == 1


def connected(port: int) -> socket.socket:
    """A connection with a limit."""
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)


def test_connections_wait_until_they_are_let_through(client: Client, ports: tuple[int, int]) -> None:
    """Accepted before the process listens; not led to it when it does, but when somebody says so, and then all."""
    client.ask("start", process=echo(ports, command=["sh", "-c", "sleep 600"]))
    with connected(ports[0]) as early:
        early.sendall(b"before it runs")
        assert refuses(ports[1])
    client.ask("replace", process=echo(ports), within=0)
    waiting = [connected(ports[0]) for _ in range(40)]
    for one in waiting:
        one.sendall(b"early")
    assert client.process("wait", name="echo", until="ready", within=DEADLINE)["holding"] is True
    waiting[0].settimeout(0.2)
    with pytest.raises(TimeoutError):
        waiting[0].recv(10)
    assert client.process("open", name="echo")["holding"] is False
    for one in (*waiting, connected(ports[0])):
        with one:
            one.settimeout(DEADLINE)
            one.sendall(b"x")
            one.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda one=one: one.recv(100), b"")) in (b"earlyx", b"x")  # type: ignore[misc]


def test_much_goes_through_whole_in_both_directions(client: Client, ports: tuple[int, int]) -> None:
    """Thirty megabytes out and back, the reader slower than the writer; the end of each direction by itself."""
    started(client, ports)
    client.ask("open", name="echo")
    sent, got = os.urandom(30_000_000), hashlib.sha256()
    with connected(ports[0]) as one:

        def write() -> None:
            one.sendall(sent)
            one.shutdown(socket.SHUT_WR)

        writer = threading.Thread(target=write)
        writer.start()
        while data := one.recv(4096):
            got.update(data)
        writer.join()
    assert got.digest() == hashlib.sha256(sent).digest()


def test_whoever_comes_after_a_crash_waits_for_the_next_start(client: Client, ports: tuple[int, int]) -> None:
    """The open connection ends with the process; a new one is accepted at once and answered by the next process.

    Who comes in the very moment of the crash is still led to the process that dies: so its end is waited for.
    """
    started(client, ports, backoff={"first": 0.5})
    client.ask("open", name="echo")
    with connected(ports[0]) as one:
        one.sendall(b"die")
        assert b"".join(iter(lambda: one.recv(100), b"")) in (b"die", b"")
    until(lambda: ended(client), "the end is seen")
    with connected(ports[0]) as later:
        later.sendall(b"again")
        assert later.recv(100) == b"again"
    assert client.process("wait", name="echo", until="ready", within=DEADLINE)["restarts"] == 1


def test_the_end_of_the_process_is_the_end_of_its_address(client: Client, ports: tuple[int, int]) -> None:
    """Those who wait are told so by the end of their connection; nobody listens any more."""
    started(client, ports)
    with connected(ports[0]) as one:
        client.ask("stop", name="echo")
        assert one.recv(1) == b""
    assert refuses(ports[0])


def test_many_come_and_go_and_nothing_is_left(client: Client, ports: tuple[int, int]) -> None:
    """Connections that are dropped, before and after they are let through, leave no open file behind."""
    started(client, ports)
    pid = client.ask("ping")["pid"]
    before = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    for _ in range(50):
        connected(ports[0]).close()
    client.ask("open", name="echo")
    for _ in range(50):
        with connected(ports[0]) as one:
            one.sendall(b"x")
    until = time.monotonic() + DEADLINE
    while len(list(Path(f"/proc/{pid}/fd").iterdir())) > before:
        assert time.monotonic() < until, "files stay open"
        time.sleep(0.05)


def test_a_taken_address_is_named(client: Client, ports: tuple[int, int]) -> None:
    """The process is not started; there is nothing to open where there is no process."""
    with socket.create_server(("127.0.0.1", ports[0])):
        client.ask("start", process=echo(ports))
        with pytest.raises(Refused, match=f"cannot listen on 127.0.0.1:{ports[0]}: address already in use"):
            client.ask("wait", name="echo", until="ready", within=DEADLINE)
    with pytest.raises(Refused, match="there is no process nobody"):
        client.ask("open", name="nobody")
