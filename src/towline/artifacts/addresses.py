"""References such as `db.url` to values: what each process of a site is told of its stores and services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from towline.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.spec.model import App, Service, Store

REGION = "us-east-1"
"""What SeaweedFS, and every S3 client without a region of its own, signs with."""


@dataclass(frozen=True)
class Local:
    """The addresses of one app on a laptop: `ports` has a port for each store, service and the door, by name."""

    app: App
    door: int
    ports: Mapping[str, int]
    values: Mapping[str, Secret]

    def host(self, hostname: str) -> str:
        """The name under which a browser finds a service: every *.localhost name is the machine itself (RFC 6761)."""
        return f"{hostname}.{self.app.name}.localhost"

    def public_url(self, hostname: str) -> str:
        """The address for a browser."""
        return f"http://{self.host(hostname)}:{self.door}"

    def value(self, of: str, attribute: str) -> Secret:
        """The value of a reference that `spec.check` has let through."""
        for store in self.app.stores:
            if store.name == of:
                return Secret(self._of_store(store, attribute))
        return Secret(self._of_service(self.app.service(of), attribute))

    def _of_service(self, service: Service, attribute: str) -> str:
        port = self.ports.get(service.name, 0)
        return {
            "url": self.public_url(service.hostname),
            "internal_url": f"http://127.0.0.1:{port}",
            "host": "127.0.0.1",
            "port": str(port),
        }[attribute if service.kind != "private" or attribute != "url" else "internal_url"]

    def _of_store(self, store: Store, attribute: str) -> str:
        port = self.ports[store.name]
        common = {"host": "127.0.0.1", "port": str(port)}
        of_kind = {"postgres": self._postgres, "redis": self._redis, "bucket": self._bucket}[store.kind]
        return (common | of_kind(store, port))[attribute]

    def _postgres(self, store: Store, port: int) -> dict[str, str]:
        password = self.values[f"{store.name}.password"].reveal()
        user, database = quote(store.user, safe=""), quote(store.database, safe="")
        url = f"postgresql://{user}:{password}@127.0.0.1:{port}/{database}"
        # One server, no pooler: on a laptop the three ways in are one.
        urls = {"url": url, "direct_url": url, "pooled_url": url}
        return urls | {"user": store.user, "password": password, "database": store.database}

    def _redis(self, store: Store, port: int) -> dict[str, str]:
        password = self.values[f"{store.name}.password"].reveal()
        return {"url": f"redis://:{password}@127.0.0.1:{port}/0", "user": "default", "password": password}

    def _bucket(self, store: Store, port: int) -> dict[str, str]:
        return {
            "endpoint": f"http://127.0.0.1:{port}",
            "public_endpoint": self.public_url(store.name),
            "public_url": f"{self.public_url(store.name)}/{store.database}",
            "bucket": store.database,
            "access_key": self.values[f"{store.name}.access_key"].reveal(),
            "secret_key": self.values[f"{store.name}.secret_key"].reveal(),
            "region": REGION,
        }


def wanted_values(app: App) -> tuple[str, ...]:
    """The names of the passwords and keys that the stores of an app are reached with."""
    names = {
        "postgres": ("password", "admin_password"),
        "redis": ("password",),
        "bucket": ("access_key", "secret_key", "admin_access_key", "admin_secret_key"),
        "sqs": ("access_key", "secret_key"),
    }
    return tuple(f"{store.name}.{name}" for store in app.stores for name in names[store.kind])
