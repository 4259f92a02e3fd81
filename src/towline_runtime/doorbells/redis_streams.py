"""Names of the streams of the redis doorbell, and their housekeeping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

LEVELS = {1: "high", 0: "normal", -1: "low"}
LEFT_BEHIND = 60.0  # seconds after which a ring that was read but not claimed counts as left behind
GONE = 3600.0  # seconds without a word after which a consumer is forgotten


def stream_of(queue: str, priority: int) -> str:
    """The stream for one priority of a queue."""
    return f"towline:{queue}:{LEVELS[priority]}"


def streams_of(queue: str) -> list[str]:
    """The streams of a queue, the highest priority first."""
    return [stream_of(queue, priority) for priority in LEVELS]


async def unread(redis: Redis, streams: Sequence[str], group: str) -> int:
    """Entries that no consumer of the group has read."""
    pipeline = redis.pipeline(transaction=False)
    for stream in streams:
        pipeline.xlen(stream)
        pipeline.xpending(stream, group)
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    lengths, pendings = answers[::2], answers[1::2]
    failed = [length for length in lengths if isinstance(length, Exception)]
    if failed:
        raise failed[0]
    # Without a group nothing was read yet.
    read = [0 if isinstance(pending, Exception) else int(pending["pending"]) for pending in pendings]
    return sum(max(0, length - pending) for length, pending in zip(lengths, read, strict=True))


async def tidy(redis: Redis, stream: str, group: str) -> int:
    """Delete entries that were left behind and forget consumers that are gone; gives how many entries."""
    from redis.exceptions import ResponseError

    try:
        consumers: Any = await redis.xinfo_consumers(stream, group)
    except ResponseError:
        return 0  # no such stream or group: nobody can have left anything
    for consumer in consumers:
        if consumer["idle"] > GONE * 1000 and not consumer["pending"]:
            await redis.xgroup_delconsumer(stream, group, consumer["name"])
    left: Any = await redis.xpending_range(stream, group, "-", "+", 1000, idle=round(LEFT_BEHIND * 1000))
    ids = [one["message_id"] for one in left]
    if ids:
        await redis.xack(stream, group, *ids)
        await redis.xdel(stream, *ids)
    return len(ids)
