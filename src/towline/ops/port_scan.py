"""Which TCP ports of a machine answer, all 65,535 of them, asked from here."""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections import deque
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

from towline.core.errors import CheckFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ALL: Final = range(1, 65536)

_AT_ONCE: Final = 8000
"""Attempts that are open at the same time at most; fewer where the system gives fewer files."""

_SPARE: Final = 64
"""Files left for whoever else needs some."""

_NO_FILE: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS)

_RATE: Final = 12_000
"""New attempts a second at most: a scan is no flood, and small routers forget connections under one."""

_TURN: Final = 0.02


@dataclass(frozen=True)
class Pace:
    """How long a port has to answer (seconds), how many are asked at once, and how many a second."""

    within: float = 1.3
    """The first packet may be lost: the kernel sends a second one after a second."""

    at_once: int = _AT_ONCE
    rate: int = _RATE


def addresses_of(host: str) -> tuple[str, ...]:
    """Every address of a host, IPv4 first. Raises CheckFailed when it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise CheckFailed(f"{host} has no address: {error.strerror or error}", hint=f"getent hosts {host}") from error
    known = {str(one[4][0]): one[0] for one in found}
    return tuple(sorted(known, key=lambda address: (known[address] != socket.AF_INET, address)))


def open_ports(address: str, ports: Iterable[int] = ALL, pace: Pace | None = None) -> tuple[int, ...]:
    """The ports at which something accepts a connection.

    Every one is asked once, and what could not be asked for want of files again. Raises CheckFailed when this machine
    cannot reach the address at all: silence would be taken for safety.
    """
    scan = _Scan(address, _within_limits(pace or Pace()))
    try:
        return tuple(sorted(scan.run(ports)))
    finally:
        scan.close()


def _within_limits(pace: Pace) -> Pace:
    """As many at once as this process may have files for, after asking for more."""
    try:
        import resource
    except ImportError:  # not on Windows
        return Pace(pace.within, min(pace.at_once, 256), pace.rate)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = pace.at_once + _SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        except (OSError, ValueError):
            pass
    room = pace.at_once if soft == resource.RLIM_INFINITY else max(16, min(pace.at_once, soft - _SPARE))
    return Pace(pace.within, room, pace.rate)


class _Scan:
    """The attempts that are open, and when each of them is over."""

    def __init__(self, address: str, pace: Pace) -> None:
        self._address, self._pace = address, pace
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._selector = selectors.DefaultSelector()
        self._open: dict[socket.socket, int] = {}
        self._over: deque[tuple[float, socket.socket]] = deque()
        self._found: list[int] = []

    def run(self, ports: Iterable[int]) -> list[int]:
        """Ask all of them, at the pace."""
        left: Iterator[int] = iter(ports)
        began, sent, more = time.monotonic(), 0, True
        while more or self._open:
            now = time.monotonic()
            budget = min(self._pace.at_once - len(self._open), int((now - began) * self._pace.rate) + 1 - sent)
            for _ in range(max(0, budget)):
                port = next(left, None)
                if port is None:
                    more = False
                    break
                if not self._ask(port, now):
                    left = chain((port,), left)
                    break
                sent += 1
            self._hear()
            self._give_up(time.monotonic())
        return self._found

    def close(self) -> None:
        """Let go of all that is open."""
        for one in list(self._open):
            self._end(one)
        self._selector.close()

    def _ask(self, port: int, now: float) -> bool:
        """Begin an attempt; False where there is no file left for it now."""
        try:
            one = socket.socket(self._family, socket.SOCK_STREAM)
        except OSError as error:
            if error.errno not in _NO_FILE or not self._open:
                raise CheckFailed(f"no connection can be made from here: {error.strerror}", hint="ulimit -n") from error
            return False
        one.settimeout(0)
        code = one.connect_ex((self._address, port))
        if code in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            self._open[one] = port
            self._selector.register(one, selectors.EVENT_WRITE)
            self._over.append((now + self._pace.within, one))
            return True
        one.close()
        if code != errno.ECONNREFUSED:
            raise CheckFailed(
                f"{self._address} cannot be reached from this machine: {errno.errorcode.get(code, code)}",
                hint=f"ping {self._address}",
            )
        return True

    def _hear(self) -> None:
        for key, _ in self._selector.select(_TURN):
            one = key.fileobj
            assert isinstance(one, socket.socket)  # noqa: S101 - nothing else is registered
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                self._found.append(self._open[one])
            self._end(one)

    def _give_up(self, now: float) -> None:
        while self._over and self._over[0][0] <= now:
            _, one = self._over.popleft()
            if one in self._open:
                self._end(one)

    def _end(self, one: socket.socket) -> None:
        del self._open[one]
        self._selector.unregister(one)
        one.close()
