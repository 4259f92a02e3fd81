"""What the local site finds on this machine: ports, listeners, programs, the caller's environment."""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import TYPE_CHECKING

import pytest

from towline.core.errors import SiteUnreachable
from towline.drivers import registry
from towline.drivers.local import sockets
from towline.drivers.local.binaries import CADDY, POSTGRES_BIN, VALKEY, WEED, Programs
from towline.drivers.local.home import home_of
from towline.drivers.local.supervisor import Supervisor, kept_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_free_ports_are_free_and_differ_between_projects() -> None:
    """Two projects begin at different places; what is taken by name or by a listener is left out."""
    first, second = sockets.free_ports(5, "/a", ()), sockets.free_ports(5, "/b", ())
    assert not {*first} & {*second}
    assert first == sockets.free_ports(5, "/a", ())
    assert sockets.free_ports(0, "/a", ()) == ()
    assert first[0] not in sockets.free_ports(5, "/a", {first[0]})


def test_a_listener_is_found_with_its_program() -> None:
    """By port, by process, and as a connection seen from the server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not sockets.is_free(port)
        holder = sockets.holder_of(port)
        assert holder is not None
        assert holder.pid == os.getpid()
        assert ("127.0.0.1", port) in sockets.listeners(os.getpid())
        assert sockets.open_connections(port, os.getpid()) == 0
        with socket.create_connection(("127.0.0.1", port)):
            assert sockets.open_connections(port, os.getpid()) == 1
    assert sockets.holder_of(port) is None
    assert [sockets.is_loopback(one) for one in ("127.0.0.1", "::1", "0.0.0.0", "::", "10.0.0.1")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_every_program_can_be_named_by_a_variable(tmp_path: Path) -> None:
    """Found without one; another one where it is said; a missing one names the variable to set."""
    here = Programs({})
    assert {here.major("postgres"), here.major("redis"), here.major("bucket")} == {"18", "9", "4"}
    assert here.caddy().is_file()
    mine = tmp_path / "postgres"
    mine.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 16.3 (Debian)'\n")
    mine.chmod(0o755)
    assert Programs({POSTGRES_BIN: str(tmp_path)}).major("postgres") == "16"
    nothing = Programs(dict.fromkeys((POSTGRES_BIN, VALKEY, WEED, CADDY), str(tmp_path / "nothing")))
    asked: dict[str, Callable[[], Path]] = {
        POSTGRES_BIN: partial(nothing.postgres, "initdb"),
        VALKEY: nothing.valkey,
        WEED: nothing.weed,
    }
    for variable, ask in {**asked, CADDY: nothing.caddy}.items():
        with pytest.raises(SiteUnreachable, match="is not here") as caught:
            ask()
        assert variable in str(caught.value.hint)


def test_servers_see_little_of_the_callers_environment() -> None:
    """What is not needed is not passed on."""
    assert kept_environment({"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "HOME": "/root"}) == {
        "PATH": "/bin",
        "HOME": "/root",
    }


def test_only_a_site_that_ran_before_is_woken(tmp_path: Path) -> None:
    """Where nothing ever ran nothing is made; where something did, its supervisor gets up, once however often asked."""
    home = tmp_path / "laptop"
    registry.wake(home, os.environ)
    assert not home.exists()
    supervisor = Supervisor(home_of(home, os.environ), os.environ)
    supervisor.ensure()
    assert supervisor.shutdown()
    registry.wake(home, os.environ)
    woken = supervisor.pid
    try:
        registry.wake(home, os.environ)
        assert supervisor.pid == woken is not None
    finally:
        assert supervisor.shutdown()
