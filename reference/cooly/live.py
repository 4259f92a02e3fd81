"""Pictures while they are made: each change once, from any process, until picture and credits are settled."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from typing import TYPE_CHECKING

from cooly import gallery
from cooly.gallery import Shown, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from uuid import UUID

    from cooly.parts import Parts
    from towline_runtime.progress import JobView

LOOK = 0.1  # seconds between two looks at a picture whose job has ended and whose credits have not
SETTLED_WITHIN = 10.0  # seconds after which a stream ends all the same: the capture worker may be away


async def follow(parts: Parts, account_id: UUID, generation_id: UUID) -> AsyncIterator[Shown]:
    """A picture now and after each change; ends once nothing will change, or when it is none of this account."""
    shown = await gallery.one(parts, account_id, generation_id)
    if shown is None or shown.job_id is None:
        return
    if shown.state in {"queued", "working"}:
        async for job in parts.progress.follow(shown.job_id):
            if job.final:
                break
            yield _underway(shown, job)
    async for ended in _ending(parts, account_id, generation_id):
        yield ended


async def _ending(parts: Parts, account_id: UUID, generation_id: UUID) -> AsyncIterator[Shown]:
    clock = asyncio.get_running_loop().time
    end, told = clock() + SETTLED_WITHIN, None
    while (shown := await gallery.one(parts, account_id, generation_id)) is not None:
        if shown.state in {"done", "failed"} and told != (shown.state, shown.credits):
            told = (shown.state, shown.credits)
            yield shown
        if shown.final or clock() > end:
            return
        await asyncio.sleep(LOOK)


def _underway(shown: Shown, job: JobView) -> Shown:
    progress = job.progress or {}
    step = Step(done=progress.get("done", 0), note=str(progress.get("note", "")), preview=progress.get("preview"))
    waits_again = job.state == "ready" and job.attempt > 0
    if waits_again:
        step = step.model_copy(update={"note": "Trying again"})
    return shown.model_copy(update={"state": "working" if job.state == "running" else "queued", "progress": step})


class Arrivals:
    """Tells the streams of this process at once that an account has asked for a picture; others see it by looking."""

    def __init__(self) -> None:
        self._waiting: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)

    def tell(self, account_id: UUID) -> None:
        """Wake the account's streams."""
        for event in self._waiting.get(account_id, ()):
            event.set()

    @contextlib.contextmanager
    def listen(self, account_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever there is something new."""
        event = asyncio.Event()
        self._waiting[account_id].add(event)
        try:
            yield event
        finally:
            self._waiting[account_id].discard(event)
            if not self._waiting[account_id]:
                del self._waiting[account_id]
