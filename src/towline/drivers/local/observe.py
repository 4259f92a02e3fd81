"""What is there now: processes, data, traffic, tasks, releases, and the room that is left."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import psutil

from towline.drivers.local import data, servers, sockets
from towline.drivers.local.door import Door
from towline.steps.model import Facts, InstanceFact, Room, StoreFact
from towline.steps.past import releases

if TYPE_CHECKING:
    from towline.drivers.local.ground import Ground
    from towline.drivers.local.supervisor import Process

_ROOM_PORTS = 64

_STATES = {"ready": "ready", "crashed": "crashed", "stopped": "stopped"}
"""The supervisor's words as the facts'; whatever else it says, the instance is on its way."""


def observe(ground: Ground) -> Facts:
    """The facts of the site; makes nothing but the folder with its salt."""
    salt = ground.home.salt()
    kept = ground.ports.read()
    finished, begun = releases(ground.journal.lines())
    return Facts(
        site=ground.site,
        instances=tuple(_instance(one) for one in ground.supervisor.processes()),
        stores=_stores(ground, kept),
        upstreams=ground.slots.all(),
        tasks=dict(ground.tasks.read()),
        door=Door(ground).digest(),
        releases=finished,
        begun=begun,
        ports={name: int(port) for name, port in kept.items() if "/" not in name},
        room=_room(ground, {int(port) for port in kept.values()}),
        salt=salt,
    )


def _instance(process: Process) -> InstanceFact:
    instance = servers.instance_of(process.labels)
    return InstanceFact(
        name=process.name,
        service=process.labels.get("service", process.name),
        revision=process.labels.get("revision", ""),
        state=_STATES.get(process.state, "starting"),
        port=None if instance is None else instance.port,
        drain=0.0 if instance is None else instance.drain,
        stop_within=10.0 if instance is None else instance.stop_within,
    )


def _stores(ground: Ground, kept: dict[str, int]) -> tuple[StoreFact, ...]:
    found = data.stores(ground.home.data)
    return tuple(StoreFact(name, one.kind, one.major, kept.get(name)) for name, one in found.items())


def _room(ground: Ground, taken: set[int]) -> Room:
    return Room(
        disk_free=shutil.disk_usage(ground.home.path).free,
        memory_free=int(psutil.virtual_memory().available),
        ports=sockets.free_ports(_ROOM_PORTS, str(ground.home.path), taken),
    )
