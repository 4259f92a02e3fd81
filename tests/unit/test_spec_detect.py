"""What a Compose file alone tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from towline.core.secret import Secret
from towline.spec.addresses import addresses, asked_attribute
from towline.spec.compose import ComposeConfig, config_of
from towline.spec.container import Container, container_of
from towline.spec.detect import (
    database_of,
    eviction_policy,
    image_major,
    image_name,
    is_stateful,
    one_shots,
    redis_use,
    service_kind,
    store_kind,
)
from towline.spec.dockerfile import Recipe
from towline.spec.write import smallest_page


def compose(**services: dict[str, Any]) -> ComposeConfig:
    return config_of({"name": "shop", "services": services}, Path("/app"), ())


@pytest.mark.parametrize(
    ("image", "name", "kind", "major"),
    [
        ("postgres:18.1-alpine", "postgres", "postgres", "18"),
        ("postgres", "postgres", "postgres", None),
        ("postgres:latest", "postgres", "postgres", None),
        ("docker.io/library/postgres:17@sha256:abc", "postgres", "postgres", "17"),
        ("localhost:5000/postgres", "postgres", "postgres", None),
        ("pgvector/pgvector:0.8.0-pg17", "pgvector", "postgres", "17"),
        ("pgvector/pgvector:pg18-trixie", "pgvector", "postgres", "18"),
        ("timescale/timescaledb:2.17.2-pg16", "timescaledb", "postgres", "16"),
        ("timescale/timescaledb:2.17.2", "timescaledb", "postgres", None),
        ("postgis/postgis:17-3.5", "postgis", "postgres", "17"),
        ("redis:7.4-alpine", "redis", "redis", "7"),
        ("valkey/valkey:9", "valkey", "redis", "9"),
        ("docker.dragonflydb.io/dragonflydb/dragonfly:v1.2", "dragonfly", "redis", "1"),
        ("minio/minio:RELEASE.2025-01-01T00-00-00Z", "minio", "bucket", None),
        ("minio/mc", "mc", None, None),
        ("oliver006/redis_exporter", "redis_exporter", None, None),
        ("chrislusf/seaweedfs:4.48", "seaweedfs", "bucket", "4"),
        ("mysql:8", "mysql", None, "8"),
        ("ghcr.io/me/shop:1.2", "shop", None, "1"),
    ],
)
def test_images(image: str, name: str, kind: str | None, major: str | None) -> None:
    """Name, store kind and major version of images as people write them."""
    container = Container("x", image=image)
    assert (image_name(image), store_kind(container), image_major(image)) == (name, kind, major)


def test_an_image_that_is_built_here_is_no_store() -> None:
    """`build:` with the image name `postgres` is the user's own code."""
    built = container_of("db", {"image": "postgres:18", "build": {"context": "/app"}}, None)
    assert store_kind(built) is None
    assert not is_stateful(built)
    assert is_stateful(Container("x", image="rabbitmq:4-management"))


def test_a_redis_that_evicts_is_a_cache() -> None:
    """Only `allkeys-` policies drop keys that nobody gave a lifetime."""
    for command, policy in (
        (("redis-server", "--maxmemory-policy", "allkeys-lru"), "allkeys-lru"),
        (("sh", "-c", "redis-server --maxmemory-policy=allkeys-lfu"), "allkeys-lfu"),
        (("redis-server", "--maxmemory-policy", "volatile-lru"), None),
        (None, None),
    ):
        container = Container("x", image="redis:7", command=command)
        assert eviction_policy(container) == policy
        assert redis_use(container) == ("cache" if policy else "queue")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ("my_shop", "my_shop")),
        ({"POSTGRES_USER": "ann"}, ("ann", "ann")),
        ({"POSTGRES_DB": "data"}, ("my_shop", "data")),
        ({"POSTGRES_USER": "ann", "POSTGRES_DB": "data"}, ("ann", "data")),
    ],
)
def test_user_and_database(environment: dict[str, str], expected: tuple[str, str]) -> None:
    """By the rules of the image: the database is called like the user unless said otherwise."""
    container = Container("db", environment={name: Secret(value) for name, value in environment.items()})
    assert database_of(container, "my-shop") == expected


def test_tasks_are_awaited_or_quiet() -> None:
    """Awaited for its success, or never restarted and without ports."""
    told = compose(
        api={"build": {"context": "/app"}, "depends_on": {"migrate": {"condition": "service_completed_successfully"}}},
        migrate={"build": {"context": "/app"}},
        seed={"build": {"context": "/app"}, "restart": "no"},
        web={"build": {"context": "/app"}, "restart": "no", "ports": [{"target": 80}]},
    )
    assert one_shots(told) == {"migrate", "seed"}


