"""What of an app is at Render, and under which names: the view that the Blueprint is written from."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from towline.artifacts.rendered import Material
    from towline.spec.model import Service, Site, Store

ServiceType = Literal["web", "pserv", "worker", "cron"]

_TYPES: dict[str, ServiceType] = {
    "web": "web",
    "static": "web",
    "private": "pserv",
    "stateful": "pserv",
    "worker": "worker",
    "task": "cron",
}
_INSIDE = frozenset({"web", "private", "worker"})

REGIONS = frozenset({"oregon", "ohio", "frankfurt", "singapore", "virginia"})
"""The regions that the Blueprint's own schema names."""

NOT_PRIVATE = frozenset({10000, 18012, 18013, 19099})
"""Ports that cannot be used between services (https://render.com/docs/private-network)."""


@dataclass(frozen=True)
class Unit:
    """One service of the Blueprint: one service of the app, or several in the one container. `lead` takes requests."""

    name: str
    type: ServiceType
    lead: Service
    members: tuple[Service, ...]
    site: Site

    @property
    def combined(self) -> bool:
        """Whether it is the one container of several processes."""
        return len(self.members) > 1

    @property
    def region(self) -> str | None:
        """Where it runs, when its site says so in the platform's own words."""
        return region_of(self.site)


@dataclass(frozen=True)
class Platform:
    """Everything of one target at Render, in the order of the app."""

    material: Material
    units: tuple[Unit, ...]
    stores: tuple[tuple[Store, Site], ...]

    def unit_of(self, service: str) -> Unit | None:
        """The unit that a service of the app is in; None for one that is elsewhere."""
        return next((unit for unit in self.units if any(one.name == service for one in unit.members)), None)

    def store(self, name: str) -> Store | None:
        """A store that is here; None for one that is elsewhere."""
        return next((store for store, _ in self.stores if store.name == name), None)

    def name_of(self, part: str) -> str:
        """What a service or store is called here: names are shared with everything else of the account."""
        return platform_name(self.material.app.name, part)

    def within(self, path: Path) -> str:
        """A path relative to the repository, with forward slashes; "" is the repository itself."""
        return inner_path(self.material, path)

    @property
    def rendered(self) -> str:
        """The folder of the repository that rendered files are expected in."""
        project = inner_path(self.material, self.material.app.root)
        return "/".join(part for part in (project, "deploy", self.material.target.name) if part)


def platform_of(material: Material) -> Platform:
    """What the target places at Render; paths of stacks are from here on relative to the repository."""
    material = _in_repository(material)
    sites = {site.name: site for site in material.target.sites if site.kind == "render"}
    here = [
        (service, sites[place])
        for service in material.app.services
        for place in material.target.place[service.name]
        if place in sites
    ]
    inside = [(service, site) for service, site in here if service.kind in _INSIDE]
    together = material.target.shape == "combined" and len(inside) > 1
    units: list[Unit] = []
    if together:
        lead, site = next(((one, at) for one, at in inside if one.kind == "web"), inside[0])
        units.append(Unit(material.app.name, "web", lead, tuple(one for one, _ in inside), site))
    for service, site in here:
        if not (together and service.kind in _INSIDE):
            name = platform_name(material.app.name, service.name)
            units.append(Unit(name, _TYPES[service.kind], service, (service,), site))
    stores = tuple(
        (store, sites[place])
        for store in material.app.stores
        for place in material.target.place[store.name]
        if place in sites
    )
    return Platform(material, tuple(units), stores)


def platform_name(app: str, part: str) -> str:
    """`kirby-gen-api`; only what a host name may hold."""
    return re.sub(r"[^a-z0-9]+", "-", f"{app}-{part}".lower()).strip("-")


def region_of(site: Site) -> str | None:
    """The region of a site in the platform's own words: `render/frankfurt` and `frankfurt` are one."""
    written = site.options.get("region", "").rpartition("/")[2]
    return written if written in REGIONS else None


def inner_path(material: Material, path: Path) -> str:
    """A path relative to the repository, with forward slashes; "" is the repository itself.

    The repository is taken to begin where all that is built lies: at the project, or further out where a service is
    built from a folder around it.
    """
    told = posixpath.relpath(path.as_posix(), _repository(material))
    return "" if told == "." else told


def _repository(material: Material) -> str:
    contexts = [one.context.as_posix() for one in material.app.services if one.context is not None]
    return posixpath.commonpath([material.app.root.as_posix(), *contexts])


def _in_repository(material: Material) -> Material:
    """The same with the paths of its stacks, which are relative to the project, relative to the repository."""
    project = inner_path(material, material.app.root)
    if not project:
        return material

    def moved(path: str) -> str:
        told = posixpath.normpath(posixpath.join(project, path))
        return "" if told == "." else told

    def all_moved(paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(moved(path) for path in paths)

    stacks = {
        name: replace(
            stack,
            folder=moved(stack.folder),
            root=moved(stack.root),
            context=moved(stack.context),
            manifests=all_moved(stack.manifests),
            locks=all_moved(stack.locks),
            dev_manifests=all_moved(stack.dev_manifests),
            prisma_schema=moved(stack.prisma_schema) if stack.prisma_schema else None,
            members=tuple(replace(one, folder=moved(one.folder)) for one in stack.members),
        )
        for name, stack in material.stacks.items()
    }
    return replace(material, stacks=stacks)
