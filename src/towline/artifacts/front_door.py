"""What the front door of a host leads to, and under which names browsers find it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from towline.artifacts.containers import Setting
from towline.artifacts.proxy import main_service

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from towline.artifacts.containers import Text
    from towline.planner.model import Placement
    from towline.spec.container import Container
    from towline.spec.model import Service, Site, Store, Target

HOST = Setting("PUBLIC_HOST", hint="the name or address under which browsers reach this server")
STATIC_PORT = 8080
"""Where the container of a static service listens when nothing else is said: it is told so by PORT."""

S3_PORT = 8333

_OUTSIDE = frozenset({"public_url", "public_endpoint"})


@dataclass(frozen=True)
class Route:
    """One service, built files or bucket behind the front door, at `port` of the container `name`.

    `domain` is its name with https; None where nobody gave one: then it answers to every name that begins with `label`,
    or with `label` None to every other name, in clear. `path` is what is asked to see whether it lives. Of a bucket
    only the objects below `prefix` are let through, to be read alone where `reads_only`; questions to the bucket
    itself, such as for the list of its objects, only where `whole`.
    """

    name: str
    kind: Literal["service", "static", "bucket"]
    port: int
    domain: str | None
    label: str | None = None
    path: str | None = None
    replicas: int = 1
    prefix: str = ""
    reads_only: bool = False
    whole: bool = False

    @property
    def url(self) -> Text:
        """The address for a browser."""
        if self.domain is not None:
            return (f"https://{self.domain}",)
        return ("http://", HOST) if self.label is None else (f"http://{self.label}.", HOST)


def hosts(target: Target) -> tuple[Site, ...]:
    """The sites of a target that are a machine of one's own, with nothing but Docker on it."""
    return tuple(site for site in target.sites if site.kind == "host")


def infix(target: Target, site: Site) -> str:
    """What stands in the names of files where a target has several hosts: `.box`."""
    return f".{site.name}" if len(hosts(target)) > 1 else ""


def with_domains(placement: Placement) -> Placement:
    """The placement in which each service of a host has the domain that its site gives it."""
    found = {one.name: one.domain for site in hosts(placement.target) for one in routes(placement, site, {})}
    services = tuple(replace(one, domain=found.get(one.name, one.domain)) for one in placement.app.services)
    return replace(placement, app=replace(placement.app, services=services))


def routes(placement: Placement, site: Site, containers: Mapping[str, Container]) -> tuple[Route, ...]:
    """Every route of one host, services first, in the order of the app."""
    services = [one for one in placement.services_on(site) if one.kind in ("web", "static")]
    buckets = [one for one in placement.stores_on(site) if one.kind == "bucket" and is_public(placement, one)]
    main = first_seen(placement, services)
    found = [_of_service(one, site, containers.get(one.name), main=main == one.name) for one in services]
    base = _base(placement, site)
    return (*found, *(_of_bucket(placement, one, base) for one in buckets))


def first_seen(placement: Placement, services: Iterable[Service]) -> str | None:
    """What a newcomer sees: a static page, else a web service that no other one is told the address of."""
    known = list(services)
    called = {one.of for one in placement.app.bindings}
    pages = [one for one in known if one.kind == "static" or one.name not in called]
    return main_service(pages) or main_service(known)


def is_public(placement: Placement, store: Store) -> bool:
    """Whether a bucket is reached from outside of its host.

    Everybody may read of it, somebody hands out its public address, or a service on another site uses it.
    """
    asked = {one.attribute for one in placement.app.bindings if one.of == store.name}
    return store.public is not None or bool(asked & _OUTSIDE) or _used_elsewhere(placement, store)


def _used_elsewhere(placement: Placement, store: Store) -> bool:
    place = placement.target.place
    users = {one.service for one in placement.app.bindings if one.of == store.name and one.attribute == "endpoint"}
    return any(set(place[user]) - set(place[store.name]) for user in users)


def container_port(service: Service, container: Container | None) -> int:
    """The port inside the container of a service that takes requests."""
    if service.port is not None:
        return service.port
    told = (*container.ports, *container.expose) if container is not None else ()
    return told[0] if told else STATIC_PORT


def _of_service(service: Service, site: Site, container: Container | None, *, main: bool) -> Route:
    base = site.options.get("domain")
    domain = service.domain
    if domain is None and base is not None:
        domain = base if main else f"{service.hostname}.{base}"
    return Route(
        name=service.name,
        kind="static" if service.kind == "static" else "service",
        port=container_port(service, container),
        domain=domain,
        label=None if main or domain is not None else service.hostname,
        path=service.health.path,
        replicas=service.replicas,
    )


def _base(placement: Placement, site: Site) -> str | None:
    """The domain that a bucket's name is put in front of: the site's, else that of what people see first."""
    if "domain" in site.options:
        return site.options["domain"]
    named = [one for one in placement.app.services if one.domain is not None]
    main = first_seen(placement, named)
    return next((one.domain for one in named if one.name == main), None)


def _of_bucket(placement: Placement, store: Store, base: str | None) -> Route:
    label = store.name.replace("_", "-")
    # Links that the app signs open any object; without them only what everybody may read is let through.
    asked = {one.attribute for one in placement.app.bindings if one.of == store.name}
    whole = _used_elsewhere(placement, store)
    signed = whole or "public_endpoint" in asked
    return Route(
        name=store.name,
        kind="bucket",
        port=S3_PORT,
        domain=f"{label}.{base}" if base is not None else None,
        label=None if base is not None else label,
        prefix=f"/{store.database}/{'' if signed else store.public or ''}",
        reads_only=not signed,
        whole=whole,
    )
