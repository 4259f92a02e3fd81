"""An open-loop HTTP load: requests leave when they are due, not after the last answer; every failure counts."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT = 10.0

Ask = tuple[bytes, int]
"""A request as it is sent, and the status that is the right answer."""


@dataclass
class Tally:
    """What became of the requests; latencies in seconds, from when a request was due until its answer was whole."""

    sent: int = 0
    good: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    in_time: int = 0

    @property
    def failed(self) -> int:
        """Everything that was not answered rightly."""
        return sum(self.failures.values())

    @property
    def rate(self) -> float:
        """Answers a second while the load lasted; what was answered after it does not count."""
        return self.in_time / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """The latency that this share of the answers did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

    def fail(self, why: str) -> None:
        """Count one failure."""
        self.failures[why] = self.failures.get(why, 0) + 1


class _Connection(asyncio.Protocol):
    """One keep-alive connection: a request at a time, its answer read by Content-Length."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[int] | None = None
        self.closed = False
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self.answered is not None and not self.answered.done():
            self.answered.set_exception(error or ConnectionResetError("closed"))

    def send(self, request: bytes) -> asyncio.Future[int]:
        self.answered = asyncio.get_running_loop().create_future()
        assert self._transport is not None
        self._transport.write(request)
        return self.answered

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or self.answered is None or self.answered.done():
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(body) >= length:
            self._buffer = body[length:]
            self.answered.set_result(int(head[9:12]))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


@dataclass(frozen=True)
class To:
    """Where the requests go: a port of an address, asked for by the name `host`."""

    host: str
    port: int
    address: str = "127.0.0.1"


async def open_loop(port: int, host: str, *, rate: float, stop: asyncio.Event, connections: int = 64) -> Tally:
    """Send GETs and POSTs in turn at `rate` a second over keep-alive connections until `stop`."""
    return await open_loop_to(To(host, port), rate=rate, stop=stop, connections=connections)


def echoes(host: str) -> Callable[[int], Ask]:
    """GETs and POSTs of 200 bytes in turn."""
    body = b"x" * 200
    requests = (
        f"GET /?n=1 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(),
        f"POST /echo HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body,
    )
    return lambda count: (requests[count % 2], 200)


async def open_loop_to(
    to: To,
    *,
    rate: float,
    stop: asyncio.Event,
    connections: int = 64,
    tally: Tally | None = None,
    ask: Callable[[int], Ask] | None = None,
) -> Tally:
    """The same to any address; `tally` is counted on while it lasts. `ask` makes other requests, by their number."""
    tally, ask = tally or Tally(), ask or echoes(to.host)
    due: asyncio.Queue[tuple[float, Ask] | None] = asyncio.Queue()
    workers = [asyncio.create_task(_worker(to, due, tally)) for _ in range(connections)]
    began = time.monotonic()
    count = 0
    while not stop.is_set():
        now = time.monotonic() - began
        while count < now * rate:
            due.put_nowait((began + count / rate, ask(count)))
            count += 1
        tally.sent = count
        await asyncio.sleep(0.002)
    tally.sent, tally.seconds, tally.in_time = count, time.monotonic() - began, tally.good
    for _ in workers:
        due.put_nowait(None)
    await asyncio.gather(*workers)
    return tally


async def _worker(to: To, due: asyncio.Queue[tuple[float, Ask] | None], tally: Tally) -> None:
    connection: _Connection | None = None
    while (work := await due.get()) is not None:
        at, (request, right) = work
        try:
            if connection is None or connection.closed:
                _, connection = await asyncio.get_running_loop().create_connection(_Connection, to.address, to.port)
            status = await asyncio.wait_for(connection.send(request), TIMEOUT)
        except TimeoutError:
            tally.fail("timeout")
            _drop(connection)
            connection = None
        except OSError as error:
            tally.fail(type(error).__name__)
            _drop(connection)
            connection = None
        else:
            if status == right:
                tally.good += 1
                tally.latencies.append(time.monotonic() - at)
            else:
                tally.fail(f"status {status}")
    _drop(connection)


def _drop(connection: _Connection | None) -> None:
    if connection is not None:
        connection.close()
