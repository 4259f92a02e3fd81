"""Which driver a kind of site has: one table."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

from towline.core.errors import UsageError
from towline.steps.driver import Driver, Insider, Onlooker
from towline.steps.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from towline.core.events import Listener
    from towline.drivers.host.ssh import Connection
    from towline.spec.model import Site
    from towline.steps.machine import BareMachine

    Factory = Callable[[Site, Path, Mapping[str, str], Listener], "OwnSite"]


class LiveSite(Driver, Onlooker, Protocol):
    """A site that can be both changed and looked at."""


class OwnSite(LiveSite, Insider, Protocol):
    """One on this very machine."""


class RemoteSite(LiveSite, Remote, Protocol):
    """One over a network."""


def _local(site: Site, home: Path, environ: Mapping[str, str], listener: Listener) -> OwnSite:
    from towline.drivers.local.driver import LocalSite

    return LocalSite(home, site=site.name, environ=environ, listener=listener)


FACTORIES: dict[str, Factory] = {"local": _local}
"""Site kind to what makes its driver; `home` is PROJECT/.towline/TARGET."""

HOST_HOME = "/var/lib/towline/{app}/{target}"
"""Where a target keeps its files on a host."""


def driver_of(site: Site, home: Path, environ: Mapping[str, str], listener: Listener) -> OwnSite:
    """The driver of a site. Raises UsageError for a kind that Towline cannot deploy to."""
    factory = FACTORIES.get(site.kind)
    if factory is None:
        raise UsageError(
            f"site `{site.name}` is of kind {site.kind}, to which this version cannot deploy",
            hint="towline plan --help",
        )
    return factory(site, home, environ, listener)


def wake(home: Path, environ: Mapping[str, str]) -> None:
    """Have what a site on this machine needs to start things get up, if it did so before; it lies down by itself."""
    from towline.drivers.local.home import home_of
    from towline.drivers.local.supervisor import Supervisor

    place = home_of(home, environ)
    if place.supervisor_state.exists():
        Supervisor(place, environ).ensure()


def connection_of(site: Site, project: Path, listener: Listener) -> Connection:
    """The connection to a machine, not begun yet. Raises UsageError when the site does not say where it is."""
    from towline.drivers.host.address import Address
    from towline.drivers.host.ssh import Connection

    where = site.options.get("ssh")
    if where is None:
        raise UsageError(
            f"site `{site.name}` does not say where it is", hint=f"{site.name}: {{kind: host, ssh: USER@HOST}}"
        )
    config = site.options.get("ssh_config")
    options = ("-F", str(project / config)) if config else ()
    return Connection(Address.parse(where), listener, options=options)


def begun(sites: Iterable[Site], project: Path, listener: Listener) -> dict[str, Connection]:
    """Connections to machines, begun, by site; where somebody made a mistake in an address there is none."""
    links = {}
    for site in sites:
        with contextlib.suppress(UsageError):
            links[site.name] = connection_of(site, project, listener)
    for link in links.values():
        link.begin()
    return links


def host_of(site: Site, link: Connection, app: str, target: str, *, linked: bool = False) -> RemoteSite:
    """The driver of a machine over a connection; `linked`: it needs a key for a private link."""
    from towline.drivers.host.fresh import FreshHost

    return FreshHost(link, HOST_HOME.format(app=app, target=target), site=site.name, linked=linked)


def address_of(where: str) -> str:
    """The host alone in what a person types after `ssh`. Raises UsageError when it is no address."""
    from towline.drivers.host.address import Address

    return Address.parse(where).host


def port_of(where: str) -> int | None:
    """The port in what a person types after `ssh`; None where it is left to the user's own configuration."""
    from towline.drivers.host.address import Address

    return Address.parse(where).port


def bare_machine_of(
    address: str, deployer: str, listener: Listener, ssh_options: tuple[str, ...], host_key: str | None
) -> BareMachine:
    """A machine that is no site yet, by what a person types after `ssh`; a connection to it is begun.

    A key with the fingerprint `host_key` is taken in before. Raises UsageError for no address, Refused for another key.
    """
    from towline.drivers.host.address import Address
    from towline.drivers.host.ssh import Connection

    end = Address.parse(address)
    if host_key is not None:
        from towline.drivers.host.host_keys import take_in

        take_in(end, host_key, ssh_options)
    link = Connection(end, listener, options=ssh_options)
    link.begin()
    # The machine is on its way now: the rest is loaded meanwhile.
    from towline.drivers.host.bare import BareHost

    return BareHost(end, deployer, listener, options=ssh_options, link=link)
