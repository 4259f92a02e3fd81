"""What there is to test, build, deploy, migrate and back up for one target: what its workflows are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from towline.artifacts.blueprint_builds import combined_dockerfile, runtime_of
from towline.artifacts.blueprint_platform import Platform, inner_path, platform_of
from towline.artifacts.ci.actions import setting
from towline.artifacts.variables import is_secret_name, on_a_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.artifacts.blueprint_platform import Unit
    from towline.artifacts.rendered import Material
    from towline.spec.model import Service, Site, Store

Reach = Literal["platform", "server", "address"]

_BUILD_THEMSELVES = frozenset({"render", "vercel", "local"})


@dataclass(frozen=True)
class Image:
    """An image that is built here. Paths are relative to the repository; `args` are what its build is told, by name."""

    service: str
    context: str
    dockerfile: str
    args: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Database:
    """A Postgres and how it is reached from outside: through Render's API, over SSH, or by an address of its own."""

    store: Store
    site: Site
    reach: Reach


@dataclass(frozen=True)
class Pipeline:
    """Everything of one target that a workflow speaks of, in the order of the app."""

    material: Material
    platform: Platform
    images: tuple[Image, ...]
    hosts: tuple[Site, ...]
    panels: tuple[Site, ...]
    databases: tuple[Database, ...]

    @property
    def app(self) -> str:
        """The app's name."""
        return self.material.app.name

    @property
    def target(self) -> str:
        """The target's name."""
        return self.material.target.name

    def named(self, what: str) -> str:
        """What a workflow of this target is called, as its file is: another target has its own beside it."""
        return f"{what}-{self.target}"

    def own(self, *words: str) -> str:
        """The name of a secret or variable of the repository that is about this target: `PRODUCTION_BOX_SSH_KEY`."""
        return setting(self.target, *words)

    @property
    def builds(self) -> bool:
        """Whether anything of the app is built from this repository."""
        return bool(self.material.stacks) or bool(self.images)

    @property
    def deploys(self) -> bool:
        """Whether the target has a site that these workflows can deploy to."""
        return bool(self.platform.units or self.hosts or self.panels)

    @property
    def migrates(self) -> bool:
        """Whether a migration is a job of its own."""
        return self.material.app.release is not None and self.deploys

    def image_of(self, service: str) -> Image | None:
        """The image of a service, None for one that is not built into one here."""
        if any(one.service == self.app for one in self.images) and self._combined(service) is not None:
            return next(one for one in self.images if one.service == self.app)
        return next((one for one in self.images if one.service == service), None)

    def services_on(self, site: Site) -> tuple[Service, ...]:
        """The services with a copy on a site."""
        return self.material.placement.services_on(site)

    def sites_of(self, service: str) -> tuple[Site, ...]:
        """The sites that a service is on."""
        names = self.material.target.place[service]
        return tuple(site for site in self.material.target.sites if site.name in names)

    def _combined(self, service: str) -> Unit | None:
        unit = self.platform.unit_of(service)
        return unit if unit is not None and unit.combined else None


def pipeline_of(material: Material) -> Pipeline:
    """The pipeline of a target."""
    platform = platform_of(material)
    material = platform.material
    sites = material.target.sites
    used = [site for site in sites if material.placement.services_on(site)]
    return Pipeline(
        material=material,
        platform=platform,
        images=tuple(_images(material, platform)),
        hosts=tuple(site for site in used if site.kind == "host"),
        panels=tuple(site for site in used if site.kind in {"coolify", "dokploy"}),
        databases=tuple(_databases(material)),
    )


def _images(material: Material, platform: Platform) -> list[Image]:
    found = []
    combined = next((unit for unit in platform.units if unit.combined), None)
    if combined is not None and any(one.context is not None for one in combined.members):
        found.append(Image(material.app.name, ".", f"{platform.rendered}/{combined_dockerfile(material)}"))
    for service in material.app.services:
        unit = platform.unit_of(service.name)
        kinds = {site.kind for site in material.target.sites if site.name in material.target.place[service.name]}
        needed = bool(kinds - _BUILD_THEMSELVES)
        if service.context is None or (unit is not None and unit.combined):
            continue
        if needed or (unit is not None and runtime_of(platform, unit) == "docker"):
            found.append(_image(material, platform, service))
    return found


def _image(material: Material, platform: Platform, service: Service) -> Image:
    stack = material.stacks.get(service.name)
    context = inner_path(material, service.context) if service.context is not None else ""
    if service.dockerfile is not None:
        dockerfile = inner_path(material, service.dockerfile)
    else:
        dockerfile = f"{platform.rendered}/dockerfiles/{service.name}.Dockerfile"
        context = stack.context if stack is not None else context
    return Image(service.name, context or ".", dockerfile, tuple(_args(material, service)))


def _args(material: Material, service: Service) -> Iterator[tuple[str, str]]:
    """What a build reads: spelled out, the address of a service with a domain, else a variable of the repository.

    A secret is none of them: it would stay in the image.
    """
    for known in material.variables_of(service.name):
        one = on_a_server(known)
        if not one.build or one.origin == "generated" or is_secret_name(one.name):
            continue
        of, _, attribute = (one.reference or "").rpartition(".")
        other = next((it for it in material.app.services if it.name == of), None)
        if one.origin == "spelled" and one.value is not None:
            yield one.name, one.value
        elif other is not None and attribute == "url":
            yield (
                one.name,
                f"https://{other.domain}"
                if other.domain
                else f"${{{{ vars.{setting(material.target.name, other.name, 'URL')} }}}}",
            )
        else:
            yield one.name, f"${{{{ vars.{setting(material.target.name, one.name)} }}}}"


def _databases(material: Material) -> list[Database]:
    reach: dict[str, Reach] = {"render": "platform", "host": "server"}
    found = []
    for store in material.app.stores:
        names = material.target.place[store.name]
        site = next((one for one in material.target.sites if one.name in names), None)
        if store.kind == "postgres" and site is not None and site.kind != "local":
            found.append(Database(store, site, reach.get(site.kind, "address")))
    return found
