"""Everything that runs on one host: stores, services, the front door, and what is run to its end."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from towline.artifacts import caddyfile
from towline.artifacts.containers import Attached, HealthTest, HostContainer, HostLayout, Network, Published
from towline.artifacts.front_door import infix, routes
from towline.artifacts.host_services import APP, Ground, container_of, release_of
from towline.artifacts.host_stores import containers_of, network_of
from towline.core.errors import Finding, Findings, Where

if TYPE_CHECKING:
    from towline.artifacts.rendered import Material
    from towline.spec.model import Site, Store

DOOR = "caddy"
DOOR_IMAGE = "caddy:2.11.7"


def layout(material: Material, site: Site) -> HostLayout:
    """All of one host. Raises Findings for a service with the name of a container that is made for it."""
    ground = Ground(material, site)
    stores = [one for store in ground.stores for one in containers_of(store, _memory(material, store))]
    services = [container_of(ground, one) for one in ground.services]
    release, door = release_of(ground), _door(ground)
    found = [*([door] if door else []), *services, *([release] if release else []), *stores]
    _refuse_one_name(ground, [one.name for one in found])
    return HostLayout(
        app=material.app.name,
        target=material.target.name,
        site=site.name,
        containers=tuple(_labelled(material, one) for one in found),
        networks=_networks(ground, found),
        volumes=tuple(sorted({a.source for one in found for a in one.attached if a.kind == "volume"})),
    )


def _refuse_one_name(ground: Ground, names: list[str]) -> None:
    twice = [one for one in ground.services if names.count(one.name) > 1]
    findings = tuple(
        Finding(
            "bad-name",
            f"`{one.name}` is the name of a container of its own on `{ground.site.name}`, beside those of the app",
            Where("compose.yaml", one.line),
            f"give the service another name, or leave it out: services: {{{one.name}: {{omit: true}}}}",
        )
        for one in twice
    )
    if findings:
        raise Findings(findings)


def _memory(material: Material, store: Store) -> int | None:
    written = material.containers.get(store.service or "")
    return written.memory if written is not None else None


def _labelled(material: Material, container: HostContainer) -> HostContainer:
    """By its labels a container is told from those of others on the machine."""
    own = {"towline.app": material.app.name, "towline.target": material.target.name, "towline.part": container.name}
    return replace(container, labels={**own, **container.labels})


def _networks(ground: Ground, found: list[HostContainer]) -> tuple[Network, ...]:
    joined = {name for one in found for name in one.networks}
    names = (*(one.name for one in ground.services), *(one.name for one in ground.stores))
    inner = [name for name in names if network_of(name) in joined]
    app = Network(APP, internal=False, why="what runs the app's code; from outside only the front door is reached")
    own = [Network(network_of(one), internal=True, why=f"those that are told where {one} is") for one in inner]
    return (*([app] if APP in joined else []), *own)


def _door(ground: Ground) -> HostContainer | None:
    """The front door: the only container that the internet reaches."""
    material, site = ground.material, ground.site
    known = routes(material.placement, site, material.containers)
    if not known:
        return None
    name = f"Caddyfile{infix(material.target, site)}"
    digest = hashlib.sha256(caddyfile.text(material, site).encode()).hexdigest()[:12]
    buckets = [network_of(one.name) for one in known if one.kind == "bucket"]
    return HostContainer(
        name=DOOR,
        role="door",
        image=(DOOR_IMAGE,),
        why="The front door, and the only one: nothing else has a port that the machine answers at.",
        tmpfs=("/tmp",),  # noqa: S108 - inside the container
        capabilities=("NET_BIND_SERVICE",),
        networks=(APP, *buckets),
        attached=(
            Attached("file", name, "/etc/caddy/Caddyfile", read_only=True),
            Attached("volume", "caddy-data", "/data"),
            Attached("volume", "caddy-config", "/config"),
        ),
        published=(Published(80), Published(443), Published(443, "udp")),
        memory=("256m",),
        # Longer than it waits for open requests itself.
        stop_within=caddyfile.GRACE + 5,
        health=HealthTest(("wget", "-q", "-O", "/dev/null", "http://127.0.0.1:2019/config/"), start_within=10.0),
        # Another Caddyfile is another container: `up` sees it.
        labels={"towline.caddyfile": digest},
    )
