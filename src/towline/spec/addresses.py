"""Addresses of the Compose network in the values of variables: found without ever showing a value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.core.secret import Secret
    from towline.spec.compose import ComposeConfig
    from towline.spec.container import Container

_HOST_WORDS = ("HOST", "HOSTNAME", "SERVER", "ADDR", "ADDRESS", "ENDPOINT")
_HERE = r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])"

# What the last words of a variable's name ask of a store that has a user and a database.
_ASKED = {
    "HOST": "host",
    "HOSTNAME": "host",
    "SERVER": "host",
    "PORT": "port",
    "USER": "user",
    "USERNAME": "user",
    "PASSWORD": "password",
    "PASS": "password",
    "DB": "database",
    "DATABASE": "database",
}


_BESIDE_HOST = {**_ASKED, "NAME": "database"}

_QUEUE_WORDS = frozenset(
    {"QUEUE", "QUEUES", "BROKER", "CELERY", "BULL", "BULLMQ", "SIDEKIQ", "RQ", "JOB", "JOBS", "DRAMATIQ", "ARQ"}
    | {"HUEY", "TASKIQ", "RESQUE"}
)
_CACHE_WORDS = frozenset({"CACHE", "CACHES", "CACHING"})


@dataclass(frozen=True)
class Address:
    """A variable that holds the address of Compose service `of`: by its name in Compose's network, or as `localhost`
    with a port that it publishes."""

    variable: str
    of: str
    by: Literal["name", "localhost"]


def addresses(environment: Mapping[str, Secret], compose: ComposeConfig) -> Iterator[Address]:
    """The variables among `environment` that hold an address of a service of `compose`; one Address a variable."""
    for variable, secret in environment.items():
        value = secret.reveal()
        for container in compose.containers:
            by = _held(variable, value, container)
            if by is not None:
                yield Address(variable, container.name, by)
                break


def _held(variable: str, value: str, container: Container) -> Literal["name", "localhost"] | None:
    if any(names_host(variable, value, name) for name in (container.name, *container.aliases)):
        return "name"
    ports = "|".join(str(port) for port in container.published)
    if ports and re.search(rf"(?<![\w.]){_HERE}:(?:{ports})(?!\d)", value):
        return "localhost"
    return None


def names_host(variable: str, value: str, name: str) -> bool:
    """Whether a variable holds the address of what is called `name` on its network: as a host, or within a URL."""
    host = re.escape(name)
    # Not followed by an @ before the path: `//db:5432@elsewhere/` is a user called db.
    if re.search(rf"(?:://(?:[^/\s]*@)?|@){host}(?=[:/?,]|$)(?![^/\s]*@)", value):
        return True
    if re.search(rf"(?:^|[,;\s=/]){host}:\d{{1,5}}(?![\w@])", value):
        return True
    return value == name and variable.upper().endswith(_HOST_WORDS)


def asked_attribute(variable: str, kind: str, *, by: str = "name") -> str:
    """The attribute that a variable most likely wants of a store or service of `kind`, told from its name."""
    words = variable.upper().split("_")
    public = by == "localhost" or "PUBLIC" in words
    if kind == "bucket":
        if not public:
            return "endpoint"
        return "public_endpoint" if "ENDPOINT" in words else "public_url"
    if kind in {"web", "private", "static"}:
        return "url" if public or kind == "static" else "internal_url"
    if kind == "postgres" and "DIRECT" in words:
        return "direct_url"
    return _ASKED.get(words[-1].removeprefix("PG"), "host" if kind == "stateful" else "url")


def beside(variable: str, kind: str) -> dict[str, str]:
    """The variables that go with a host variable, to what each asks: DB_PORT, DB_USER, ... of DB_HOST.

    Empty for a variable that holds more than a host, and for a store that has no such parts.
    """
    suffix = next((word for word in ("HOSTNAME", "HOST", "SERVER") if variable.upper().endswith(word)), None)
    if suffix is None or kind not in {"postgres", "redis"}:
        return {}
    prefix = variable[: -len(suffix)]
    asked = {word: attribute for word, attribute in _BESIDE_HOST.items() if attribute != "host"}
    if kind == "redis":
        asked = {word: attribute for word, attribute in asked.items() if attribute != "database"}
    return {f"{prefix}{word}": attribute for word, attribute in asked.items()}


def purpose(variable: str) -> Literal["queue", "cache"] | None:
    """What a variable's name says that a redis is for."""
    words = set(variable.upper().split("_"))
    if words & _QUEUE_WORDS:
        return "queue"
    return "cache" if words & _CACHE_WORDS else None
