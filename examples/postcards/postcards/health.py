"""Readiness: whether database, queue and bucket answer, and how fast."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psycopg
from obstore.exceptions import BaseError
from redis.exceptions import RedisError

from postcards.parts import Parts

LIMIT = 3.0  # seconds for one check
FAILURES = (psycopg.Error, RedisError, BaseError, OSError, TimeoutError)


@dataclass(frozen=True)
class Check:
    """What one server answered; the reason is the kind of failure, never an address."""

    ok: bool
    latency_ms: float
    reason: str | None


async def check(parts: Parts) -> dict[str, Check]:
    """Ask all three at once."""
    pings = {"database": parts.cards.ping, "queue": parts.queue.ping, "storage": parts.bucket.ping}
    answers = await asyncio.gather(*(_ask(ping) for ping in pings.values()))
    return dict(zip(pings, answers, strict=True))


async def _ask(ping: Callable[[], Awaitable[None]]) -> Check:
    began = time.monotonic()
    reason = None
    try:
        await asyncio.wait_for(ping(), LIMIT)
    except FAILURES as error:
        reason = type(error).__name__
    return Check(reason is None, round((time.monotonic() - began) * 1000, 1), reason)
