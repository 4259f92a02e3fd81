"""References such as `db.url` to values on a host: put together from names of containers and settings, never copied."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from towline.artifacts.addresses import REGION
from towline.artifacts.containers import Setting, Text
from towline.artifacts.front_door import S3_PORT, container_port, routes
from towline.artifacts.store_images import server_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.planner.model import Placement
    from towline.spec.container import Container
    from towline.spec.model import Service, Site, Store

POSTGRES_PORT = 5432
REDIS_PORT = 6379

HERE = frozenset({"postgres", "redis", "bucket"})
"""The kinds of stores that a host can run; the rest is bought."""

_RANDOM = "made with: openssl rand -hex 32"


def setting(of: str, attribute: str, hint: str = "") -> Setting:
    """The setting that holds one attribute of a store or service: `DB_PASSWORD`."""
    return Setting(f"{of}_{attribute}".upper().replace("-", "_"), hint=hint)


def runs_on(placement: Placement, site: Site, store: Store) -> bool:
    """Whether a host runs this store itself."""
    return store.kind in HERE and site.name in placement.target.place[store.name]


def value(placement: Placement, site: Site, containers: Mapping[str, Container], reference: tuple[str, str]) -> Text:
    """What a container on `site` is told for `reference`, (name, attribute), which `spec.check` has let through."""
    of, attribute = reference
    for store in placement.app.stores:
        if store.name == of and runs_on(placement, site, store):
            return _of_store(placement, site, containers, store)[attribute]
        if store.name == of:
            return _bought(store, attribute)
    service = placement.app.service(of)
    if site.name in placement.target.place[of]:
        return _of_service(placement, site, containers, service)[attribute]
    return _elsewhere(service, attribute)


def _bought(store: Store, attribute: str) -> Text:
    return (setting(store.name, attribute, f"the {attribute.replace('_', ' ')} of {store.name}, from where it runs"),)


def _elsewhere(service: Service, attribute: str) -> Text:
    """A service on another site: by its domain, as a browser finds it."""
    if service.domain is not None and attribute in ("url", "internal_url"):
        return (f"https://{service.domain}",)
    if service.domain is not None and attribute in ("host", "port"):
        return (service.domain if attribute == "host" else "443",)
    return (setting(service.name, attribute, f"the {attribute.replace('_', ' ')} of {service.name}, where it runs"),)


def _of_service(
    placement: Placement, site: Site, containers: Mapping[str, Container], service: Service
) -> dict[str, Text]:
    port = container_port(service, containers.get(service.name))
    inner: Text = (f"http://{service.name}:{port}",)
    route = next((one for one in routes(placement, site, containers) if one.name == service.name), None)
    outer = route.url if route is not None else inner
    return {"url": outer, "internal_url": inner, "host": (service.name,), "port": (str(port),)}


def _of_store(placement: Placement, site: Site, containers: Mapping[str, Container], store: Store) -> dict[str, Text]:
    if store.kind == "postgres":
        return _postgres(store)
    return _redis(store) if store.kind == "redis" else _bucket(placement, site, containers, store)


def _postgres(store: Store) -> dict[str, Text]:
    password = setting(store.name, "password", _RANDOM)
    user, database = quote(store.user, safe=""), quote(store.database, safe="")
    url: Text = (f"postgresql://{user}:", password, f"@{store.name}:{POSTGRES_PORT}/{database}")
    # One server, no pooler: the three ways in are one.
    urls = {"url": url, "direct_url": url, "pooled_url": url}
    own: dict[str, Text] = {"host": (store.name,), "port": (str(POSTGRES_PORT),), "user": (store.user,)}
    return {**urls, **own, "password": (password,), "database": (store.database,)}


def _redis(store: Store) -> dict[str, Text]:
    address = f"{store.name}:{REDIS_PORT}"
    own: dict[str, Text] = {"host": (store.name,), "port": (str(REDIS_PORT),), "user": ("default",)}
    if server_of(store) is None:
        return {"url": (f"redis://{address}/0",), **own, "password": ("",)}
    password = setting(store.name, "password", _RANDOM)
    return {"url": ("redis://:", password, f"@{address}/0"), **own, "password": (password,)}


def _bucket(placement: Placement, site: Site, containers: Mapping[str, Container], store: Store) -> dict[str, Text]:
    inner: Text = (f"http://{store.name}:{S3_PORT}",)
    route = next((one for one in routes(placement, site, containers) if one.name == store.name), None)
    outer = route.url if route is not None else inner
    return {
        "endpoint": inner,
        "public_endpoint": outer,
        "public_url": (*outer, f"/{store.database}"),
        "bucket": (store.database,),
        "access_key": (setting(store.name, "access_key", _RANDOM),),
        "secret_key": (setting(store.name, "secret_key", _RANDOM),),
        "region": (REGION,),
    }
