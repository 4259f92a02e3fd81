"""What a Compose file alone tells: stores by their image, services by their ports, restart and who waits for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from towline.spec.compose import ComposeConfig
    from towline.spec.container import Container
    from towline.spec.dockerfile import Recipe
    from towline.spec.model import ServiceKind, StoreKind

_STORE_IMAGES: dict[str, StoreKind] = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "postgresql-repmgr": "postgres",
    "pgvector": "postgres",
    "postgis": "postgres",
    "timescaledb": "postgres",
    "timescaledb-ha": "postgres",
    "alloydbomni": "postgres",
    "spilo": "postgres",
    "paradedb": "postgres",
    "redis": "redis",
    "redismod": "redis",
    "redis-stack": "redis",
    "redis-stack-server": "redis",
    "valkey": "redis",
    "valkey-bundle": "redis",
    "keydb": "redis",
    "dragonfly": "redis",
    "minio": "bucket",
    "seaweedfs": "bucket",
    "garage": "bucket",
    "rustfs": "bucket",
    "localstack": "sqs",
    "elasticmq": "sqs",
    "elasticmq-native": "sqs",
}
"""The last part of an image's name, to the store that it is."""

# fmt: off
_STATEFUL_IMAGES = frozenset({
    "mysql", "mariadb", "percona", "mongo", "mongodb", "rabbitmq", "memcached", "elasticsearch", "opensearch",
    "clickhouse", "clickhouse-server", "cassandra", "scylla", "couchdb", "neo4j", "influxdb", "nats", "kafka",
    "zookeeper", "redpanda", "meilisearch", "typesense", "qdrant", "weaviate", "chroma", "milvus", "etcd",
    "consul", "vault", "cockroach", "mssql-server", "oracle-free", "surrealdb", "arangodb", "solr", "victoria-metrics",
    "prometheus", "immudb", "dgraph", "questdb", "mysql-server", "mongodb-community-server", "cp-kafka", "cp-zookeeper",
    "activemq-artemis", "activemq-classic", "emqx", "eclipse-mosquitto", "cockroachdb", "yugabyte", "rethinkdb",
})
# fmt: on
"""The last part of the name of images that keep data and are no store that Towline knows."""

# Their tags begin with a version of their own; that of Postgres stands behind `pg`.
_OWN_VERSIONS = frozenset({"timescaledb", "timescaledb-ha", "pgvector", "paradedb"})

_NOT_THE_SERVER = ("minio/mc", "minio/console", "postgres-exporter", "redis-exporter", "redisinsight")
_MAJOR = re.compile(r"(?:^|[-_])(?:pg|v)?(\d{1,3})(?:[.\-_]|$)")
_POSTGRES_MAJOR = re.compile(r"(?:^|[-_])pg(\d{1,2})(?:[.\-_]|$)")
_EVICTS = re.compile(r"maxmemory-policy[=\s]+(allkeys-\w+)", re.IGNORECASE)


def image_name(image: str | None) -> str:
    """`timescaledb` of `docker.io/timescale/timescaledb:2.17-pg16@sha256:...`; empty without an image."""
    path = (image or "").split("@")[0]
    return path.rsplit("/", 1)[-1].split(":")[0].lower()


def _tag(image: str | None) -> str:
    last = (image or "").split("@")[0].rsplit("/", 1)[-1]
    return last.partition(":")[2].lower()


def store_kind(container: Container) -> StoreKind | None:
    """The store that this service's image is; None when it is built here or its image is no known store."""
    if container.build is not None or any(word in (container.image or "") for word in _NOT_THE_SERVER):
        return None
    return _STORE_IMAGES.get(image_name(container.image))


def is_stateful(container: Container) -> bool:
    """Whether its image keeps data of its own and is no known store."""
    return container.build is None and image_name(container.image) in _STATEFUL_IMAGES


def image_major(image: str | None) -> str | None:
    """`18` of `postgres:18.1-alpine`, `16` of `timescaledb:2.17-pg16`; None when the tag names no version."""
    tag = _tag(image)
    match = _POSTGRES_MAJOR.search(tag)
    if match is None and image_name(image) not in _OWN_VERSIONS:
        match = _MAJOR.match(tag)
    return None if match is None else match[1]


def eviction_policy(container: Container) -> str | None:
    """The `allkeys-` policy that its command gives a redis: with one, it drops keys when memory is short."""
    words = " ".join((*(container.entrypoint or ()), *(container.command or ())))
    match = _EVICTS.search(words)
    return None if match is None else match[1]


def redis_use(container: Container | None) -> Literal["queue", "cache"]:
    """A queue unless Compose lets it evict: a cache kept too well only costs memory, a queue that evicts loses jobs."""
    return "cache" if container is not None and eviction_policy(container) else "queue"


def database_of(container: Container | None, app: str) -> tuple[str, str]:
    """User and database of a Postgres: what the Compose file gives its server, else the app's name."""
    given = {} if container is None else container.environment
    names = [(given[key].reveal() if key in given else "") for key in ("POSTGRES_USER", "POSTGRES_DB")]
    user = names[0] or app.replace("-", "_")
    return user, names[1] or (user if names[0] else app.replace("-", "_"))


def one_shots(compose: ComposeConfig) -> frozenset[str]:
    """Services that run to their end: others wait for their success, or nothing restarts and nothing calls them."""
    awaited = {
        name
        for container in compose.containers
        for name, condition in container.needs.items()
        if condition == "service_completed_successfully"
    }
    quiet = {one.name for one in compose.containers if one.restart == "no" and not one.ports and not one.expose}
    return frozenset(awaited | quiet)


def service_kind(container: Container, recipe: Recipe, *, one_shot: bool, public: bool) -> ServiceKind:
    """The kind of a service that the page does not name.

    `public`: the page gives it a domain. A port that only the image exposes counts for the image's own command alone:
    a worker made from the same image as the API listens nowhere.
    """
    if one_shot:
        return "task"
    if is_stateful(container):
        return "stateful"
    if container.ports or public:
        return "web"
    own_command = container.command is None and container.entrypoint is None
    return "private" if container.expose or (own_command and recipe.ports) else "worker"
