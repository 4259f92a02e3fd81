"""The only wiring: the user's files, the drivers of the target's sites, and who is acting."""

from __future__ import annotations

import getpass
import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from towline.artifacts.addresses import wanted_values
from towline.artifacts.bundle import addresses_of, bundle
from towline.artifacts.ports import Ports
from towline.artifacts.services import Sources
from towline.artifacts.source import source_digest
from towline.core.errors import UsageError
from towline.core.events import Listener, ignore
from towline.drivers.registry import address_of, driver_of, port_of
from towline.planner.place import place
from towline.secrets.values import read_values, with_missing, write_values
from towline.spec.model import Site
from towline.spec.read import Reading, read_with_mistakes
from towline.steps.driver import Driver, Insider, Onlooker
from towline.steps.model import digest_of
from towline.steps.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from towline.artifacts.addresses import Local
    from towline.artifacts.model import Bundle
    from towline.core.errors import Finding
    from towline.core.secret import Secret
    from towline.planner.model import Placement
    from towline.spec.model import App, Service, Target
    from towline.steps.model import Facts, Plan


class LiveSite(Driver, Onlooker, Protocol):
    """A site that can be both changed and looked at."""


class OwnSite(LiveSite, Insider, Protocol):
    """One on this very machine."""


class RemoteSite(LiveSite, Remote, Protocol):
    """One over a network."""


class Opened(Protocol):
    """A target of a project, opened: what planning, deploying and recovering need of it, wherever its sites are."""

    @property
    def app(self) -> App:
        """The app."""

    @property
    def target(self) -> Target:
        """The target."""

    @property
    def site(self) -> LiveSite:
        """The site that keeps the journal: the first."""

    @property
    def sites(self) -> dict[str, Driver]:
        """The drivers by the names of their sites."""

    @property
    def onlookers(self) -> Mapping[str, LiveSite]:
        """The same, as those who look at what runs."""

    def public_urls(self) -> dict[str, str]:
        """The addresses that a browser can open, by service: the one a newcomer wants first comes first."""

    def values(self) -> dict[str, Secret]:
        """Every secret value, with new ones for those that have none yet; not written down."""

    def keep(self, values: dict[str, Secret]) -> None:
        """Write the values down."""

    def bundle(self, seen: Mapping[str, Facts], values: Mapping[str, Secret]) -> Bundle:
        """Everything as it should be, given what is there."""

    def deliver(self, plan: Plan) -> None:
        """Bring the sites what the steps of a plan expect to find there and is too large for a step."""


LEASE = 30.0
"""Seconds that a lock lasts without being renewed: an operator that is gone blocks the next one no longer."""


@dataclass(frozen=True)
class Standing:
    """What stands on the sites of a target, opened without the user's files: enough to take it down."""

    app: str
    target: str
    site: LiveSite

    @property
    def sites(self) -> dict[str, Driver]:
        """The drivers by the names of their sites."""
        return {self.site.site: self.site}


@dataclass(frozen=True)
class Workspace:
    """One target of one project, opened: everything that a story needs."""

    project: Path
    app: App
    target: Target
    warnings: tuple[Finding, ...]
    placement: Placement
    site: OwnSite
    machine: Mapping[str, str]

    @property
    def sites(self) -> dict[str, Driver]:
        """The drivers by the names of their sites."""
        return {self.site.site: self.site}

    @property
    def onlookers(self) -> Mapping[str, LiveSite]:
        """The same, as those who look at what runs."""
        return {self.site.site: self.site}

    @property
    def home(self) -> Path:
        """Where the target keeps its own files."""
        return home_of(self.project, self.target.name)

    @property
    def standing(self) -> Standing:
        """The part that needs no files of the user."""
        return Standing(self.app.name, self.target.name, self.site)

    def values(self) -> dict[str, Secret]:
        """The values of the stores, with new ones for stores that have none yet; not written down."""
        return with_missing(read_values(self._values_file), wanted_values(self.app))

    def keep(self, values: dict[str, Secret]) -> None:
        """Write the values down."""
        write_values(self._values_file, values)

    def public_urls(self) -> dict[str, str]:
        """The addresses that a browser can open, by service: the one a newcomer wants first comes first."""
        addresses = self.addresses()
        shown = [one for one in self.app.services if one.kind in ("static", "web")]
        ordered = sorted(shown, key=lambda one: one.kind != "static")
        return {one.name: addresses.public_url(one.hostname) for one in ordered}

    def addresses(self) -> Local:
        """Where everything is found, as the running app has it."""
        return addresses_of(self.placement, Ports(self.site.observe()), self.values())

    def bundle(self, seen: Mapping[str, Facts], values: Mapping[str, Secret]) -> Bundle:
        """Everything as it should be, given what is there."""
        facts = seen[self.site.site]
        return bundle(self.placement, facts, values, sources_of(self.app), self.machine)

    def deliver(self, plan: Plan) -> None:
        """There is nothing to bring: everything is here."""

    @property
    def _values_file(self) -> Path:
        return self.home / "secrets.json"


