"""What planning decides: where everything is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from towline.spec.model import App, Service, Site, Store, Target


@dataclass(frozen=True)
class Placement:
    """Every service and store of an app on a site."""

    app: App
    target: Target

    def services_on(self, site: Site) -> tuple[Service, ...]:
        """The services that have at least one copy on `site`, in the order of the app."""
        return tuple(service for service in self.app.services if site.name in self.target.place[service.name])

    def stores_on(self, site: Site) -> tuple[Store, ...]:
        """The stores on `site`, in the order of the app."""
        return tuple(store for store in self.app.stores if site.name in self.target.place[store.name])
