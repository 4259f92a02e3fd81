"""The artifacts of one app on one site: everything that `release.build` needs to decide what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.artifacts.migrations import Migration
    from towline.core.secret import Secret
    from towline.steps.door import OpenMachineDoor, PublicNames
    from towline.steps.folders import PlaceFolder
    from towline.steps.images import BuildImage, ClearAway, FetchImage, LoadImage
    from towline.steps.kinds import InitStore, Instance, PrepareStore, RunTask
    from towline.steps.links import JoinLink


SEEDED = "once"
"""The marker of a seed: however its command is changed, it has been run."""


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
    """Everything that should be on one site. `release_task` runs once, before any traffic shifts; `seed_task` after it.

    `door` is the front door, with the digest of its routes. `contents` are the stashed contents by digest. On a machine
    that targets share, `names` are those of this one there, and `machine_door` is what leads from them to its door.
    `link` is its end of the private link with other sites. `images` bring the images and folders of the project that it
    lacks, `clear_away` takes what no kept release needs; `image_notes` say by service what a person should know of its
    image. With `hands_over` old copies that have been replaced finish by themselves there, and nobody waits for them.
    `migration` is what surrounds the release task where it works on a database of the site.
    """

    site: str
    stores: tuple[StoreArtifact, ...]
    services: tuple[ServiceArtifact, ...]
    release_task: RunTask | None
    door: Instance | None
    routes: str | None
    contents: Mapping[str, Secret] = field(repr=False)
    names: PublicNames | None = None
    machine_door: OpenMachineDoor | None = None
    link: JoinLink | None = None
    images: tuple[LoadImage | FetchImage | BuildImage | PlaceFolder, ...] = ()
    clear_away: ClearAway | None = None
    image_notes: Mapping[str, str] = field(default_factory=dict)
    hands_over: bool = False
    migration: Migration | None = None
    seed_task: RunTask | None = None


@dataclass(frozen=True)
class Bundle:
    """All artifacts of one placement, a part for each site."""

    app: str
    target: str
    sites: tuple[SiteBundle, ...]
