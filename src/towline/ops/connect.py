"""Connect to a store the way the app does, with the app's own values, and say what was seen."""

from __future__ import annotations

import http.client
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from towline.core import s3
from towline.core.errors import CheckFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.core.secret import Secret

PATIENCE = 5
"""Seconds that a store may take to answer."""

_OBJECT = b"towline"


def connect(kind: str, values: Mapping[str, Secret], *, use: str | None = None) -> str:
    """Connect, do one small thing, and return what was seen; CheckFailed says why it could not, without any value.

    `values` are the store's references (`url`, or `endpoint`, `bucket`, ...).
    """
    if kind == "postgres":
        return _postgres(values["url"])
    if kind == "redis":
        return _redis(values["url"], use or "queue")
    return _bucket(values)


def _postgres(url: Secret) -> str:
    import psycopg

    try:
        with psycopg.connect(url.reveal(), connect_timeout=PATIENCE) as connection:
            row = connection.execute(
                "select current_setting('server_version'), current_user, current_database()"
            ).fetchone()
    except psycopg.Error as error:
        raise CheckFailed(f"PostgreSQL refused the app's own address ({type(error).__name__})") from None
    version, user, database = row or ("?", "?", "?")
    return f"PostgreSQL {version}, as {user} in {database}"


def _redis(url: Secret, use: str) -> str:
    import redis

    try:
        with redis.Redis.from_url(url.reveal(), socket_timeout=PATIENCE, decode_responses=True) as client:
            client.ping()
            info = client.info()
    except redis.RedisError as error:
        raise CheckFailed(f"Redis refused the app's own address ({type(error).__name__})") from None
    policy, wanted = str(info["maxmemory_policy"]), {"queue": "noeviction", "cache": "allkeys-lru"}[use]
    if policy != wanted:
        raise CheckFailed(f"a Redis used as {use} must have the policy {wanted}; this one has {policy}")
    if use == "queue" and not info["aof_enabled"]:
        raise CheckFailed("a Redis used as a queue must keep an append-only file, and this one does not")
    server = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"
    return f"{server}, {policy}{', append-only file' if info['aof_enabled'] else ''}"


def _bucket(values: Mapping[str, Secret]) -> str:
    bucket = values["bucket"].reveal()
    keys = s3.Keys(*(values[name].reveal() for name in ("access_key", "secret_key", "region")))
    server = urlsplit(values["endpoint"].reveal())
    connection = http.client.HTTPConnection(server.hostname or "", server.port, timeout=PATIENCE)
    path = f"/{bucket}/.towline-verify/{uuid.uuid4()}"
    try:
        for method, body, wanted in (("PUT", _OBJECT, 200), ("GET", b"", 200), ("DELETE", b"", 204)):
            answer = s3.ask(connection, keys, method, path, body=body, at=datetime.now(UTC))
            if answer.status != wanted:
                said = answer.code or answer.status
                raise CheckFailed(f"the bucket refused the app's own key ({method} of an object: {said})")
            if method == "GET" and answer.body != _OBJECT:
                raise CheckFailed("the bucket gave back something else than was put into it")
    except (OSError, http.client.HTTPException) as error:
        raise CheckFailed(f"the bucket does not answer ({type(error).__name__})") from None
    finally:
        connection.close()
    return f"put, got and deleted an object in {bucket}"
