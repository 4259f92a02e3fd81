"""The three servers the app leans on, opened together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from postcards.database import Cards, open_cards
from postcards.queue import Queue, open_queue
from postcards.settings import Settings
from postcards.storage import Bucket


@dataclass(frozen=True)
class Parts:
    """Database, queue and bucket, ready to use."""

    cards: Cards
    queue: Queue
    bucket: Bucket


@asynccontextmanager
async def open_parts(settings: Settings, *, connections: int) -> AsyncIterator[Parts]:
    """Open all three and close them again."""
    async with (
        open_cards(settings.database_url, connections=connections, lease_seconds=settings.job_lease_seconds) as cards,
        open_queue(settings.redis_url) as queue,
    ):
        yield Parts(cards, queue, Bucket(settings))
