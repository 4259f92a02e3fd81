"""Where well-known images keep their data: a volume mounted anywhere else stays empty, and the data is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.spec.detect import image_name

if TYPE_CHECKING:
    from towline.spec.container import Container

_PATHS = {
    "mysql": "/var/lib/mysql",
    "mysql-server": "/var/lib/mysql",
    "mariadb": "/var/lib/mysql",
    "percona": "/var/lib/mysql",
    "mongo": "/data/db",
    "mongodb-community-server": "/data/db",
    "rabbitmq": "/var/lib/rabbitmq",
    "elasticsearch": "/usr/share/elasticsearch/data",
    "opensearch": "/usr/share/opensearch/data",
    "clickhouse": "/var/lib/clickhouse",
    "clickhouse-server": "/var/lib/clickhouse",
    "cassandra": "/var/lib/cassandra",
    "couchdb": "/opt/couchdb/data",
    "neo4j": "/data",
    "meilisearch": "/meili_data",
    "qdrant": "/qdrant/storage",
    "prometheus": "/prometheus",
    "arangodb": "/var/lib/arangodb3",
    "solr": "/var/solr",
    "eclipse-mosquitto": "/mosquitto/data",
    "mssql-server": "/var/opt/mssql",
    "victoria-metrics": "/victoria-metrics-data",
}
"""By the last part of an image's name; each is the VOLUME of its Dockerfile, or the folder that its page names."""

_MYSQL = frozenset({"mysql", "mysql-server", "mariadb", "percona", "percona-server"})


def is_mysql(image: str | None) -> bool:
    """Whether an image is a MariaDB or MySQL, which brings the programs that dump it and read it again."""
    return image_name(image) in _MYSQL


def data_folder(container: Container) -> str | None:
    """Where the image of a service keeps its data; None where that is not known, or the Compose file moves it."""
    image = container.image or ""
    path = _PATHS.get(image_name(image)) if container.build is None and "bitnami" not in image else None
    if path is None or any(one.kind == "tmpfs" and one.target == path for one in container.mounts):
        return None
    told = (*(container.command or ()), *(one.reveal() for one in container.environment.values()))
    mounted = {one.target for one in container.mounts} - {path}
    return None if any(target in word for target in mounted for word in told) else path
