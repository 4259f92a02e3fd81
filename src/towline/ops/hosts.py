"""A target whose sites are machines with an engine, opened: its files, its vault, its drivers."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from towline.artifacts.containers import text_of
from towline.artifacts.front_door import HOST, routes
from towline.artifacts.host_bundle import Making
from towline.artifacts.host_services import REGISTRY, VERSION, Ground, image_of
from towline.artifacts.links import linked_sites
from towline.artifacts.model import Bundle
from towline.core.errors import Finding, Findings, UsageError, Where
from towline.core.events import ignore
from towline.core.secret import Secret, generate
from towline.ops.folders import folders_of
from towline.ops.image_builds import Builder
from towline.ops.images import Images
from towline.ops.links import site_links, told_values
from towline.ops.render import material_of
from towline.ops.workspace import public_host_of
from towline.release.names import refuse_taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from towline.artifacts.folders import Travelling
    from towline.artifacts.rendered import Material
    from towline.core.events import Listener
    from towline.ops.opening import Reach
    from towline.ops.secrets import Vault
    from towline.ops.workspace import LiveSite, RemoteSite
    from towline.spec.model import App, Site, Target
    from towline.steps.driver import Driver
    from towline.steps.model import Facts, Plan


@dataclass(frozen=True)
class Hosts:
    """One target on hosts.

    `told` are settings for this run alone, such as the version; they go before the vault's. `images` are images for
    this run alone, by service: they go before those that the files name. `renew`: ask the registries again for every
    tag, and build without a cache.
    """

    material: Material
    vault: Vault
    live: Mapping[str, RemoteSite]
    told: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    listener: Listener = ignore
    renew: bool = False

    @property
    def app(self) -> App:
        """The app."""
        return self.material.app

    @property
    def target(self) -> Target:
        """The target."""
        return self.material.target

    @property
    def site(self) -> LiveSite:
        """The site that keeps the journal: the first."""
        return next(iter(self.live.values()))

    @property
    def sites(self) -> dict[str, Driver]:
        """The drivers by the names of their sites."""
        return dict(self.live)

    @property
    def onlookers(self) -> Mapping[str, LiveSite]:
        """The same, as those who look at what runs."""
        return self.live

    def values(self) -> dict[str, Secret]:
        """Every setting: what this run is told, what the vault has, and new ones where any random text serves.

        Raises Findings with every one that only a person can give.
        """
        kept = {name: one.value for name, one in self.vault.kept().items()}
        made = {name: generate() for name, one in self.vault.wanted.items() if one.generated and name not in kept}
        told = {name: Secret(value) for name, value in self.told.items()}
        known = {**self._by_default(), **kept, **made, **told}
        known |= told_values(self.material, known)
        if missing := tuple(self._missing(known)):
            raise Findings(missing)
        return known

    def public_urls(self) -> dict[str, str]:
        """The addresses that a browser can open, by service."""
        known = {name: one.value.reveal() for name, one in self.vault.kept().items() if name == HOST.name}
        names = {name: one.reveal() for name, one in self._by_default().items()} | known
        found = {}
        for site in self.target.sites:
            for route in routes(self.material.placement, site, self.material.containers):
                if route.kind != "bucket" and (route.domain is not None or HOST.name in names):
                    found[route.name] = text_of(route.url, names)
        return found

    def keep(self, values: dict[str, Secret]) -> None:
        """Put into the vault what was made for this run."""
        kept = self.vault.kept()
        made = {name for name, one in self.vault.wanted.items() if one.generated and name not in kept}
        if new := {name: values[name] for name in made if name in values}:
            self.vault.put(new, "generated")

    def bundle(self, seen: Mapping[str, Facts], values: Mapping[str, Secret]) -> Bundle:
        """Everything as it should be on every host. Raises Findings for a public name that another app has there."""
        links = site_links(self.material, seen)
        makings = {
            site.name: Making(
                self.material,
                site,
                self.images,
                values,
                seen[site.name].salt.reveal().encode(),
                running={one.name: one.state for one in seen[site.name].instances},
                named=values.get(HOST.name) != self._by_default()[HOST.name],
                link=links.get(site.name),
                folders=self._folders,
            )
            for site in self.target.sites
        }
        chosen = self._supply.choose(makings, seen)
        keep = self.target.keep
        parts = tuple(self._supply.part(one, chosen[name], seen[name], keep) for name, one in makings.items())
        whole = Bundle(self.app.name, self.target.name, parts)
        refuse_taken(whole, seen)
        return whole

    def deliver(self, plan: Plan) -> None:
        """Send the hosts what they lack of the images of a plan. Raises StepFailed, SiteUnreachable."""
        self._supply.deliver(plan)

    def close(self) -> None:
        """Let go of every connection, and of the images that were saved for this run."""
        for site in self.live.values():
            site.close()
        if "_supply" in vars(self):
            self._supply.builder.close()

    @cached_property
    def _folders(self) -> dict[str, Travelling]:
        """The folders of the project that services mount; read once for a run."""
        return folders_of(self.material)

    @cached_property
    def _supply(self) -> Images:
        """What brings images; one for a run, since it knows what was built."""
        return Images(self.live, Builder(os.environ, self.listener), os.environ, self.listener, self.renew)

    def _by_default(self) -> dict[str, Secret]:
        """The address of the first host is the name of the app, while nobody gives it one."""
        return {HOST.name: Secret(public_host_of(self.target.sites[0]))}

    def _missing(self, known: Mapping[str, Secret]) -> Iterator[Finding]:
        where = Where(str(self.vault.place.file))
        for name, one in self.vault.wanted.items():
            if name not in known and not one.optional:
                hint = f"towline secrets set {name} -t {self.target.name}"
                yield Finding("secret-missing", f"{name}: {one.why}", where, hint)
        both = (REGISTRY, VERSION)
        for setting in both if any(one.name in known for one in both) else ():  # without either they are built here
            if setting.name not in known and (built := self._built()):
                hint = f"towline deploy {self.target.name} --set {setting.name}=..."
                yield Finding("setting-missing", f"{setting.name}: {setting.hint}, for {', '.join(built)}", None, hint)

    def _built(self) -> list[str]:
        """The services whose image comes from the app's own registry."""
        grounds = [Ground(self.material, site) for site in self.target.sites]
        found = {one.name for ground in grounds for one in ground.services if REGISTRY in image_of(ground, one)}
        return sorted(found - self.images.keys())


def reached(project: Path, target: str, reach: Reach) -> tuple[Material, dict[str, RemoteSite]]:
    """What the files say of a target on hosts, and the drivers of its sites, one connection a host.

    Raises Findings with all that is wrong with the files, UsageError for a target with a site of another kind.
    """
    material = material_of(project, target, project / "deploy" / target)
    others = [one for one in material.target.sites if one.kind != "host"]
    if others:
        hint = "towline up" if others[0].kind == "local" else f"towline plan {target}"
        raise UsageError(_no_host(target, others[0]), hint=hint)
    linked = linked_sites(material)
    return material, {one.name: reach(one, material.app.name, one.name in linked) for one in material.target.sites}


def _no_host(target: str, site: Site) -> str:
    if site.kind == "local":
        return f"`{target}` is this machine: `towline up` starts the app here"
    return f"site `{site.name}` of `{target}` is of kind {site.kind}, to which this version cannot deploy"