@dataclass(frozen=True)
class Survey:
    """A project looked over: what its files say, mistakes and all, and `site`, which is None where nobody can tell."""

    project: Path
    home: Path
    reading: Reading
    site: OwnSite | None
    machine: Mapping[str, str]
    listener: Listener

    def workspace(self) -> Workspace:
        """The target, opened. Raises Findings with every mistake in the files, UsageError for a site of no driver."""
        found = self.reading.resolved()
        placement = place(found.app, found.target)
        site = self.site or driver_of(found.target.sites[0], self.home, self.machine, self.listener)
        return Workspace(self.project, found.app, found.target, found.warnings, placement, site, self.machine)


def survey(project: Path, target: str, listener: Listener = ignore, *, reading: Reading | None = None) -> Survey:
    """Look a project over; `reading` is what its files say, when that was asked before.

    Raises UsageError when there is no such folder, and for nothing that is written in it.
    """
    machine = dict(os.environ)
    project = _folder(project)
    if reading is None:
        reading = read_with_mistakes(project, target, env=machine)
    home = home_of(project, target)
    chosen = next(iter(reading.target.sites), None) if reading.target else None
    known = chosen is not None and chosen.kind == "local"
    site = driver_of(chosen, home, machine, listener) if chosen is not None and known else None
    return Survey(project, home, reading, site, machine, listener)


def open_workspace(project: Path, target: str, listener: Listener = ignore) -> Workspace:
    """Read the user's files and open the target's sites. Raises Findings with every mistake in the files."""
    return survey(project, target, listener).workspace()


def open_standing(project: Path, target: str) -> Standing:
    """What was deployed from a project, whatever its files say by now. Raises UsageError when nothing ever was."""
    project = _folder(project)
    home = home_of(project, target)
    site = driver_of(Site("local", "local"), home, dict(os.environ), ignore) if home.is_dir() else None
    last = next((line.plan for line in reversed(site.journal()) if line.plan), None) if site else None
    if site is None or last is None:
        raise UsageError(f"nothing of {project} was ever started as target `{target}`", hint="towline up")
    return Standing(str(last["app"]), target, site)


def outside_of(site: Site) -> str:
    """Where a host is asked from outside: the address that its site gives, else the host that ssh goes to."""
    return site.options.get("address") or ssh_host_of(site)


def ssh_port_of(site: Site) -> int | None:
    """The port of ssh where the site names one."""
    return port_of(site.options["ssh"])


def ssh_host_of(site: Site) -> str:
    """The host that ssh goes to."""
    return address_of(site.options["ssh"])


def public_host_of(site: Site) -> str:
    """How the host that ssh goes to stands in the addresses of a site that nobody gave a name."""
    host = ssh_host_of(site)
    return f"[{host}]" if ":" in host else host


def _folder(project: Path) -> Path:
    if not project.is_dir():
        raise UsageError(f"there is no folder {project}", hint="ls")
    return project.resolve()


def home_of(project: Path, target: str) -> Path:
    """The folder in which a target on this machine keeps what it needs."""
    return project / ".towline" / target


def owner() -> str:
    """Who acts, as a lock shows it to others."""
    return f"{getpass.getuser()}@{platform.node()} pid {os.getpid()}"


def sources_of(app: App) -> Sources:
    """The identities of the code and the lock files of every service, each context read once."""
    left_out: dict[Path, set[str]] = {}
    for service in app.services:
        if service.context is not None:
            left_out.setdefault(service.context, set()).update(_made_by(service))
    digests = {context: source_digest(context, sorted(made)) for context, made in left_out.items()}
    code = {one.name: digests[one.context] for one in app.services if one.context is not None}
    return Sources(code=code, locks={one.name: _locks(one) for one in app.services})


def _made_by(service: Service) -> set[str]:
    """What a build writes into the context is not its code."""
    if service.output is None or service.context is None:
        return set()
    made = service.folder / service.output.strip("/")
    return {f"/{made.relative_to(service.context).as_posix()}/"}


def _locks(service: Service) -> str:
    return digest_of([(path.name, path.read_text(errors="replace")) for path in service.setup_locks])
