"""Calls of SQS, in batches of ten, with its failures as one error."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from towline_runtime.doorbell import DoorbellAway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

TEN = 10  # SQS takes and gives no more in one call
SIDE_BY_SIDE = 8  # calls at once
ANSWER = 10.0  # seconds within which SQS must answer, on top of a wait that was asked for


@dataclass(frozen=True, slots=True)
class Note:
    """A message to send; those of one `group` keep their order where the queue is FIFO."""

    body: str
    group: str
    once: str


@dataclass(frozen=True, slots=True)
class Received:
    """A message that nobody else sees for the visibility time."""

    place: str
    handle: str
    body: str


class SqsQueues:
    """Queues by address or name; names are looked up once."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._addresses: dict[str, str] = {}
        self._room = asyncio.Semaphore(SIDE_BY_SIDE)

    async def send(self, place: str, notes: Sequence[Note]) -> list[int]:
        """Send them and give the positions of those that were not accepted, or never tried for what came before."""
        address = await self._address(place)
        rounds = _rounds(notes) if address.endswith(".fifo") else [list(range(len(notes)))]
        refused: list[int] = []
        for positions in rounds:
            blocked = {notes[position].group for position in refused}
            wanted = [position for position in positions if notes[position].group not in blocked]
            refused += [position for position in positions if notes[position].group in blocked]
            tens = [wanted[start : start + TEN] for start in range(0, len(wanted), TEN)]
            answers = await asyncio.gather(*(self._send_ten(address, notes, ten) for ten in tens))
            refused += [position for answer in answers for position in answer]
        return sorted(refused)

    async def receive(self, place: str, most: int, wait: float, hidden: float) -> list[Received]:
        """Up to ten messages, hidden from others for `hidden` seconds; `wait` is whole seconds, at most 20."""
        address = await self._address(place)
        async with talking(wait + ANSWER):
            answer = await self._client.receive_message(
                QueueUrl=address,
                MaxNumberOfMessages=max(1, min(TEN, most)),
                WaitTimeSeconds=int(wait),
                VisibilityTimeout=int(hidden),
            )
        return [Received(place, one["ReceiptHandle"], one["Body"]) for one in answer.get("Messages", [])]

    async def delete(self, received: Sequence[Received]) -> None:
        """Forget messages; one that could not be deleted comes again."""
        calls = []
        for place in dict.fromkeys(one.place for one in received):
            handles = [one.handle for one in received if one.place == place]
            address = await self._address(place)
            calls += [self._delete_ten(address, handles[at : at + TEN]) for at in range(0, len(handles), TEN)]
        await asyncio.gather(*calls)

    async def show(self, received: Sequence[Received]) -> None:
        """Let others see messages again at once."""
        for one in received:
            address = await self._address(one.place)
            async with talking(ANSWER):
                await self._client.change_message_visibility(
                    QueueUrl=address, ReceiptHandle=one.handle, VisibilityTimeout=0
                )

    async def waiting(self, place: str) -> int:
        """About how many messages nobody has taken."""
        address = await self._address(place)
        async with talking(ANSWER):
            answer = await self._client.get_queue_attributes(
                QueueUrl=address, AttributeNames=["ApproximateNumberOfMessages"]
            )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    async def _address(self, place: str) -> str:
        if "://" in place:
            return place
        if place not in self._addresses:
            async with talking(ANSWER):
                answer = await self._client.get_queue_url(QueueName=place)
            self._addresses[place] = answer["QueueUrl"]
        return self._addresses[place]

    async def _send_ten(self, address: str, notes: Sequence[Note], positions: Sequence[int]) -> list[int]:
        fifo = address.endswith(".fifo")
        entries = []
        for position in positions:
            note = notes[position]
            order = {"MessageGroupId": note.group, "MessageDeduplicationId": note.once} if fifo else {}
            entries.append({"Id": str(position), "MessageBody": note.body, **order})
        async with self._room, talking(ANSWER):
            answer = await self._client.send_message_batch(QueueUrl=address, Entries=entries)
        return [int(one["Id"]) for one in answer.get("Failed", [])]

    async def _delete_ten(self, address: str, handles: Sequence[str]) -> None:
        entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]
        async with self._room, talking(ANSWER):
            await self._client.delete_message_batch(QueueUrl=address, Entries=entries)


def _rounds(notes: Sequence[Note]) -> list[list[int]]:
    """Positions in rounds, each with no group twice: the next waits until it is known what became of the one before."""
    turn: Counter[str] = Counter()
    rounds: list[list[int]] = []
    for position, note in enumerate(notes):
        if turn[note.group] == len(rounds):
            rounds.append([])
        rounds[turn[note.group]].append(position)
        turn[note.group] += 1
    return rounds


@asynccontextmanager
async def talking(seconds: float) -> AsyncIterator[None]:
    """Within so many seconds; what SQS or the way to it says against it becomes DoorbellAway."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        async with asyncio.timeout(seconds):
            yield
    except (BotoCoreError, ClientError, OSError) as error:  # a TimeoutError is an OSError
        raise DoorbellAway(f"SQS: {type(error).__name__}: {error}"[:300]) from error
