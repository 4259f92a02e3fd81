"""Who listens on a port, who is connected to it, and which ports are free."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from psutil._ntuples import pconn

FIRST_PORT, LAST_PORT = 20000, 29999
"""Below the ephemeral range (32768-60999), in which any outgoing connection may hold a port."""

_ESTABLISHED, _LISTEN = "01", "0A"
_LINUX = sys.platform == "linux"


class Holder(NamedTuple):
    """A process that listens on a port."""

    pid: int
    program: str


def is_free(port: int) -> bool:
    """True when a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections that linger after their server has gone (TIME_WAIT) are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int, key: str, taken: Collection[int]) -> tuple[int, ...]:
    """Free ports, beginning at a place that follows from `key`, so that two projects seldom ask for the same."""
    span = LAST_PORT - FIRST_PORT + 1
    start = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % span
    found: list[int] = []
    for step in range(span):
        if len(found) == count:
            break
        port = FIRST_PORT + (start + step) % span
        if port not in taken and is_free(port):
            found.append(port)
    return tuple(found)


def holder_of(port: int) -> Holder | None:
    """Who listens on this port; None when nobody does, or when only another user's rights could tell."""
    if _LINUX:
        inodes = {row.inode for row in _rows() if row.port == port and row.state == _LISTEN}
        pid = _owner(inodes, psutil.pids()) if inodes else None
    else:
        pid = next((pid for pid in psutil.pids() if port in _ports_listened(pid)), None)
    return None if pid is None else Holder(pid, _program(pid))


def tree(pid: int) -> tuple[int, ...]:
    """A process and everything below it; empty when it has gone."""
    try:
        process = psutil.Process(pid)
        return (pid, *(child.pid for child in process.children(recursive=True)))
    except psutil.Error:
        return ()


def listeners(pid: int) -> tuple[tuple[str, int], ...]:
    """The addresses and ports that a process and everything below it listen on, in order."""
    found = {
        (connection.laddr.ip, connection.laddr.port)
        for one in tree(pid)
        for connection in _connections(one)
        if connection.status == psutil.CONN_LISTEN
    }
    return tuple(sorted(found, key=lambda pair: (pair[1], pair[0])))


def open_connections(port: int, pid: int) -> int:
    """How many connections to this port are established, seen from the side of the server, process `pid`."""
    if _LINUX:
        return sum(row.port == port and row.state == _ESTABLISHED for row in _rows())
    return sum(
        connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port
        for one in tree(pid)
        for connection in _connections(one)
    )


def is_loopback(address: str) -> bool:
    """True for 127.0.0.0/8 and ::1."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def has_ipv6_loopback() -> bool:
    """True when a server could listen on ::1."""
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class _Row(NamedTuple):
    port: int
    state: str
    inode: str


def _rows() -> Iterable[_Row]:
    """The sockets of /proc/net/tcp and tcp6: local port, state, inode."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            text = table.read_text()
        except OSError:
            continue
        for line in text.splitlines()[1:]:
            fields = line.split()
            yield _Row(int(fields[1].rpartition(":")[2], 16), fields[3], fields[9])


def _owner(inodes: set[str], pids: Iterable[int]) -> int | None:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in pids:
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
            if any(_link(entry.path) in wanted for entry in entries):
                return pid
    return None


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - thousands of them
    except OSError:
        return ""


def _ports_listened(pid: int) -> set[int]:
    return {one.laddr.port for one in _connections(pid) if one.status == psutil.CONN_LISTEN}


def _connections(pid: int) -> list[pconn]:
    try:
        return psutil.Process(pid).net_connections(kind="inet")
    except psutil.Error:
        return []


def _program(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return "unknown"
