"""How a variable of a service gets its value at Render: by reference to another part, spelled, generated or asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from towline.artifacts.variables import on_a_server
from towline.core.errors import Finding, Findings, Where

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.artifacts.blueprint_platform import Platform, Unit
    from towline.artifacts.rendered import Variable
    from towline.spec.model import Service, Store

_POSTGRES = {
    "url": "connectionString",
    "direct_url": "connectionString",
    "pooled_url": "connectionString",
    "host": "host",
    "port": "port",
    "user": "user",
    "password": "password",
    "database": "database",
}
_KEY_VALUE = {"url": "connectionString", "host": "host", "port": "port"}
_NO_POOL = "without a pool: the Blueprint's schema has no field that switches one on"


@dataclass(frozen=True)
class Wire:
    """One variable of one unit: the fields beside its `key`.

    `how`: `plain` may stand in a group; `asked` is typed in by a person; `reference` is read from another part.
    `scheme` is put before the value when the process starts, since a Blueprint cannot put texts together.
    """

    key: str
    fields: tuple[tuple[str, object], ...]
    how: Literal["plain", "asked", "reference"]
    note: str = ""
    scheme: str = ""
    bond: str = ""
    """What makes the secrets of two services one: `asked` and `generated` wires with one bond have one value."""


def wires_of(platform: Platform, unit: Unit) -> tuple[Wire, ...]:
    """The variables of a unit by name; Findings where one container would need two values of one variable."""
    found: dict[str, Wire] = {}
    findings = []
    for service in unit.members:
        # What a build reads and what the process reads is one here; the process decides.
        known = sorted(platform.material.variables_of(service.name), key=lambda one: not one.build)
        own = {one.name: _wire(platform, unit, on_a_server(one)) for one in known}
        for key, wire in own.items():
            if found.setdefault(key, wire).fields != wire.fields and key != "PORT":
                findings.append(_two_values(unit, key))
    if findings:
        raise Findings(tuple(dict.fromkeys(findings)))
    port = unit.lead.port
    if port is not None and unit.type in {"web", "pserv"} and unit.lead.kind != "static":
        found.setdefault("PORT", Wire("PORT", (("value", str(port)),), "plain"))
    return tuple(found[key] for key in sorted(found))


def shell_prefix(wires: tuple[Wire, ...]) -> str:
    """The shell text that puts the scheme before each address that comes without one."""
    parts = [f'{wire.key}="{wire.scheme}${wire.key}"' for wire in wires if wire.scheme]
    return f"export {' '.join(parts)}; " if parts else ""


def _wire(platform: Platform, unit: Unit, variable: Variable) -> Wire:
    if variable.origin == "spelled" and variable.value is not None:
        return Wire(variable.name, (("value", variable.value),), "plain")
    if variable.origin == "generated":
        return Wire(variable.name, (("generateValue", True),), "plain", "", "", variable.setting or variable.name)
    if variable.origin == "reference" and variable.reference is not None:
        wire = _referred(platform, unit, variable)
        if wire is not None:
            return wire
        note = f"{variable.reference}, which is elsewhere"
        return Wire(variable.name, (("sync", False),), "asked", note, "", variable.reference)
    if variable.default:
        return Wire(variable.name, (("value", variable.default),), "plain", "what compose.yaml falls back to")
    note = "optional" if variable.default == "" else ""
    return Wire(variable.name, (("sync", False),), "asked", note, "", variable.setting or variable.name)


def _referred(platform: Platform, unit: Unit, variable: Variable) -> Wire | None:
    """The wire of a reference; None when what it asks for is not at Render."""
    of, _, attribute = (variable.reference or "").rpartition(".")
    store = platform.store(of)
    if store is not None:
        return _of_store(platform, store, attribute, variable.name)
    service = next((one for one in platform.material.app.services if one.name == of), None)
    if service is None:
        return None
    there = platform.unit_of(of)
    if service.domain and attribute == "url" and service.kind in {"web", "static"}:
        return Wire(variable.name, (("value", f"https://{service.domain}"),), "plain")
    return None if there is None else _of_service(unit, there, (service, attribute), variable.name)


def _of_store(platform: Platform, store: Store, attribute: str, key: str) -> Wire | None:
    name = platform.name_of(store.name)
    if store.kind == "postgres":
        note = _NO_POOL if attribute == "pooled_url" else ""
        return _reference(key, "fromDatabase", {"name": name, "property": _POSTGRES[attribute]}, note)
    if store.kind == "redis" and attribute in _KEY_VALUE:
        asked = {"type": "keyvalue", "name": name, "property": _KEY_VALUE[attribute]}
        return _reference(key, "fromService", asked)
    if store.kind == "redis":
        return Wire(key, (("value", ""),), "plain", "inside the platform's network it asks for none")
    return None


def _of_service(unit: Unit, there: Unit, asked: tuple[Service, str], key: str) -> Wire:
    service, attribute = asked
    if there == unit and unit.combined and attribute != "url":
        return _beside(service, attribute, key)
    source: dict[str, object] = {"type": there.type, "name": there.name}
    if attribute == "url" and there.type == "web":
        return _reference(key, "fromService", {**source, "envVarKey": "RENDER_EXTERNAL_URL"})
    if attribute in {"host", "port"}:
        return _reference(key, "fromService", {**source, "property": attribute})
    note = "host:port; the command puts the scheme before it"
    fields = (("fromService", tuple({**source, "property": "hostport"}.items())),)
    return Wire(key, fields, "reference", note, "http://")


def _beside(service: Service, attribute: str, key: str) -> Wire:
    """Within the one container every process listens on a port of its own."""
    values = {"host": "localhost", "port": str(service.port)}
    return Wire(key, (("value", values.get(attribute, f"http://localhost:{service.port}")),), "plain")


def _reference(key: str, kind: str, asked: Mapping[str, object], note: str = "") -> Wire:
    return Wire(key, ((kind, tuple(asked.items())),), "reference", note)


def _two_values(unit: Unit, key: str) -> Finding:
    names = " and ".join(one.name for one in unit.members)
    return Finding(
        "wrong-value",
        f"`{key}` has different values in {names}, which share one container and its environment",
        Where("compose.yaml", unit.lead.line),
        "give one of them another name",
    )
