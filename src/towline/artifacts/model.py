"""The artifacts of one app on one site: everything that `release.build` needs to decide what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.core.secret import Secret
    from towline.steps.kinds import InitStore, Instance, PrepareStore, RunTask


@dataclass(frozen=True)
class StoreArtifact:
    """A store as it should be: what keeps its data, the server that runs, what must exist in it (None: nothing).

    `holds_requests` says that its address accepts connections from the start, and lets them wait until it is ready.
    """

    init: InitStore
    server: Instance
    prepare: PrepareStore | None
    holds_requests: bool = False


@dataclass(frozen=True)
class ServiceArtifact:
    """A service as it should be.

    `instances` are its wanted copies, whose names hold their revision: an instance that runs under a wanted name is
    never touched. `upstreams` is where its traffic should go (empty for kinds without traffic). `swap` says how old
    copies give way: `beside` = new ones first, `after` = old ones first. `tasks` come before anything of it starts
    (setup, then build). `after` are services that must be ready first.
    """

    name: str
    instances: tuple[Instance, ...]
    upstreams: tuple[str, ...]
    swap: Literal["beside", "after"]
    swap_reason: str
    tasks: tuple[RunTask, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class SiteBundle:
    """Everything that should be on one site. `release_task` runs once, before any traffic shifts.

    `door` is the front door, with the digest of its routes. `contents` are the stashed contents by digest.
    """

    site: str
    stores: tuple[StoreArtifact, ...]
    services: tuple[ServiceArtifact, ...]
    release_task: RunTask | None
    door: Instance | None
    routes: str | None
    contents: Mapping[str, Secret] = field(repr=False)


@dataclass(frozen=True)
class Bundle:
    """All artifacts of one placement, a part for each site."""

    app: str
    target: str
    sites: tuple[SiteBundle, ...]
