"""The connection to the Redis of a BullMQ queue, which is waited for as long as it takes."""

from __future__ import annotations

import socket
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

# What may pass by itself: a server that is away, still loading, or full (with `noeviction`, as a queue must have it).
REDIS_AWAY = (RedisError, OSError)

_WANTED = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 30_000}
_KEEPALIVE = {getattr(socket, name): value for name, value in _WANTED.items() if hasattr(socket, name)}


def connect(url: str, tries: int) -> Any:
    """Connects at the first command; a command is sent again up to `tries` times, about one second apart."""
    scheme, rest = url.split(":", 1)
    return Redis.from_url(
        f"{scheme.replace('valkey', 'redis')}:{rest}",
        decode_responses=True,
        # With a timeout (5 s unless told) redis-py writes under asyncio.wait_for, which in Python 3.11 may swallow a
        # cancellation. A server that has gone without a word is noticed by the kernel.
        socket_timeout=None,
        socket_connect_timeout=5,
        socket_keepalive=True,
        socket_keepalive_options=_KEEPALIVE,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=1, base=0.05), tries),
    )
