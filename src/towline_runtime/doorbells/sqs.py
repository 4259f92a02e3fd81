"""The doorbell on Amazon SQS, or anything that speaks its protocol."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from towline_runtime.doorbell import DoorbellAway
from towline_runtime.doorbells.claiming import claim_rings
from towline_runtime.doorbells.sqs_address import SqsAddress
from towline_runtime.doorbells.sqs_queue import SIDE_BY_SIDE, TEN, Note, Received, SqsQueues
from towline_runtime.errors import RuntimeFault

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from towline_runtime.claims import Claim, Claims
    from towline_runtime.doorbell import Ring

LONGEST_POLL = 20  # seconds, the most that SQS allows
SHORTEST_POLL = 1
"""Seconds of the poll after a message; each empty one doubles the next.

SQS goes on with the poll of a worker that was killed, and hands it messages. A worker dies with work on its hands more
often than idle, and then its last poll was a short one.
"""
HIDDEN = 1
"""Whole seconds for which a message that was received is nobody else's.

The shortest there is: the long poll of a worker that was killed still takes messages, and nobody gets them before. A
claim that takes longer lets a ring come twice, which claims nothing.
"""
UNWANTED = 0.5  # seconds after which a message that came when this worker had no room is given to others


class SqsDoorbell:
    """One SQS queue for each queue of the app, or one main queue for all; a dead-letter queue if there is one.

    A message of a standard queue carries up to ten rings. It is deleted as soon as their claims are committed, so
    neither the length of a job nor the number of those in flight has a limit here. Standard queues keep no order: where
    lanes must keep theirs, use FIFO queues (names that end in `.fifo`), whose message group is the lane. Priorities do
    not hold on SQS: give urgent jobs a queue of their own and name it first. A main queue wants workers that know all
    kinds: rings that one does not know go round.

    An idle worker keeps one long poll of 20 s under way for each SQS queue: 130,000 a month. After a message polls are
    short at first (1, 2, 4, 8, 16 s).

    Dead letters are sent to the dead-letter queue as JSON: job, kind, queue, attempt, reason, correlation_id, ended_at.
    SQS's own redrive never sees them, for a message is gone before its job fails.
    """

    scheme = "sqs"
    rings_each = TEN

    def __init__(self, queues: SqsQueues, address: SqsAddress, names: Sequence[str], stack: AsyncExitStack) -> None:
        self._queues = queues
        self._address = address
        self._places = list(dict.fromkeys(address.place(name) for name in names))
        self._stack = stack
        self._held: list[tuple[Received, list[int]]] = []  # with the jobs that are still to be claimed
        self._polls: dict[str, asyncio.Task[list[Received]]] = {}
        self._patience: dict[str, int] = {}
        self._wanted = asyncio.Event()  # somebody is taking

    @classmethod
    async def open(cls, url: str, queues: Sequence[str], environ: Mapping[str, str] | None = None) -> Self:
        """Connect lazily; credentials are found as all AWS tools find them. Raises SettingsInvalid."""
        address = SqsAddress.read(url, os.environ if environ is None else environ)
        try:
            from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
            from aiobotocore.session import get_session  # type: ignore[import-untyped]
        except ImportError as error:
            raise RuntimeFault("The sqs doorbell needs aiobotocore", "pip install aiobotocore") from error
        config = AioConfig(
            connect_timeout=5,
            read_timeout=LONGEST_POLL + 10,
            max_pool_connections=2 * SIDE_BY_SIDE + len(queues),
            retries={"total_max_attempts": 2},
        )
        stack = AsyncExitStack()
        client = await stack.enter_async_context(
            get_session().create_client("sqs", region_name=address.region, endpoint_url=address.endpoint, config=config)
        )
        return cls(SqsQueues(client), address, queues, stack)

    async def ring(self, rings: Sequence[Ring]) -> list[Ring]:
        """In batches of ten messages; on a FIFO queue the next of a lane is sent when the one before was accepted."""
        by_place: dict[str, list[Ring]] = {}
        for ring in rings:
            place = self._place(ring)
            if place is not None:
                by_place.setdefault(place, []).append(ring)
        refused = []
        for place, those in by_place.items():
            parcels = _parcels(those, alone=place.endswith(".fifo"))
            positions = await self._queues.send(place, [_note(parcel) for parcel in parcels])
            refused += [ring for position in positions for ring in parcels[position]]
        return refused

    async def take(self, claims: Claims, kinds: Collection[str], most: int, wait: float) -> list[Claim]:
        """Receive by long polls that outlast a call, and claim."""
        if not self._held:
            self._held = [(one, _jobs(one.body)) for one in await self._receive(most, wait)]
        jobs, spent, left = _portion(self._held, most)
        claimed = await claim_rings(claims, jobs, kinds)
        self._held = left
        # The jobs are claimed and must reach the caller: a message that is not deleted comes again and is stale.
        with contextlib.suppress(DoorbellAway):
            await self._queues.delete(spent)
        return claimed

    async def waiting(self, queue: str) -> int | None:
        """SQS's own estimate of its messages, each with up to ten rings; with a main queue, of all queues together."""
        return await self._queues.waiting(self._address.place(queue))

    async def tidy(self, queues: Sequence[str]) -> int:
        """Nothing is left behind: what was received and not deleted shows again by itself."""
        del queues
        return 0

    async def close(self) -> None:
        """Let others see what was received and not claimed, and disconnect."""
        for poll in self._polls.values():
            poll.cancel()
        await asyncio.gather(*self._polls.values(), return_exceptions=True)
        with contextlib.suppress(DoorbellAway, TimeoutError):
            async with asyncio.timeout(2.0):
                await self._queues.show([one for one, _ in self._held])
        await self._stack.aclose()

    def _place(self, ring: Ring) -> str | None:
        return self._address.dead if ring.topic == "dead" else self._address.place(ring.queue)

    async def _receive(self, most: int, wait: float) -> list[Received]:
        # A long poll that is broken off may take messages along, so those under way are left to the next call.
        for place in self._places:
            if place not in self._polls:
                self._polls[place] = asyncio.create_task(self._poll(place, most))
        self._wanted.set()
        try:
            await asyncio.wait(list(self._polls.values()), timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._wanted.clear()
        ended = {place: self._polls.pop(place) for place in self._places if self._polls[place].done()}
        failed = [error for one in ended.values() if (error := one.exception()) is not None]
        received = [one for task in ended.values() if task.exception() is None for one in task.result()]
        if failed and not received:
            raise failed[0]
        for place, task in ended.items():
            if task.exception() is None and len(task.result()) == TEN:
                received += await self._more(place, most - len(received))
        return received

    async def _poll(self, place: str, most: int) -> list[Received]:
        patience = self._patience.get(place, SHORTEST_POLL)
        found = await self._queues.receive(place, most, patience, HIDDEN)
        self._patience[place] = SHORTEST_POLL if found else min(LONGEST_POLL, 2 * patience)
        if not found:
            return []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UNWANTED):
                await self._wanted.wait()
                return found
        await self._queues.show(found)
        return []

    async def _more(self, place: str, most: int) -> list[Received]:
        received: list[Received] = []
        while (left := most - len(received)) > 0:
            wanted = [min(TEN, left - start) for start in range(0, left, TEN)][:SIDE_BY_SIDE]
            answers = await asyncio.gather(
                *(self._queues.receive(place, size, 0, HIDDEN) for size in wanted), return_exceptions=True
            )
            found = [one for answer in answers if isinstance(answer, list) for one in answer]
            received += found
            if len(found) < sum(wanted):
                break
        return received