@pytest.mark.parametrize(
    ("raw", "recipe", "kind"),
    [
        ({"ports": [{"target": 80}]}, Recipe(), "web"),
        ({"ports": [{"target": 80, "protocol": "udp"}]}, Recipe(), "worker"),
        ({"expose": ["80"]}, Recipe(), "private"),
        ({}, Recipe(ports=(80,)), "private"),
        ({"command": ["work"]}, Recipe(ports=(80,)), "worker"),
        ({}, Recipe(), "worker"),
        ({"image": "mongo:8", "ports": [{"target": 27017}]}, Recipe(), "stateful"),
    ],
)
def test_service_kinds(raw: dict[str, Any], recipe: Recipe, kind: str) -> None:
    """Ports make it web, expose private; what the image exposes counts only for its own command."""
    assert service_kind(container_of("x", raw, None), recipe, one_shot=False, public=False) == kind
    assert service_kind(container_of("x", raw, None), recipe, one_shot=True, public=False) == "task"


@pytest.mark.parametrize(
    ("variable", "value", "found"),
    [
        ("URL", "postgres://u:p@db:5432/x", "name"),
        ("URL", "postgres://u:p@db/x", "name"),
        ("URL", "redis://db", "name"),
        ("URL", "jdbc:postgresql://db:5432/x?user=u", "name"),
        ("BROKERS", "other:1,db:2", "name"),
        ("PGHOST", "db", "name"),
        ("PG_HOST", "db", "name"),
        ("NAME", "db", None),
        ("URL", "http://db.example.com/", None),
        ("URL", "http://mydb:80", None),
        ("URL", "postgres://db:5432@elsewhere/x", None),
        ("URL", "http://localhost:15432/", "localhost"),
        ("URL", "http://127.0.0.1:15432", "localhost"),
        ("URL", "http://localhost:154321/", None),
        ("URL", "http://localhost:5432/", None),
    ],
)
def test_addresses(variable: str, value: str, found: str | None) -> None:
    """An address in Compose's network is told from everything that only looks like one."""
    told = compose(db={"image": "postgres:18", "ports": [{"target": 5432, "published": "15432"}]})
    assert [address.by for address in addresses({variable: Secret(value)}, told)] == ([found] if found else [])


@pytest.mark.parametrize(
    ("variable", "kind", "by", "attribute"),
    [
        ("DATABASE_URL", "postgres", "name", "url"),
        ("DIRECT_URL", "postgres", "name", "direct_url"),
        ("DB_HOST", "postgres", "name", "host"),
        ("PGPASSWORD", "postgres", "name", "password"),
        ("REDIS_URL", "redis", "name", "url"),
        ("S3_ENDPOINT", "bucket", "name", "endpoint"),
        ("S3_PUBLIC_URL", "bucket", "name", "public_url"),
        ("S3_PUBLIC_ENDPOINT", "bucket", "localhost", "public_endpoint"),
        ("API_URL", "web", "name", "internal_url"),
        ("VITE_API_URL", "web", "localhost", "url"),
        ("SEARCH", "stateful", "name", "host"),
    ],
)
def test_attributes_told_from_names(variable: str, kind: str, by: str, attribute: str) -> None:
    """The hint asks for what the variable's name wants."""
    assert asked_attribute(variable, kind, by=by) == attribute


def test_the_smallest_page() -> None:
    """Stores by their images, bindings by what the variables hold; no value in it."""
    told = compose(
        api={
            "build": {"context": "/app"},
            "ports": [{"target": 80}],
            "environment": {"DATABASE_URL": "postgres://u:canary@db/x", "CACHE": "redis://cache:6379", "X": "1"},
        },
        db={"image": "postgres:18"},
        cache={"image": "redis:7", "command": ["redis-server", "--maxmemory-policy", "allkeys-lru"]},
    )
    assert smallest_page(told) == (
        "app: shop\n"
        "stores:\n"
        "  cache: {kind: redis, use: cache}\n"
        "  db: {kind: postgres}\n"
        "bind:\n"
        '  "*":\n'
        "    CACHE: cache.url\n"
        "    DATABASE_URL: db.url\n"
    )
    assert smallest_page(compose(api={"image": "x"})) == "app: shop\n"


def test_the_smallest_page_has_no_mistakes_of_its_own() -> None:
    """A redis that is queue and cache becomes two stores; what stands beside a host is bound with it."""
    told = compose(
        api={
            "build": {"context": "/app"},
            "environment": {
                "CACHE_URL": "redis://redis:6379/1",
                "CELERY_BROKER_URL": "redis://redis:6379/0",
                "SQL_HOST": "db",
                "SQL_PORT": "5432",
                "SQL_NAME": "canary",
            },
        },
        db={"image": "postgres:18"},
        redis={"image": "redis:7"},
    )
    assert smallest_page(told).splitlines() == [
        "app: shop",
        "stores:",
        "  db: {kind: postgres}",
        "  redis: {kind: redis, use: queue}",
        "  redis-cache: {kind: redis, use: cache}",
        "bind:",
        '  "*":',
        "    CACHE_URL: redis-cache.url",
        "    CELERY_BROKER_URL: redis.url",
        "    SQL_HOST: db.host",
        "    SQL_NAME: db.database",
        "    SQL_PORT: db.port",
    ]
