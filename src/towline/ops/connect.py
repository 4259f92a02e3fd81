"""Connect to a store the way the app does, with the app's own values, and say what was seen."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from towline.core.errors import CheckFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.core.secret import Secret

PATIENCE = 5
"""Seconds that a store may take to answer."""


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
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = values["bucket"].reveal(), f".towline-verify/{uuid.uuid4()}"
    client = boto3.client(
        "s3",
        endpoint_url=values["endpoint"].reveal(),
        aws_access_key_id=values["access_key"].reveal(),
        aws_secret_access_key=values["secret_key"].reveal(),
        region_name=values["region"].reveal(),
        config=Config(
            s3={"addressing_style": "path"},
            connect_timeout=PATIENCE,
            read_timeout=PATIENCE,
            retries={"max_attempts": 2},
        ),
    )
    try:
        client.put_object(Bucket=bucket, Key=key, Body=b"towline")
        seen = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        client.delete_object(Bucket=bucket, Key=key)
    except (BotoCoreError, ClientError) as error:
        raise CheckFailed(f"the bucket refused the app's own key ({type(error).__name__})") from None
    if seen != b"towline":
        raise CheckFailed("the bucket gave back something else than was put into it")
    return f"put, got and deleted an object in {bucket}"
