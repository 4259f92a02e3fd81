"""What images that nobody built here are for, told from their names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from towline.spec.detect import image_name

if TYPE_CHECKING:
    from towline.spec.container import Container

# fmt: off
_PROXIES = frozenset({
    "traefik", "nginx-proxy", "nginx-proxy-manager", "caddy-docker-proxy", "docker-letsencrypt-nginx-proxy-companion",
    "acme-companion", "letsencrypt-nginx-proxy-companion", "certbot", "haproxy", "envoy", "swag", "cloudflared",
    "ngrok", "https-portal", "dockergen", "docker-gen",
})
_WEB_SERVERS = frozenset({
    "nginx", "nginx-unprivileged", "caddy", "httpd", "openresty", "static-web-server", "lighttpd",
})
_TOOLS = frozenset({
    "adminer", "pgadmin4", "pgadmin", "phpmyadmin", "phppgadmin", "mongo-express", "redis-commander", "redisinsight",
    "phpredisadmin", "pgweb", "cloudbeaver", "dbgate", "flower", "rq-dashboard", "bull-board", "asynqmon", "kafka-ui",
    "swagger-ui", "portainer", "portainer-ce", "dozzle", "watchtower", "autoheal", "selenium", "chrome",
    "standalone-chrome", "console", "elasticvue", "kibana", "cerebro", "ofelia", "docker-volume-backup",
    "postgres-backup-local", "postgres-backup-s3", "nats-box",
})
_MAIL_CATCHERS = frozenset({"mailhog", "mailpit", "maildev", "mailcatcher", "smtp4dev", "inbucket", "greenmail"})
_MONITORS = frozenset({
    "prometheus", "grafana", "grafana-oss", "grafana-enterprise", "loki", "promtail", "alloy", "tempo", "jaeger",
    "all-in-one", "zipkin", "node-exporter", "cadvisor", "alertmanager", "blackbox-exporter", "postgres-exporter",
    "redis_exporter", "redis-exporter", "mysqld-exporter", "nginx-prometheus-exporter", "statsd", "telegraf", "vector",
    "opentelemetry-collector", "opentelemetry-collector-contrib", "fluentd", "fluent-bit", "filebeat", "netdata",
    "uptime-kuma",
})
_POOLERS = frozenset({"pgbouncer", "pgcat", "odyssey", "pgpool"})
_BUCKET_MAKERS = frozenset({"mc"})
# fmt: on

WEB_SERVER_BASES = re.compile(
    r"(?:^|/)(?:nginx|nginx-unprivileged|caddy|httpd|openresty|static-web-server|lighttpd)(?:[:@]|$)"
)
"""The base image of a Dockerfile that ends in a web server for files."""

_WHY_OMITTED = (
    (_PROXIES, "a front door of its own; Towline brings one, with certificates"),
    (_TOOLS, "a tool for people, no part of the app"),
    (_MAIL_CATCHERS, "catches mail while developing, no part of the app"),
    (_POOLERS, "pools connections to Postgres; `pooled_url` of the store is what it gives"),
    (_MONITORS, "monitoring, no part of the app; drop this line to keep it as a service"),
)


def left_out(container: Container) -> str | None:
    """Why a service of this image is no part of the app; None when it is one."""
    if container.build is not None:
        return None
    name = image_name(container.image)
    return next((why for names, why in _WHY_OMITTED if name in names), None)


def is_proxy(container: Container) -> bool:
    """Whether it is there to pass requests on to others."""
    return container.build is None and image_name(container.image) in _PROXIES


def is_pooler(container: Container) -> bool:
    """Whether it pools the connections of a Postgres."""
    return container.build is None and image_name(container.image) in _POOLERS


def is_bucket_maker(container: Container) -> bool:
    """Whether it is the client of MinIO, which makes buckets and ends."""
    return container.build is None and image_name(container.image) in _BUCKET_MAKERS


def is_web_server(container: Container) -> bool:
    """Whether it is a plain web server: for files, or as a proxy."""
    return container.build is None and image_name(container.image) in _WEB_SERVERS


def without_version(image: str | None) -> bool:
    """Whether the image names no version: no tag, or `latest`."""
    path = image or ""
    tag = path.rsplit("/", 1)[-1].partition(":")[2]
    return bool(path) and "@" not in path and tag in {"", "latest"}


def short(image: str | None) -> str:
    """An image as a person says it: `postgis:16` of `docker.io/postgis/postgis:16@sha256:...`."""
    last = (image or "").split("@")[0].rsplit("/", 1)[-1]
    return last if last.isprintable() and len(last) <= 60 else image_name(image)[:60]
