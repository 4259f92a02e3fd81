"""The queue: a Redis list of waiting ids, a list of ids in work, and a channel a card."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from redis.asyncio import Redis

WAITING = "postcards:waiting"
IN_WORK = "postcards:in-work"


def channel(card_id: UUID) -> str:
    """Name the channel on which changes of one card are announced."""
    return f"postcards:card:{card_id}"


class Queue:
    """Card ids on their way to a worker; Postgres owns the truth, this only carries it quickly."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    async def ping(self) -> None:
        """Prove that the queue answers."""
        await self.redis.ping()

    async def put(self, card_id: UUID) -> None:
        """Add a card at the end."""
        await self.redis.lpush(WAITING, str(card_id))

    async def take(self, timeout: int) -> UUID | None:
        """Move the oldest waiting card into work and give it; None after `timeout` seconds without one."""
        taken = await self.redis.blmove(WAITING, IN_WORK, timeout, "RIGHT", "LEFT")
        return UUID(str(taken)) if taken else None

    async def drop(self, card_id: UUID) -> None:
        """Forget a card that was taken."""
        await self.redis.lrem(IN_WORK, 0, str(card_id))

    async def put_back(self, card_id: UUID) -> bool:
        """Put a card whose worker died next in line; False when it already waits.

        Two who do this at once leave the id twice, which is harmless: only one of them can claim the card.
        """
        await self.drop(card_id)
        waiting = await self.redis.lpos(WAITING, str(card_id))
        if waiting is not None:
            return False
        await self.redis.rpush(WAITING, str(card_id))
        return True

    async def in_work(self) -> list[UUID]:
        """List the cards that some worker has taken."""
        members = await self.redis.lrange(IN_WORK, 0, -1)
        return [UUID(str(member)) for member in members]

    async def announce(self, card_id: UUID) -> None:
        """Tell whoever watches this card that it changed."""
        await self.redis.publish(channel(card_id), "changed")

    @asynccontextmanager
    async def changes(self, card_id: UUID) -> AsyncIterator[Callable[[float], Awaitable[None]]]:
        """Watch one card; what is given waits for the next change, at most the seconds it is passed."""
        async with self.redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(channel(card_id))

            async def wait(seconds: float) -> None:
                await pubsub.get_message(timeout=seconds)

            yield wait


@asynccontextmanager
async def open_queue(url: str) -> AsyncIterator[Queue]:
    """Open the connections; the first command connects."""
    redis = Redis.from_url(
        url, socket_connect_timeout=5, socket_timeout=10, health_check_interval=30, decode_responses=True
    )
    try:
        yield Queue(redis)
    finally:
        await redis.aclose()
