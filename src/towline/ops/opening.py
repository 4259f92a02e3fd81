"""Opens a target: while what plans it is loaded and the files are read, the way to its machines is opened already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.drivers.registry import bare_machine_of, begun, connection_of, host_of
from towline.spec.read import PAGE, read_page, target_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from towline.core.events import Listener
    from towline.ops.hosts import Hosts
    from towline.ops.workspace import RemoteSite, Workspace
    from towline.spec.model import Site, Target
    from towline.steps.machine import BareMachine

    Reach = Callable[[Site, str, bool], RemoteSite]
    """Makes the driver of a site of a target, by the name of the app and whether it needs a key for a private link."""


def open_hosts(
    project: Path,
    target: str,
    today: str,
    listener: Listener,
    told: Mapping[str, str] | None = None,
    *,
    renew: bool = False,
) -> Hosts:
    """A target on hosts, opened; whether its machines answer is found out by the first call.

    Raises Findings with all that is wrong with the files, UsageError for a target with a site of another kind.
    """
    reach = _reach(_known(project, target), target, project, listener)
    from towline.ops.hosts import Hosts, reached
    from towline.ops.secrets import vault_of

    material, live = reached(project, target, reach)
    return Hosts(material, vault_of(project, material, today), live, told or {}, listener=listener, renew=renew)


def open_target(project: Path, target: str, listener: Listener) -> Workspace | Hosts:
    """Any target to which this version can deploy, opened. Raises as `open_hosts` and `open_workspace`."""
    known = _known(project, target)
    if known is not None and known.sites and all(one.kind == "host" for one in known.sites):
        return open_hosts(project, target, "", listener)
    from towline.ops.workspace import open_workspace

    return open_workspace(project, target, listener)


def open_bare_machine(
    address: str, deployer: str, listener: Listener, ssh_options: tuple[str, ...], host_key: str | None = None
) -> BareMachine:
    """A machine that is no site yet, with a connection begun. Raises as `bare_machine_of`."""
    return bare_machine_of(address, deployer, listener, ssh_options, host_key)


def _known(project: Path, target: str) -> Target | None:
    return target_alone(read_page(project / PAGE), target)


def _reach(known: Target | None, target: str, project: Path, listener: Listener) -> Reach:
    links = begun(known.sites if known is not None else (), project.resolve(), listener)

    def driver(site: Site, app: str, linked: bool) -> RemoteSite:
        link = links.get(site.name) or connection_of(site, project.resolve(), listener)
        return host_of(site, link, app, target, linked=linked)

    return driver
