"""`compose.yaml` for a panel on a server of one's own: what Coolify and Dokploy take as one Compose resource.

Both rules are the panels' documentation: no port is published, since their own proxy has 80 and 443; no container has a
name of its own; data lies in volumes; a required variable is `${NAME:?}`, and is filled in on the panel's page. Coolify
makes an address for a service that is told of `SERVICE_URL_NAME_PORT` (docs: docker/compose), and a network of a
resource's own; Dokploy's Traefik reads labels, in a network that both are in (docs: docker-compose/domains).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from towline.artifacts.front_door import hosts, routes
from towline.artifacts.host_compose import ASKED, body_of, common
from towline.artifacts.host_layout import layout
from towline.artifacts.host_services import REGISTRY
from towline.artifacts.rendered import MARK, RenderedFile
from towline.artifacts.yaml_text import Noted, spaced, yaml_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from towline.artifacts.containers import HostContainer, HostLayout
    from towline.artifacts.front_door import Route
    from towline.artifacts.rendered import Material
    from towline.spec.model import Site, Target

PANELS = {"coolify": "Coolify", "dokploy": "Dokploy"}
DOKPLOY_NETWORK = "dokploy-network"
"""The network that Dokploy's Traefik is in."""

_NOWHERE = ".domain.invalid"
"""Stands for the domain that a service has on the panel's page alone, until the panel's own word for it is put in."""


def panels(target: Target) -> tuple[Site, ...]:
    """The sites of a target that are a panel."""
    return tuple(site for site in target.sites if site.kind in PANELS)


def name_of(target: Target, site: Site) -> str:
    """The name of a panel's file."""
    alone = len(panels(target)) == 1 and not hosts(target)
    return "compose.yaml" if alone else f"compose.{site.name}.yaml"


def files(material: Material) -> tuple[RenderedFile, ...]:
    """A file for each panel that something runs on."""
    placement = material.placement
    return tuple(
        RenderedFile(
            name_of(material.target, site),
            text(material, site),
            f"everything that runs on `{site.name}`, as one Compose resource of {PANELS[site.kind]}",
        )
        for site in panels(material.target)
        if placement.services_on(site) or placement.stores_on(site)
    )


def text(material: Material, site: Site) -> str:
    """The whole file of one panel. Raises Findings as `layout` does."""
    named = _with_domains(material, site)
    open_to = {one.name: one for one in routes(named.placement, site, named.containers) if one.kind != "bucket"}
    found = _of_panel(layout(named, site), site)
    body = spaced(yaml_text(_document(found, site, open_to)), r"\w|  [\w-]+:$")
    whole = "\n".join([*(f"# {line}".rstrip() for line in _head(material, site, found, open_to.values())), "", body])
    return _with_words(whole, site, open_to.values())


def _with_domains(material: Material, site: Site) -> Material:
    """The material in which every public service has a name with https: the panel gives one to those that have none."""
    app, known = material.app, routes(material.placement, site, material.containers)
    given = {one.name: one.domain for one in known if one.kind != "bucket"}
    services = tuple(
        replace(one, domain=given[one.name] or f"{one.hostname}{_NOWHERE}") if one.name in given else one
        for one in app.services
    )
    return replace(material, placement=replace(material.placement, app=replace(app, services=services)))


def _of_panel(found: HostLayout, site: Site) -> HostLayout:
    """The layout of a host without its front door, in the one network that the panel makes for all of it."""
    kept = tuple(replace(one, networks=()) for one in found.containers if one.role != "door")
    volumes = tuple(sorted({a.source for one in kept for a in one.attached if a.kind == "volume"}))
    return replace(found, containers=kept, networks=(), volumes=volumes, site=site.name)


def _document(found: HostLayout, site: Site, open_to: dict[str, Route]) -> dict[str, object]:
    outside = {DOKPLOY_NETWORK: {"external": True}} if site.kind == "dokploy" and open_to else {}
    return {
        "services": {one.name: _service(one, site, open_to.get(one.name)) for one in found.containers},
        **({"networks": outside} if outside else {}),
        **({"volumes": {name: {} for name in found.volumes}} if found.volumes else {}),
    }


def _service(one: HostContainer, site: Site, route: Route | None) -> object:
    body = {**common(), **body_of(one)}
    if not one.restarts:
        body["restart"] = "no"
    if route is not None and site.kind == "coolify":
        told = body.get("environment", {})
        # Without a value: Coolify reads from the name that it is to make an address, and for which port.
        address: dict[str, object] = {f"SERVICE_URL_{_word(one.name)}_{route.port}": None}
        body["environment"] = {**address, **(told if isinstance(told, dict) else {})}
    elif route is not None:
        body["networks"] = ["default", DOKPLOY_NETWORK]
        # Traefik has one list of names for all apps of the panel.
        own = f"{one.labels['towline.app']}-{one.labels['towline.target']}-{one.name}"
        body["labels"] = {**dict(one.labels), **_traefik(own, route)}
    return Noted(body, above=one.why) if one.why else body


def _traefik(name: str, route: Route) -> dict[str, str]:
    """What Traefik is told of a public service: https at its domain, and a way there from http."""
    rule = f"Host(`{route.domain}`)"
    router = f"traefik.http.routers.{name}"
    return {
        "traefik.enable": "true",
        "traefik.docker.network": DOKPLOY_NETWORK,
        f"{router}.rule": rule,
        f"{router}.entrypoints": "websecure",
        f"{router}.tls.certresolver": "letsencrypt",
        f"{router}-plain.rule": rule,
        f"{router}-plain.entrypoints": "web",
        f"{router}-plain.middlewares": "redirect-to-https@file",
        f"traefik.http.services.{name}.loadbalancer.server.port": str(route.port),
    }


def _with_words(text: str, site: Site, known: Iterable[Route]) -> str:
    """The file with the panel's own words for addresses that stand on its page, and for what must be set there."""
    for one in known:
        if one.domain is not None and one.domain.endswith(_NOWHERE):
            setting = f"${{SERVICE_URL_{_word(one.name)}}}"
            if site.kind == "coolify":
                text = text.replace(f"https://{one.domain}", setting)
            else:
                text = text.replace(one.domain, f"${{{_word(one.name)}_DOMAIN:?}}")
    # Coolify takes what stands behind the mark for a value to begin with.
    return text.replace(f":?{ASKED}}}", ":?}")


def _word(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name).upper()


def _head(material: Material, site: Site, found: HostLayout, known: Iterable[Route]) -> Iterator[str]:
    panel = PANELS[site.kind]
    yield MARK.format(target=material.target.name)
    yield ""
    yield f"All of {found.app} that runs on {site.name}, as one Compose resource of {panel}. Its proxy leads to what is"
    yield "public: nothing here has a port of the machine. Every variable below is filled in on the resource's page."
    for one in known:
        own = one.domain is not None and not one.domain.endswith(_NOWHERE)
        if site.kind == "coolify" and own:
            yield f"  {one.name}: set its domain to https://{one.domain}:{one.port}"
        elif site.kind == "coolify":
            yield f"  {one.name}: Coolify makes a domain, or set one"
        elif not own:
            yield f"  {one.name}: {_word(one.name)}_DOMAIN is the domain that leads to it"
    if any(REGISTRY in one.image for one in found.containers):
        yield "VERSION is the tag of the images, REGISTRY where they are: the build workflow prints both."
    once = [one.name for one in found.containers if one.profile is not None]
    if once:
        yield f"Run when it is called: {', '.join(once)} (docker compose run --rm NAME, in the resource's folder)."
    yield "A new version takes the place of the old one with a pause: a Compose resource has no other way."
