"""The stores of a laptop as instances: which server, with which settings, at which port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from towline.artifacts.model import StoreArtifact
from towline.steps.kinds import InitStore, Instance, PrepareStore, Probe
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline.artifacts.addresses import Local
    from towline.core.secret import Secret
    from towline.spec.model import Store, StoreKind

SERVER_MAJOR = {"postgres": "18", "redis": "9", "bucket": "4"}
"""The major versions of the servers that Towline brings: PostgreSQL 18, Valkey 9, SeaweedFS 4."""

SERVER: dict[str, Literal["postgres", "redis", "bucket"]] = {
    "postgres": "postgres",
    "redis": "redis",
    "bucket": "bucket",
}

QUEUE_MEMORY = "256mb"
"""What a laptop's Redis may hold before a queue refuses writes, or a cache evicts."""

_STOP: dict[StoreKind, float] = {"postgres": 20.0, "redis": 20.0, "bucket": 5.0, "sqs": 20.0}
"""Seconds until a server that does not stop is killed. SeaweedFS often waits for connections of its own that nobody
closes; at that point its files are written, and a kill was measured to lose no acknowledged object."""


def of_store(store: Store, addresses: Local, stash: Callable[[Secret], str]) -> StoreArtifact:
    """A store as it should be on a laptop; `stash` keeps a secret and gives the digest that stands for it."""
    settings = _settings(store, addresses, stash)
    port, major = addresses.ports[store.name], SERVER_MAJOR[store.kind]
    revision = digest_of({"settings": settings, "port": port, "major": major})[:8]
    server = Instance(
        name=store.name,
        service=store.name,
        revision=revision,
        runs=SERVER[store.kind],
        ready=Probe("tcp", within=30.0),
        port=port,
        settings=settings,
        stop_signal="INT" if store.kind == "postgres" else "TERM",
        stop_within=_STOP[store.kind],
    )
    return StoreArtifact(
        init=InitStore(store.name, store.kind, major, settings),
        server=server,
        prepare=PrepareStore(store.name, store.kind, port, settings),
        # SeaweedFS takes most of a second to start, and waits for most of it.
        holds_requests=store.kind == "bucket",
    )


def _settings(store: Store, addresses: Local, stash: Callable[[Secret], str]) -> dict[str, str]:
    def kept(name: str) -> str:
        return stash(addresses.values[f"{store.name}.{name}"])

    match store.kind:
        case "postgres":
            own = {"password": kept("password"), "admin_password": kept("admin_password")}
            return own | {"user": store.user, "database": store.database}
        case "redis":
            return {"use": store.use or "queue", "password": kept("password"), "maxmemory": QUEUE_MEMORY}
        case _:
            values = addresses.values
            return {
                "bucket": store.database,
                **({} if store.public is None else {"public": store.public}),
                "access_key": values[f"{store.name}.access_key"].reveal(),
                "secret_key": kept("secret_key"),
                "admin_access_key": values[f"{store.name}.admin_access_key"].reveal(),
                "admin_secret_key": kept("admin_secret_key"),
                "external_url": addresses.public_url(store.name),
            }
