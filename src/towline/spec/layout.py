"""Which services of the Compose file are services of the app, which are stores, and which are left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.spec.detect import store_kind
from towline.spec.page import ServiceEntry

if TYPE_CHECKING:
    from towline.spec.compose import ComposeConfig
    from towline.spec.page import Page


@dataclass(frozen=True)
class Layout:
    """`services` are names of the Compose file in its order. `stores` maps a store to its Compose service, or None."""

    services: tuple[str, ...]
    stores: dict[str, str | None]
    omitted: frozenset[str]


def lay_out(compose: ComposeConfig, page: Page) -> Layout:
    """Every Compose service in one of the three groups: the page decides, and where it is silent the image."""
    stores: dict[str, str | None] = {}
    for name, entry in page.stores.items():
        written = entry.service or name
        stores[name] = written if compose.container(written) else None
    claimed = {service for service in stores.values() if service}
    services: list[str] = []
    omitted: set[str] = set()
    for container in compose.containers:
        own = page.services.get(container.name, ServiceEntry())
        if container.name in claimed:
            continue
        if own.omit:
            omitted.add(container.name)
        elif own.kind is None and store_kind(container) is not None:
            stores[_free_name(container.name, stores)] = container.name
        else:
            services.append(container.name)
    return Layout(tuple(services), stores, frozenset(omitted))


def app_name(project: str) -> str:
    """Compose's project name, made fit for a host name: small letters, digits and dashes, a letter first."""
    plain = re.sub(r"[^a-z0-9-]+", "-", project.lower()).strip("-") or "app"
    return (plain if plain[0].isalpha() else f"app-{plain}")[:41].rstrip("-")


def _free_name(service: str, taken: dict[str, str | None]) -> str:
    """The name of a store that only the Compose file has: its service's, made fit for hosts and folders."""
    plain = re.sub(r"[^a-z0-9_-]", "-", service.lower()).strip("-") or "store"
    name = plain if plain[0].isalpha() else f"store-{plain}"
    while name in taken:
        name = f"{name}-2"
    return name
