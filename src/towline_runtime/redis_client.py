"""A Redis client as sessions, rate limits and health want it: it gives up soon, since a person waits for the answer."""

from __future__ import annotations

from typing import Any

from towline_runtime.errors import RuntimeFault


def redis_client(url: str, *, seconds: float = 2.0) -> Any:
    """Connects at the first call; `valkey://` is understood. Close it with `aclose()`."""
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise RuntimeFault(
            "Redis needs a package that is not installed", "pip install 'towline-runtime[redis]'"
        ) from error
    scheme, rest = url.split(":", 1)
    return Redis.from_url(
        f"{scheme.replace('valkey', 'redis')}:{rest}",
        decode_responses=True,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        health_check_interval=30,
        # Once: a connection that the server closed long ago shows only when it is used.
        retry=Retry(NoBackoff(), 1),
    )
