"""What a check may look at: everything that was read, and what was resolved from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from towline.core.errors import Finding, Where
from towline.spec.ground import Ground
from towline.spec.nearest import nearest
from towline.spec.page import Page, ServiceEntry, StoreEntry

if TYPE_CHECKING:
    from pathlib import Path

    from towline.spec.compose import ComposeConfig
    from towline.spec.layout import Layout
    from towline.spec.mistakes import ReadPage
    from towline.spec.model import App, Service, Target

KIND = ("kind", "output", "domain", "image", "ports", "expose")
"""The keys that tell of what kind a service is."""


@dataclass(frozen=True)
class View:
    """Compose file and page as read, App and Target as resolved from them. `absent` are files that were asked for."""

    compose: ComposeConfig
    read: ReadPage
    app: App
    target: Target
    layout: Layout
    ground: dict[str, Ground]
    absent: frozenset[Path] = field(default=frozenset())

    @property
    def page(self) -> Page:
        """The page, without what was refused of it."""
        return self.read.page

    @property
    def names(self) -> tuple[str, ...]:
        """The services and stores of the app."""
        return (*(service.name for service in self.app.services), *(store.name for store in self.app.stores))

    def entry(self, service: str) -> ServiceEntry:
        """What the page says of a service."""
        return self.page.services.get(service, ServiceEntry())

    def store_entry(self, store: str) -> StoreEntry:
        """What the page says of a store."""
        return self.page.stores.get(store, StoreEntry())

    def ground_of(self, service: str) -> Ground:
        """What lies in the service's build context."""
        return self.ground.get(service, Ground())

    def at(self, *path: str) -> Where:
        """The place of `path` in the page."""
        return self.read.source.where(*path)

    def at_service(self, service: str, *keys: str) -> Where:
        """The place of a field of a service: in the page when it is there, else in the Compose file, else of it all."""
        path = ("services", service, *keys)
        in_page = path in self.read.source.lines
        return self.read.source.where(*path) if in_page else self.compose.where(*path)

    def sure(self, name: str, *keys: str) -> bool:
        """Whether what these keys say of a service, in the page and in the Compose file, is what their author meant.

        What was refused there cannot be told, nor what stands in the entry of a mistyped name.
        """
        container = self.compose.container(name)
        doubts = set() if container is None else set(container.doubts)
        known = [one.name for one in self.compose.containers]
        for other, entry in self.page.services.items():
            if other not in known and nearest(other, known) == name:
                doubts |= entry.model_fields_set
        return doubts.isdisjoint(keys) and all(self.read.stands("services", name, key) for key in keys)

    def on_local(self, name: str) -> bool:
        """Whether the target places a service or store on a site of kind `local`."""
        local = {site.name for site in self.target.sites if site.kind == "local"}
        return any(site in local for site in self.target.place.get(name, ()))

    def local_services(self) -> list[Service]:
        """The services that run on this machine without containers."""
        return [service for service in self.app.services if self.on_local(service.name)]


def warning(code: str, sentence: str, where: Where | None, hint: str | None) -> Finding:
    """A Finding that stops nothing."""
    return Finding(code, sentence, where, hint, "warning")
