"""Which driver a kind of site has: one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from towline.core.errors import UsageError
from towline.drivers.local.driver import LocalSite
from towline.steps.driver import Driver, Onlooker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from towline.core.events import Listener
    from towline.spec.model import Site

    Factory = Callable[[Site, Path, Mapping[str, str], Listener], "LiveSite"]


class LiveSite(Driver, Onlooker, Protocol):
    """A site that can be both changed and looked at."""


def _local(site: Site, home: Path, environ: Mapping[str, str], listener: Listener) -> LiveSite:
    return LocalSite(home, site=site.name, environ=environ, listener=listener)


FACTORIES: dict[str, Factory] = {"local": _local}
"""Site kind to what makes its driver; `home` is PROJECT/.towline/TARGET."""


def driver_of(site: Site, home: Path, environ: Mapping[str, str], listener: Listener) -> LiveSite:
    """The driver of a site. Raises UsageError for a kind that Towline cannot deploy to."""
    factory = FACTORIES.get(site.kind)
    if factory is None:
        raise UsageError(
            f"site `{site.name}` is of kind {site.kind}, to which this version cannot deploy",
            hint="towline plan --help",
        )
    return factory(site, home, environ, listener)
