"""All artifacts of one placement on a laptop, from the facts of the site and the values of the stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.addresses import Local
from towline.artifacts.model import Bundle, SiteBundle
from towline.artifacts.ports import Ports
from towline.artifacts.proxy import has_traffic, routes
from towline.artifacts.services import Bench, Sources, of_service, release_task, seed_task
from towline.artifacts.stores import of_store
from towline.core.secret import Secret
from towline.steps.kinds import Instance, Probe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.planner.model import Placement
    from towline.spec.model import Site
    from towline.steps.model import Facts

DOOR = "door"
"""The name of the front door's instance."""


def bundle(
    placement: Placement,
    facts: Facts,
    values: Mapping[str, Secret],
    sources: Sources,
    machine: Mapping[str, str],
) -> Bundle:
    """The bundle of a target whose only site is local; `machine` is the environment that Towline itself runs in."""
    site = placement.target.sites[0]
    ports = Ports(facts)
    addresses = addresses_of(placement, ports, values)
    bench = Bench(placement.app, addresses, ports, sources, machine, facts.salt.reveal().encode())
    stores = tuple(of_store(store, addresses, bench.stash) for store in placement.stores_on(site))
    services = tuple(of_service(service, bench) for service in placement.services_on(site))
    door_routes = bench.stash(Secret(routes(placement, site, addresses)))
    part = SiteBundle(
        site=site.name,
        stores=stores,
        services=services,
        release_task=release_task(bench),
        door=_door(addresses.door),
        routes=door_routes,
        contents=bench.contents,
        seed_task=seed_task(bench),
    )
    return Bundle(placement.app.name, placement.target.name, (part,))


def addresses_of(placement: Placement, ports: Ports, values: Mapping[str, Secret]) -> Local:
    """Where everything of a laptop is found; the ports that must stay are asked in a fixed order."""
    site = placement.target.sites[0]
    chosen = _chosen_port(site)
    for port in (chosen, *(one.port for one in placement.services_on(site) if one.port_variable is None)):
        if port is not None:
            ports.reserve(port)
    door = chosen if chosen is not None else ports.kept(DOOR)
    fixed = [store.name for store in placement.stores_on(site)]
    fixed += [one.name for one in placement.services_on(site) if has_traffic(one) and one.kind != "static"]
    return Local(placement.app, door, {name: ports.kept(name) for name in fixed}, values)


def _chosen_port(site: Site) -> int | None:
    port = site.options.get("port")
    return int(port) if port is not None else None


def _door(port: int) -> Instance:
    return Instance(
        name=DOOR,
        service=DOOR,
        revision=str(port),
        runs="door",
        ready=Probe("tcp", within=10.0),
        port=port,
        stop_within=10.0,
    )
