"""How far jobs have come, told to any number of followers by one poll and one LISTEN connection a process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from towline_runtime.listener import Listener

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Sequence
    from datetime import datetime
    from typing import Self

    import asyncpg

    from towline_runtime.database import Database

State = Literal["ready", "running", "done", "dead", "cancelled"]

CHANNEL = "towline_progress"
MOST = 2**63 - 1  # the largest number that a job can have
GAP = 0.020  # seconds between two looks: what is heard meanwhile is looked up by one query


@dataclass(frozen=True, slots=True)
class JobView:
    """What anybody may know of a job; `progress` is as the job reported it, `result` what its function returned."""

    id: int
    kind: str
    queue: str
    state: State
    attempt: int
    attempts: int
    progress: dict[str, Any] | None
    result: Any
    error: str | None
    cancel_asked: bool
    correlation_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    run_at: datetime

    @property
    def final(self) -> bool:
        """Nothing more will change, unless somebody replays the job."""
        return self.state in {"done", "dead", "cancelled"}


class Progress:
    """Follows jobs; polling every `poll` seconds is the truth, notifications make it quick.

    Use it as `async with Progress(database) as progress`, or call `close` at the end. One is enough for a process:
    however many follow, there is one query a look, for all jobs that somebody follows, and none when nobody does.
    """

    def __init__(self, database: Database, poll: float = 1.0) -> None:
        self._database = database
        self._poll = poll
        self._followers: defaultdict[int, set[_Follower]] = defaultdict(set)
        self._asked: set[int] = set()
        self._wake = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._listener = Listener(database.direct_url, CHANNEL, self._heard)

    async def view(self, job: int) -> JobView | None:
        """The job as it is now; None when there is no such job."""
        if not 0 < job <= MOST:
            return None
        return _views(await self._database.fetch("view", [job])).get(job)

    async def follow(self, job: int) -> AsyncGenerator[JobView, None]:
        """The job as it is now, and again after each change, until its state is final.

        A follower who is slow gets the latest, not each. Ends without a view when there is no such job. While the
        database is away nothing comes.
        """
        if not 0 < job <= MOST:
            return
        follower = self._enter(job)
        try:
            while (view := await follower.next()) is not None:
                yield view
                if view.final:
                    return
        finally:
            self._leave(job, follower)

    async def close(self) -> None:
        """Stop looking and listening; who still follows gets no more."""
        await self._listener.close()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        for follower in [one for followers in self._followers.values() for one in followers]:
            follower.tell(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    def _enter(self, job: int) -> _Follower:
        follower = _Follower()
        self._followers[job].add(follower)
        self._listener.start()
        if self._watching is None or self._watching.done():
            self._watching = asyncio.get_running_loop().create_task(self._watch())
            self._watching.add_done_callback(self._ended)
        self._ask(job)
        return follower

    def _leave(self, job: int, follower: _Follower) -> None:
        self._followers[job].discard(follower)
        if not self._followers[job]:
            del self._followers[job]

    def _heard(self, payload: str) -> None:
        if payload.isdecimal() and int(payload) in self._followers:
            self._ask(int(payload))

    def _ask(self, job: int) -> None:
        self._asked.add(job)
        self._wake.set()

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        polled = clock()
        while True:
            await self._woken(polled + self._poll - clock())
            wanted, self._asked = self._asked, set()
            if clock() - polled >= self._poll:
                wanted, polled = set(self._followers), clock()
            if wanted:
                await self._tell(wanted)
            await asyncio.sleep(GAP)

    async def _woken(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds) if self._followers else None):
                await self._wake.wait()
        self._wake.clear()

    async def _tell(self, jobs: Collection[int]) -> None:
        # Who comes while the answer is under way is told by the next one: this one may be older than what he knows.
        waiting = [(job, follower) for job in jobs for follower in self._followers.get(job, ())]
        views = _views(await self._database.persist("view", list(jobs)))
        for job, follower in waiting:
            follower.tell(views.get(job))

    def _ended(self, watching: asyncio.Task[None]) -> None:
        failure = None if watching.cancelled() else watching.exception()
        if failure is not None:
            for follower in [one for followers in self._followers.values() for one in followers]:
                follower.fail(failure)


class _Follower:
    """Keeps only the latest view, so that a slow reader costs no memory."""

    def __init__(self) -> None:
        self._latest: JobView | None = None
        self._given: JobView | None = None
        self._failure: BaseException | None = None
        self._told = asyncio.Event()

    def tell(self, view: JobView | None) -> None:
        self._latest = view
        if view is None or view != self._given:
            self._told.set()

    def fail(self, failure: BaseException) -> None:
        self._failure = failure
        self._told.set()

    async def next(self) -> JobView | None:
        await self._told.wait()
        self._told.clear()
        if self._failure is not None:
            raise self._failure
        self._given = self._latest
        return self._given


def _views(rows: Sequence[asyncpg.Record]) -> dict[int, JobView]:
    return {row["id"]: _view(row) for row in rows}


def _view(row: asyncpg.Record) -> JobView:
    values = dict(row)
    values["attempts"] = values.pop("max_attempts")
    for name in ("progress", "result"):
        values[name] = None if values[name] is None else json.loads(values[name])
    return JobView(**values)
