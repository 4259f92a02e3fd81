"""A kind as one worker serves it: where its function runs, and how many more of its jobs there is room for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView

    from towline_runtime.attempt import Attempt
    from towline_runtime.jobs import Kind

CROWDED = 0.1  # seconds without a claim of a kind after more of its jobs came than it has room for
NO_CAP = 1 << 30


class Place(Protocol):
    """Where functions run."""

    @property
    def free(self) -> int:
        """How many more can run, less those that are booked."""

    def book(self, places: int) -> None:
        """Keep so many for jobs that are claimed; negative gives them back, unused."""

    async def perform(self, attempt: Attempt, kind: Kind[..., Any], arguments: dict[str, Any]) -> str | None:
        """Run the function, give its result as JSON text, and give its place back once it is really free."""


class InLoop:
    """Coroutine functions run in the worker's own event loop, as many as the worker has slots."""

    free = NO_CAP

    def book(self, places: int) -> None:
        """There is nothing to keep."""

    async def perform(self, attempt: Attempt, kind: Kind[..., Any], arguments: dict[str, Any]) -> str | None:
        """Await it."""
        return kind.result(await kind.function(attempt, **arguments))


class Rooms(Mapping[str, int]):
    """The kinds that have room, and how much: as it is at the moment of each look into it."""

    def __init__(self, served: Mapping[str, Served], clock: Callable[[], float]) -> None:
        self._served = served
        self._clock = clock

    def __getitem__(self, kind: str) -> int:
        return self._now()[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def keys(self) -> KeysView[str]:
        """The kinds that have room now."""
        return self._now().keys()

    def values(self) -> ValuesView[int]:
        """Their rooms."""
        return self._now().values()

    def items(self) -> ItemsView[str, int]:
        """Both, of one moment."""
        return self._now().items()

    def _now(self) -> dict[str, int]:
        now = self._clock()
        return {name: room for name, one in self._served.items() if one.shut_until <= now and (room := one.room()) > 0}


class Served:
    """One kind of this worker, and how many of its jobs are claimed."""

    __slots__ = ("cap", "held", "kind", "limit", "place", "shut_until", "version")

    def __init__(self, kind: Kind[..., Any], place: Place) -> None:
        self.kind = kind
        self.place = place
        self.cap = kind.options.concurrency or NO_CAP
        self.limit = kind.options.limit
        self.version = kind.options.version
        self.held = 0
        self.shut_until = 0.0

    def room(self) -> int:
        """How many more of its jobs may be claimed."""
        return min(self.cap - self.held, self.place.free)

    def take(self) -> None:
        """One more is claimed."""
        self.held += 1
        self.place.book(1)

    async def perform(self, attempt: Attempt) -> str | None:
        """Run the function within the limit; raises PayloadInvalid, TimeoutError and whatever the function raises."""
        try:
            attempt.check()
            arguments = self.kind.unpack(attempt.claim.payload)
        except BaseException:
            self.place.book(-1)
            raise
        if self.limit is None:
            return await self.place.perform(attempt, self.kind, arguments)
        return await self._within(self.limit, attempt, arguments)

    async def _within(self, limit: float, attempt: Attempt, arguments: dict[str, Any]) -> str | None:
        try:
            async with asyncio.timeout(limit) as scope:
                return await self.place.perform(attempt, self.kind, arguments)
        except TimeoutError as error:
            if not scope.expired():
                raise
            attempt.stopped = True
            raise TimeoutError(f"the attempt took longer than its limit of {limit:g} s") from error
