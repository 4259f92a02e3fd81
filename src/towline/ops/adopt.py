"""The story of `adopt`: see what runs under Compose on a host, take its settings and data, and deploy in its place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from towline.core.errors import Refused, UsageError
from towline.ops.deploy import Prepared, deploy, observed
from towline.release.adopt import adoption, projects, with_adoption
from towline.release.build import build
from towline.release.swap import lives
from towline.spec.nearest import listed
from towline.steps.adopt import Surveyor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.core.events import Listener
    from towline.core.secret import Secret
    from towline.ops.hosts import Hosts
    from towline.release.adopt import Adoption
    from towline.release.engine import Outcome
    from towline.steps.adopt import OtherContainer


@dataclass(frozen=True)
class Adopting:
    """What runs, what becomes of it, and the plan. `settings` are the values that the vault gets from what runs.

    `hosts` is the target as it will be with them.
    """

    hosts: Hosts = field(repr=False)
    others: tuple[OtherContainer, ...]
    found: Adoption
    settings: Mapping[str, Secret] = field(repr=False)
    prepared: Prepared = field(repr=False)

    def as_json(self) -> dict[str, object]:
        """Plain data for `--json`; no value of a variable is in it."""
        of = [one for one in self.others if one.project == self.found.project]
        return {
            "project": self.found.project,
            "containers": [{"name": one.name, "service": one.service, "image": one.image, "state": one.state,
                            "ports": list(one.ports)} for one in of],
            "data": [{"of": one.owner, "from": one.source, "bytes": one.size, "taken": one.step is not None,
                      "why": one.why} for one in self.found.taken],
            "settings": sorted(self.settings),
        }  # fmt: skip


def prepare_adoption(hosts: Hosts, project: str | None, left: frozenset[str]) -> Adopting:
    """What would be done; changes nothing.

    Raises Refused when the target runs already or nothing of the app does, UsageError when it is not clear what is
    meant, Findings for what cannot be taken over.
    """
    _refuse_unknown(hosts, left)
    others = _others(hosts)
    seen = observed(hosts.sites)
    if any(lives(one) for facts in seen.values() for one in facts.instances):
        hint = f"towline status -t {hosts.target.name}"
        raise Refused(f"`{hosts.target.name}` runs already: there is nothing to take over", hint=hint)
    name = _project(hosts, others, project)
    settings = _settings(hosts, [one for one in others if one.project == name])
    lent = replace(hosts, told={**{name: one.reveal() for name, one in settings.items()}, **hosts.told})
    values = lent.values()
    bundle = lent.bundle(seen, values)
    (part,) = bundle.sites
    found = adoption(hosts.app, part, others, name, left)
    plan = with_adoption(build(bundle, seen), part.site, found)
    return Adopting(lent, others, found, settings, Prepared(plan, seen, bundle, values))


def adopt(adopting: Adopting, listener: Listener) -> Outcome:
    """Carry it out. Raises StepFailed, after everything is as it was, when a step fails."""
    if adopting.settings:
        adopting.hosts.vault.put(adopting.settings)
    return deploy(adopting.hosts, adopting.prepared, listener)


def _others(hosts: Hosts) -> tuple[OtherContainer, ...]:
    if len(hosts.sites) != 1 or not isinstance(hosts.site, Surveyor):
        hint = "write a target with one site of kind `host`"
        raise UsageError(f"`{hosts.target.name}` is not one host: what runs on one is taken over there", hint=hint)
    return hosts.site.others()


def _refuse_unknown(hosts: Hosts, left: frozenset[str]) -> None:
    known = [*(one.name for one in hosts.app.stores), *(one.name for one in hosts.app.services)]
    if unknown := sorted(left - set(known)):
        raise UsageError(f"there is no service or store `{unknown[0]}`", hint=f"one of {listed(known)}")


def _project(hosts: Hosts, others: tuple[OtherContainer, ...], asked: str | None) -> str:
    """The Compose project that is meant: the one that is named, else the only one with services of the app."""
    there = projects(others)
    if asked is not None and asked not in there:
        raise UsageError(f"no Compose project `{asked}` is on the host; there is {listed(there) or 'none'}",
                         hint="docker compose ls -a, there")  # fmt: skip
    if asked is not None:
        return asked
    names = {one.name for one in hosts.app.services} | {one.service for one in hosts.app.stores if one.service}
    fitting = [name for name, services in there.items() if services & names]
    if not fitting:
        hint = f"towline deploy {hosts.target.name}"
        raise Refused("nothing of this app runs under Compose on the host: there is nothing to take over", hint=hint)
    if len(fitting) > 1:
        hint = f"towline adopt {hosts.target.name} --from {fitting[0]}"
        raise UsageError(f"several Compose projects have services of this app: {listed(fitting)}", hint=hint)
    return fitting[0]


def _settings(hosts: Hosts, containers: list[OtherContainer]) -> dict[str, Secret]:
    """The values that the vault lacks and the running containers have: sessions and tokens stay good."""
    kept = hosts.vault.kept()
    by_service: Mapping[str, OtherContainer] = {one.service: one for one in containers}
    found: dict[str, Secret] = {}
    for one in hosts.material.variables:
        running = by_service.get(one.service)
        if one.setting and one.setting not in kept and one.setting not in hosts.told and running is not None:
            value = running.environment.get(one.name)
            if value is not None and value.reveal():
                found.setdefault(one.setting, value)
    return found