def _parcels(rings: Sequence[Ring], *, alone: bool) -> list[list[Ring]]:
    """Up to ten rings for one message, since SQS is paid by the message; a lane and a letter want one of their own."""
    if alone:
        return [[ring] for ring in rings]
    plain = [ring for ring in rings if ring.letter is None]
    letters = [[ring] for ring in rings if ring.letter is not None]
    return [plain[start : start + TEN] for start in range(0, len(plain), TEN)] + letters


def _note(parcel: Sequence[Ring]) -> Note:
    ring = parcel[0]
    named = {"job": ring.job} if len(parcel) == 1 else {"jobs": [one.job for one in parcel]}
    body = ring.letter or json.dumps({**named, "queue": ring.queue})
    return Note(body, ring.lane or f"job-{ring.job}", f"{ring.number}-{ring.topic}")


def _jobs(body: str) -> list[int]:
    """The jobs of a message; none when it is not one of ours, which is forgotten as a stale ring is."""
    try:
        said = json.loads(body)
        return [int(job) for job in said.get("jobs") or [said["job"]]]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []


def _portion(
    held: Sequence[tuple[Received, list[int]]], most: int
) -> tuple[list[int], list[Received], list[tuple[Received, list[int]]]]:
    """Up to `most` jobs, the messages that they exhaust, and what is left of the others."""
    jobs = list[int]()
    spent = list[Received]()
    left = list[tuple[Received, list[int]]]()
    for message, named in held:
        room = most - len(jobs)
        jobs += named[:room]
        if len(named) > room:
            left.append((message, named[room:]))
        else:
            spent.append(message)
    return jobs, spent, left
