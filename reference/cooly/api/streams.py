"""The two ways to watch: server-sent events for one picture, a WebSocket for all of an account."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from cooly import gallery, live
from cooly.api.access import is_own, of_session, parts_of
from cooly.parts import Parts

if TYPE_CHECKING:
    from cooly.gallery import Shown

router = APIRouter()

END = "end"  # the id of a stream's last event
BEAT = 15.0  # seconds of silence after which a comment is sent, so that no proxy thinks the stream is dead
LOOK = 1.0  # seconds between two looks for pictures that were asked for elsewhere
NOT_LOGGED_IN = 4401
GOING_AWAY = 1001


async def events(parts: Parts, account_id: UUID, generation_id: UUID) -> AsyncIterator[str]:
    """Server-sent events of one picture: `data` is the picture; the last one has the id `end`."""
    yield "retry: 1000\n\n"
    async with aclosing(live.follow(parts, account_id, generation_id)) as changes:  # type: ignore[type-var]
        number = 0
        coming = asyncio.ensure_future(anext(changes))
        stopping = asyncio.ensure_future(parts.stopping.wait())
        try:
            while not stopping.done():
                await asyncio.wait({coming, stopping}, timeout=BEAT, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    yield ": still there\n\n"
                    continue
                shown = coming.result()
                number += 1
                yield f"id: {END if shown.final else number}\ndata: {shown.model_dump_json()}\n\n"
                coming = asyncio.ensure_future(anext(changes))
        except StopAsyncIteration:
            return
        finally:
            for task in (coming, stopping):
                task.cancel()
            await asyncio.wait({coming, stopping})


@router.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    """All pictures of an account while they are made; without a session, or from another page, closed with 4401."""
    parts = parts_of(websocket)
    visitor = await of_session(websocket, parts)
    await websocket.accept()
    if visitor is None or not is_own(websocket.headers.get("origin", ""), websocket.headers, parts):
        await websocket.close(NOT_LOGGED_IN)
        return
    watch = _Watch(parts, visitor.account_id)
    work: list[Coroutine[Any, Any, Any]] = [_until_left(websocket), watch.look(), watch.send(websocket)]
    tasks = [asyncio.create_task(one) for one in (*work, parts.stopping.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*tasks, *watch.tasks):
            task.cancel()
        await asyncio.gather(*tasks, *watch.tasks, return_exceptions=True)
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await websocket.close(GOING_AWAY)


async def _until_left(websocket: WebSocket) -> None:
    """Nothing that a page says is listened to; a page that closes is heard here."""
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.receive_text()


class _Watch:
    """What one WebSocket shows: of each picture the latest, so that a slow reader costs no memory."""

    def __init__(self, parts: Parts, account_id: UUID) -> None:
        self._parts = parts
        self._account_id = account_id
        self._followed: dict[UUID, asyncio.Task[None]] = {}
        self._latest: dict[UUID, Shown] = {}
        self._news = asyncio.Event()

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """One for each picture that is followed."""
        return list(self._followed.values())

    async def look(self) -> None:
        """Follow every picture that is not finished, as soon as there is one."""
        with self._parts.arrivals.listen(self._account_id) as arrived:
            while True:
                arrived.clear()
                for generation_id in await gallery.unfinished(self._parts, self._account_id):
                    if generation_id not in self._followed:
                        self._followed[generation_id] = asyncio.create_task(self._follow(generation_id))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await arrived.wait()

    async def send(self, websocket: WebSocket) -> None:
        """Send whatever is new."""
        await websocket.send_json({"type": "hello"})
        while True:
            await self._news.wait()
            self._news.clear()
            while self._latest:
                shown = self._latest.pop(next(iter(self._latest)))
                await websocket.send_text(f'{{"type":"generation","data":{shown.model_dump_json()}}}')

    async def _follow(self, generation_id: UUID) -> None:
        async for shown in live.follow(self._parts, self._account_id, generation_id):
            self._latest[generation_id] = shown
            self._news.set()
        self._followed.pop(generation_id, None)
