"""An app in containers on its author's own machine: everything on one site, reached at ports of localhost."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from towline.artifacts.containers import Need, Setting
from towline.artifacts.front_door import S3_PORT, container_port
from towline.artifacts.host_layout import DOOR, layout
from towline.artifacts.host_references import POSTGRES_PORT, REDIS_PORT
from towline.artifacts.host_references import value as reference_value
from towline.artifacts.variables import on_a_server
from towline.planner.model import Placement
from towline.spec.model import Site

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.artifacts.containers import HostContainer, HostLayout, Text
    from towline.artifacts.rendered import Material, Variable
    from towline.spec.model import Service, Store

SITE = Site("here", "host", {})
PORTS = {"postgres": POSTGRES_PORT, "redis": REDIS_PORT, "bucket": S3_PORT}
RELEASE = "release"

_LOW = 1024
"""Below it a port takes rights that nobody has on their own machine."""

_STAGE = re.compile(r"^(?:prod|production|staging)$", re.IGNORECASE)


@dataclass(frozen=True)
class Here:
    """The app of some target, all of it on this machine; `development` with debugging on, else as in production."""

    material: Material
    development: bool

    @cached_property
    def placed(self) -> Material:
        """The same material with everything on one host, which has no domain."""
        app = self.material.app
        parts = [*(one.name for one in app.services), *(one.name for one in app.stores)]
        place: dict[str, tuple[str, ...]] = dict.fromkeys(parts, (SITE.name,))
        target = replace(self.material.target, shape="vps", sites=(SITE,), place=place)
        bare = replace(app, services=tuple(replace(one, domain=None) for one in app.services))
        return replace(self.material, placement=Placement(bare, target))

    @cached_property
    def ports(self) -> Mapping[str, Setting]:
        """The ports of localhost, by what answers there; each can be moved, where somebody else has it already."""
        wanted = [
            (one.name, container_port(one, self.material.containers.get(one.name)))
            for one in self.material.app.services
            if one.kind in ("web", "static")
        ]
        wanted += [(one.name, PORTS[one.kind]) for one in self.material.app.stores if self._answers(one)]
        found: dict[str, Setting] = {}
        taken: set[int] = set()
        for name, port in wanted:
            free = next(one for one in range(port if port >= _LOW else port + 8000, 65536) if one not in taken)
            taken.add(free)
            found[name] = Setting(f"LOCAL_{re.sub(r'[^A-Za-z0-9]', '_', name).upper()}_PORT", str(free))
        return found

    def _answers(self, store: Store) -> bool:
        """In development every store does; else a bucket whose objects a browser loads."""
        if store.kind not in PORTS:
            return False
        outside = {one.attribute for one in self.material.app.bindings if one.of == store.name}
        public = store.public is not None or bool(outside & {"public_url", "public_endpoint"})
        return self.development or (store.kind == "bucket" and public)

    @cached_property
    def layout(self) -> HostLayout:
        """Its containers, without the front door, and with what has to be done once before the services start."""
        found = layout(self.placed, SITE)
        services = {one.name: one for one in self.material.app.services}
        made = [
            self._called(replace(one, environment=self._environment(one, services.get(self._owner(one)))))
            for one in found.containers
            if one.name != DOOR
        ]
        once = {one.name for one in made if one.role == "once"}
        waiting = tuple(self._waiting(one, once, services.get(one.name)) for one in made)
        volumes = {each.source for one in waiting for each in one.attached if each.kind == "volume"}
        return replace(found, containers=waiting, volumes=tuple(sorted(volumes)))

    def _owner(self, one: HostContainer) -> str:
        release = self.material.app.release
        return release.service if one.name == RELEASE and release is not None else one.name

    def _called(self, one: HostContainer) -> HostContainer:
        """What waits to be called on a server runs at each start here: one command is all that it takes."""
        return replace(one, profile=None, labels={}, replicas=1)

    def _waiting(self, one: HostContainer, once: set[str], service: Service | None) -> HostContainer:
        if service is None or service.kind in ("static", "task"):
            return one
        first = [RELEASE] if RELEASE in once else []
        written = self.material.containers.get(service.name)
        first += [name for name in (written.needs if written is not None else {}) if name in once and name not in first]
        known = {need.name for need in one.needs}
        return replace(
            one, needs=(*one.needs, *(Need(name, "completed") for name in first if name not in known | {one.name}))
        )

    def _environment(self, one: HostContainer, service: Service | None) -> dict[str, Text]:
        """Every setting with a value that does here, so that nothing must be set before the first start."""
        found = dict(one.environment)
        for variable in self.material.variables_of(service.name) if service is not None else ():
            if variable.name in found and not variable.build:
                found[variable.name] = self.value(variable) or found[variable.name]
        return {name: _with_defaults(text) for name, text in found.items()}

    def value(self, variable: Variable) -> Text | None:
        """What a variable is here where that differs from a server; None where it is as there."""
        if variable.origin == "reference":
            return self._outside(variable.reference or "")
        if variable.origin == "generated":
            return None
        there = on_a_server(variable)
        if not self.development and there.default is not None:
            return None
        written = variable.value if variable.origin == "spelled" else variable.default
        if written is not None and variable.origin == "spelled":
            return (self._debugging(variable.name, written),)
        return (Setting(variable.setting or variable.name, self._debugging(variable.name, written or "")),)

    def build_value(self, variable: Variable) -> Text:
        """What a build argument is here."""
        if variable.origin == "reference":
            of, _, attribute = (variable.reference or "").rpartition(".")
            there = reference_value(self.placed.placement, SITE, self.placed.containers, (of, attribute))
            return self._outside(variable.reference or "") or _with_defaults(there)
        return self.value(variable) or (with_default(Setting(variable.setting or variable.name, variable.default)),)

    def _debugging(self, name: str, text: str) -> str:
        """A mode or a level as development wants it."""
        if not self.development:
            return text
        last = name.upper().split("_")[-1]
        if last in ("ENV", "ENVIRONMENT", "MODE") and _STAGE.match(text):
            return "development"
        if last == "DEBUG" and text.lower() in ("0", "false", "no", "off"):
            return "true"
        return "debug" if name.upper().endswith("LOG_LEVEL") else text

    def _outside(self, reference: str) -> Text | None:
        """An address for a browser on this machine; None for one that only other containers use."""
        of, _, attribute = reference.rpartition(".")
        if of not in self.ports:
            return None
        address: Text = ("http://localhost:", self.ports[of])
        store = next((one for one in self.material.app.stores if one.name == of), None)
        if store is None:
            return address if attribute == "url" else None
        if attribute == "public_endpoint":
            return address
        return (*address, f"/{store.database}") if attribute == "public_url" else None


def _with_defaults(text: Text) -> Text:
    return tuple(part if isinstance(part, str) else with_default(part) for part in text)


def with_default(setting: Setting) -> Setting:
    """A setting that nobody has to set: for a machine that only its author reaches."""
    if setting.default is not None:
        return setting
    secret = re.search(r"(?:PASSWORD|SECRET|KEY|TOKEN|SALT|PEPPER)$", setting.name)
    return replace(setting, default=f"{setting.name.lower().replace('_', '-')}-on-this-machine" if secret else "")
