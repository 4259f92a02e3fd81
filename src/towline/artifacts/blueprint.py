"""`render.yaml`: what a target places at Render, as the platform's own Blueprint."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from towline.artifacts.blueprint_groups import shared
from towline.artifacts.blueprint_plans import key_value_plan, postgres_plan
from towline.artifacts.blueprint_platform import platform_of, region_of
from towline.artifacts.blueprint_services import service_entry, variable_entry
from towline.artifacts.blueprint_wiring import wires_of
from towline.artifacts.rendered import RenderedFile
from towline.artifacts.yaml_text import Noted, comment, spaced, yaml_text
from towline.core.errors import Findings

if TYPE_CHECKING:
    from towline.artifacts.blueprint_platform import Platform
    from towline.artifacts.rendered import Material
    from towline.core.errors import Finding
    from towline.spec.model import Site, Store

_MAJORS = frozenset({"11", "12", "13", "14", "15", "16", "17", "18"})
_SCHEMA = "# yaml-language-server: $schema=https://render.com/schema/render.yaml.json"


def files(material: Material) -> tuple[RenderedFile, ...]:
    """The Blueprint; nothing when no site of the target is Render. Findings where Render cannot run the app."""
    platform = platform_of(material)
    if not platform.units and not platform.stores:
        return ()
    body = spaced(yaml_text(document(platform)), r"\w|  - ")
    text = "\n".join([*_head(platform), "", body])
    return (RenderedFile("render.yaml", text, "Render's Blueprint: services, databases and how they find each other."),)


def document(platform: Platform) -> dict[str, object]:
    """The Blueprint as data, in the order in which it is read; Findings with all that Render cannot do."""
    wires = {unit.name: wires_of(platform, unit) for unit in platform.units}
    alike = shared(platform.material.app.name, platform.units, wires)
    groups = [{"name": one.name, "envVars": [variable_entry(wire) for wire in one.wires]} for one in alike.groups]
    services: list[object] = []
    findings: list[Finding] = []
    for unit in platform.units:
        try:
            services.append(service_entry(platform, unit, wires[unit.name], alike))
        except Findings as error:
            findings += error.findings
    if findings:
        raise Findings(tuple(findings))
    services += [_key_value(platform, store, site) for store, site in platform.stores if store.kind == "redis"]
    databases = [_database(platform, store, site) for store, site in platform.stores if store.kind == "postgres"]
    sections = {"envVarGroups": groups, "services": services, "databases": databases}
    return {name: entries for name, entries in sections.items() if entries}


def _head(platform: Platform) -> list[str]:
    """What a reader must know before the first sync."""
    wires = [wire for unit in platform.units for wire in wires_of(platform, unit)]
    asked = sorted({wire.key for wire in wires if wire.how == "asked"})
    text = (
        f"{platform.material.app.name} at Render, target {platform.material.target.name}. It lies at the root of the "
        "repository; `render blueprints validate` checks it, and the dashboard (New > Blueprint) applies it."
    )
    if asked:
        text += f"\nThe first sync asks for {', '.join(asked)}: what is marked `sync: false` is in no file."
    return [_SCHEMA, *comment(text)]


def _database(platform: Platform, store: Store, site: Site) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": platform.name_of(store.name),
        "databaseName": _word(store.database),
        "user": _word(store.user),
        "plan": postgres_plan(platform, store),
    }
    region = region_of(site)
    entry |= {"region": region} if region else {}
    entry |= {"postgresMajorVersion": store.major} if store.major in _MAJORS else {}
    return {**entry, "ipAllowList": _let_in(platform, store)}


def _key_value(platform: Platform, store: Store, site: Site) -> dict[str, object]:
    policy = ("allkeys-lru", "a cache forgets what was not used for long") if store.use == "cache" else None
    keep, why = policy or ("noeviction", "a queue drops nothing; without this line the platform would")
    entry: dict[str, object] = {
        "type": "keyvalue",
        "name": platform.name_of(store.name),
        "plan": key_value_plan(platform, store),
    }
    region = region_of(site)
    entry |= {"region": region} if region else {}
    return {**entry, "maxmemoryPolicy": Noted(keep, behind=why), "ipAllowList": _let_in(platform, store)}


def _let_in(platform: Platform, store: Store) -> object:
    """Who may reach a store from the internet: nobody, but for the servers whose services use it."""
    material = platform.material
    users = {one.service for one in material.app.bindings if one.of == store.name}
    places = {site for name in users for site in material.target.place[name]}
    outside = [site for site in material.target.sites if site.name in places and site.kind != "render"]
    known = [(site, _address(site)) for site in outside]
    entries = [
        {"source": f"{address}/{128 if ':' in address else 32}", "description": f"site {site.name}"}
        for site, address in known
        if address
    ]
    missing = [site.name for site, address in known if not address]
    if missing:
        reason = f"{', '.join(missing)} must reach it too: `- {{source: ADDRESS/32, description: {missing[0]}}}`"
        return Noted(entries, behind=reason) if entries else Noted([], behind=reason)
    return entries or Noted([], behind="nobody from outside: services here use the private network")


def _address(site: Site) -> str:
    """The IP address in `ssh: deploy@203.0.113.7`; "" where a name stands or nothing."""
    written = site.options.get("ssh", "").rpartition("@")[2].strip("[]")
    host = written.partition(":")[0] if written.count(":") == 1 else written
    plain = re.fullmatch(r"(\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F:]*:[0-9a-fA-F:]+", host)
    return host if plain else ""


def _word(text: str) -> str:
    word = re.sub(r"[^a-z0-9_]", "_", text.lower())
    return word if word[:1].isalpha() else f"db_{word}"
