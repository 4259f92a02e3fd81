"""A target whose sites are machines with an engine, opened: its files, its vault, its drivers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from towline.artifacts.containers import text_of
from towline.artifacts.front_door import HOST, routes
from towline.artifacts.host_bundle import Making, site_bundle
from towline.artifacts.host_services import REGISTRY, VERSION, Ground, image_of
from towline.artifacts.model import Bundle
from towline.core.errors import Finding, Findings, UsageError, Where
from towline.core.secret import Secret, generate
from towline.ops.render import material_of
from towline.ops.secrets import vault_of
from towline.ops.workspace import open_host, open_workspace, ssh_host_of
from towline.spec.read import PAGE, read_page, target_alone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from towline.artifacts.rendered import Material
    from towline.core.events import Listener
    from towline.ops.secrets import Vault
    from towline.ops.workspace import LiveSite, Workspace
    from towline.spec.model import App, Site, Target
    from towline.steps.driver import Driver
    from towline.steps.model import Facts


@dataclass(frozen=True)
class Hosts:
    """One target on hosts. `told` are settings for this run alone, such as the version; they go before the vault's."""

    material: Material
    vault: Vault
    live: Mapping[str, LiveSite]
    told: Mapping[str, str] = field(default_factory=dict)

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

    def values(self) -> dict[str, Secret]:
        """Every setting: what this run is told, what the vault has, and new ones where any random text serves.

        Raises Findings with every one that only a person can give.
        """
        kept = {name: one.value for name, one in self.vault.kept().items()}
        made = {name: generate() for name, one in self.vault.wanted.items() if one.generated and name not in kept}
        told = {name: Secret(value) for name, value in self.told.items()}
        known = {**self._by_default(), **kept, **made, **told}
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
        """Everything as it should be on every host."""
        parts = tuple(
            site_bundle(Making(self.material, site, {}, values, seen[site.name].salt.reveal().encode()))
            for site in self.target.sites
        )
        return Bundle(self.app.name, self.target.name, parts)

    def _by_default(self) -> dict[str, Secret]:
        """The address of the first host is the name of the app, while nobody gives it one."""
        return {HOST.name: Secret(ssh_host_of(self.target.sites[0]))}

    def _missing(self, known: Mapping[str, Secret]) -> Iterator[Finding]:
        where = Where(str(self.vault.place.file))
        for name, one in self.vault.wanted.items():
            if name not in known and not one.optional:
                hint = f"towline secrets set {name} -t {self.target.name}"
                yield Finding("secret-missing", f"{name}: {one.why}", where, hint)
        for setting in (REGISTRY, VERSION):
            if setting.name not in known and (built := self._built()):
                hint = f"towline deploy {self.target.name} --set {setting.name}=..."
                yield Finding("setting-missing", f"{setting.name}: {setting.hint}, for {', '.join(built)}", None, hint)

    def _built(self) -> list[str]:
        """The services whose image comes from the app's own registry."""
        grounds = [Ground(self.material, site) for site in self.target.sites]
        return sorted({one.name for ground in grounds for one in ground.services if REGISTRY in image_of(ground, one)})


def open_hosts(
    project: Path, target: str, today: str, listener: Listener, told: Mapping[str, str] | None = None
) -> Hosts:
    """A target on hosts, opened; no connection is made yet.

    Raises Findings with all that is wrong with the files, UsageError for a target with a site of another kind.
    """
    material = material_of(project, target, project / "deploy" / target)
    others = [one for one in material.target.sites if one.kind != "host"]
    if others:
        raise UsageError(_no_host(target, others[0]), hint=f"towline plan {target}")
    app = material.app.name
    live = {
        one.name: open_host(one, app, target, project.resolve(), listener)  # one connection a host
        for one in material.target.sites
    }
    return Hosts(material, vault_of(project, material, today), live, told or {})


def open_target(project: Path, target: str, listener: Listener) -> Workspace | Hosts:
    """Any target to which this version can deploy, opened. Raises as `open_hosts` and `open_workspace`."""
    page = read_page(project / PAGE)
    known = target_alone(page, target)
    if known is not None and known.sites and all(one.kind == "host" for one in known.sites):
        return open_hosts(project, target, "", listener)
    return open_workspace(project, target, listener)


def _no_host(target: str, site: Site) -> str:
    if site.kind == "local":
        return f"`{target}` is this machine: `towline up` starts the app here"
    return f"site `{site.name}` of `{target}` is of kind {site.kind}, to which this version cannot deploy"
