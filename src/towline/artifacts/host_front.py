"""The front door of a target on a host, as an instance: one that the next one may start beside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from towline.artifacts import host_door, machine_door
from towline.artifacts.front_door import HOST
from towline.artifacts.host_layout import DOOR
from towline.core.secret import Secret
from towline.steps.container import Mount
from towline.steps.kinds import Instance, Probe

if TYPE_CHECKING:
    from towline.artifacts.host_bundle import Making
    from towline.steps.container import Container
    from towline.steps.door import PublicNames

SETTINGS = "/etc/towline"
"""The folder of the door's configuration inside its container."""

_READY = 10.0
_DRAIN = 600.0
"""Seconds that an old one keeps its WebSockets: it goes by itself, and nobody waits for it."""


def confined(making: Making, container: Container) -> Container:
    """What it sees and where it is seen, but for what each revision has of its own."""
    found, *others = container.networks
    return replace(
        container,
        command=("caddy", "run", "--config", f"{SETTINGS}/caddy.json"),
        networks=(replace(found, aliases=host_door.inner_names(making.material, making.site)), *others),
        mounts=(Mount("folder", "door", host_door.FOLDER, read_only=True),),
        tmpfs=(*container.tmpfs, "/run", "/data", "/config"),
        test=None,
    )


def instance(making: Making, container: Container, revision: str, stop_within: float) -> Instance:
    """Named after its revision, with a configuration and a socket of its own: an older one keeps its until it goes.

    Other routes are another revision, since telling them to a door that has requests fails some of these.
    """
    name = f"{DOOR}.{revision}"
    place = f"apps/{making.material.app.name}/{making.material.target.name}/{revision}"
    own = (Mount("folder", f"caddy/{revision}", SETTINGS, read_only=True), Mount("door", place, host_door.SOCKETS))
    behind = (one for one in making.material.placement.services_on(making.site) if making.through_door(one))
    return Instance(
        name=name,
        service=DOOR,
        revision=revision,
        runs="door",
        ready=Probe("lives", within=_READY),
        settings={"routes": making.stash(routes_of(making))},
        stop_within=stop_within,
        drain=max((_DRAIN, *(one.max_job for one in behind))),
        container=replace(container, name=making.full(name), mounts=(*container.mounts, *own)),
    )


def routes_of(making: Making) -> Secret:
    """Its whole configuration."""
    return Secret(host_door.config(making.material, making.site, _host(making)))


def names_of(making: Making) -> PublicNames:
    """The names under which browsers come to it."""
    return machine_door.names_of(making.material, making.site, _host(making), named=making.named)


def _host(making: Making) -> str | None:
    known = making.values.get(HOST.name)
    return known.reveal() if known else None
