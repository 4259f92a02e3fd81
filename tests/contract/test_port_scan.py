"""The scan of all ports, against real sockets on this machine."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from towline.core.errors import CheckFailed
from towline.ops.port_scan import ALL, Pace, addresses_of, open_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}


@pytest.fixture
def listening(request: pytest.FixtureRequest) -> Iterator[tuple[str, set[int]]]:
    """An address of this machine, and three ports there that accept: any, and the last one that there is if free."""
    address = request.param
    ports = set()
    with contextlib.ExitStack() as closing:
        for wished in (0, 0, 65535):
            one = closing.enter_context(socket.socket(LOOPBACK[address], socket.SOCK_STREAM))
            try:
                one.bind((address, wished))
            except OSError:
                if wished == 0:
                    pytest.skip(f"this machine has no {address}")
                continue
            one.listen()
            ports.add(one.getsockname()[1])
        yield address, ports


@pytest.mark.parametrize("listening", list(LOOPBACK), indirect=True)
def test_every_open_port_is_found(listening: tuple[str, set[int]]) -> None:
    """Among all 65,535, of IPv4 and IPv6; a port that listens is never missed, one that does not is never found."""
    address, ports = listening
    found = open_ports(address, ALL, Pace(rate=200_000))
    assert ports <= set(found)
    for port in set(found) - ports:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=2):
            continue  # somebody else's, really there


@pytest.mark.parametrize("listening", ["127.0.0.1"], indirect=True)
def test_few_files_are_enough(listening: tuple[str, set[int]]) -> None:
    """With 20 attempts at once the same ports are found."""
    address, ports = listening
    wanted = sorted({*ports, *range(1, 200)})
    assert ports <= set(open_ports(address, wanted, Pace(at_once=20)))


SHORT = """
import socket
from towline.ops.port_scan import Pace, open_ports

held = [open("/dev/null") for _ in range(90)]
with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    one.listen()
    port = one.getsockname()[1]
    print(port in open_ports("127.0.0.1", [*range(1, 400), port], Pace(within=0.3)))
"""


@pytest.mark.needs("sh")
def test_what_cannot_be_asked_for_want_of_files_is_asked_again() -> None:
    """Other parts of the program hold more of them than were left to them."""
    words = ["sh", "-c", 'ulimit -n 128; exec "$0" -c "$1"', sys.executable, SHORT]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert (ran.returncode, ran.stdout) == (0, "True\n"), ran.stderr


def test_rate_is_kept() -> None:
    """No more attempts a second than the pace says: 400 at 1,000 a second take at least a third of a second."""
    began = time.monotonic()
    open_ports("127.0.0.1", range(1, 401), Pace(rate=1000))
    assert time.monotonic() - began > 0.33


def test_silence_is_waited_for_no_longer_than_told() -> None:
    """A port that says nothing at all is given up: a listener whose queue is full drops whoever comes."""
    with socket.socket() as full, contextlib.ExitStack() as callers:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(4):
            one = callers.enter_context(socket.socket())
            one.settimeout(0)
            one.connect_ex(("127.0.0.1", port))
        began = time.monotonic()
        open_ports("127.0.0.1", [port], Pace(within=0.5))
        assert time.monotonic() - began < 20


def test_address_that_cannot_be_reached_is_no_closed_one() -> None:
    """Where this machine has no way to an address, nothing is said of its ports."""
    with pytest.raises(CheckFailed, match="cannot be reached from this machine"):
        open_ports("255.255.255.255", [80])


def test_addresses_of_a_host() -> None:
    """IPv4 comes first; a name that nobody knows is an error with a hint."""
    assert addresses_of("127.0.0.1") == ("127.0.0.1",)
    assert addresses_of("::1") == ("::1",)
    with pytest.raises(CheckFailed) as failed:
        addresses_of("no-such-host.invalid")
    assert failed.value.hint == "getent hosts no-such-host.invalid"
