"""What is asked of a running Valkey."""

from __future__ import annotations


def why_not(port: int, password: str) -> str | None:
    """Why it does not serve yet (it may still be loading its data); None when it does."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # Whoever asks has a limit of his own: the client's retries would outlast it.
    once = Retry(NoBackoff(), 0)
    client = redis.Redis(
        host="127.0.0.1", port=port, password=password, socket_timeout=5, socket_connect_timeout=5, retry=once
    )
    try:
        with client:
            client.ping()
    except redis.RedisError as error:
        return str(error)
    return None
