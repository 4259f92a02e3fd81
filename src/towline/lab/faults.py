"""Faults made at will: a link that is slow, or that is cut."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

CHUNK = 65536

SETTLED = 5
"""Turns of the loop from a connection that waits at the port to a link: asyncio needs three."""


class SlowLink:
    """A TCP port on loopback that leads to another one, each byte `delay` seconds later, until it is `cut`.

    Runs in a thread of its own while the block runs; `port` is where to connect, any free one when none is wished.
    A round trip costs twice the delay.
    """

    def __init__(self, to: tuple[str, int], delay: float, port: int = 0) -> None:
        self.port = port
        self._to, self._delay = to, delay
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._transports: set[asyncio.WriteTransport] = set()
        self._links: set[asyncio.Task[None]] = set()
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> SlowLink:
        self._thread.start()
        self._up.wait(timeout=10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        if self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=10)

    def cut(self) -> None:
        """Break every connection at once, as a cut cable does; new ones are taken again."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(timeout=10)

    async def _cut(self) -> None:
        """Abort what stands, once all that has been connected to so far is known here."""
        for _ in range(SETTLED):
            await asyncio.sleep(0)
        for transport in self._transports:
            transport.abort()
        self._transports.clear()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._loop.close()

    async def _listen(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._stop.wait()
        await self._cut()
        server.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Know a connection from its first moment on: no cut, and no end of the block, may overlook it."""
        self._transports.add(writer.transport)
        link = asyncio.ensure_future(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._to)
        except OSError:
            writer.transport.abort()  # nobody listens there: whoever called hears it, as without the link
            self._transports.discard(writer.transport)
            return
        self._transports.add(far_writer.transport)
        try:
            await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))
        except asyncio.CancelledError:
            return  # the block has ended: nobody waits for this link any more
        finally:
            for one in (writer, far_writer):
                one.transport.abort()
                self._transports.discard(one.transport)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=256)
        reading = asyncio.ensure_future(self._read(reader, waiting))
        try:
            with contextlib.suppress(ConnectionError, OSError):
                await self._pass_on(waiting, writer)
        finally:
            reading.cancel()

    async def _pass_on(self, waiting: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due, chunk = await waiting.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not chunk:
                break
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def _read(self, reader: asyncio.StreamReader, waiting: asyncio.Queue[tuple[float, bytes]]) -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = await reader.read(CHUNK)
            except (ConnectionError, OSError):
                chunk = b""
            await waiting.put((time.monotonic() + self._delay, chunk))
