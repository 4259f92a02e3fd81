"""The end of a target: which data goes with it, as a plan; everything else goes anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.core.errors import UsageError
from towline.release.build import next_release
from towline.release.stages import Draft
from towline.spec.nearest import did_you_mean
from towline.steps.kinds import PurgeData
from towline.steps.model import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.release.journal import State
    from towline.steps.model import Facts


@dataclass(frozen=True)
class Holding:
    """Something on a site that holds data: a store, or with `volumes` a service that keeps its data in them."""

    site: str
    name: str
    volumes: tuple[str, ...] = ()


def holdings(facts: Mapping[str, Facts], state: State) -> tuple[Holding, ...]:
    """All that holds data of a target, by name: the stores that the sites report, the volumes that services had."""
    stores = {Holding(site, store.name) for site, one in facts.items() for store in one.stores}
    known = {(one.site, one.name) for one in stores}
    mounted: dict[tuple[str, str], set[str]] = {}
    for run in state.runs:
        for begun in run.begun:
            step = begun.step
            if (
                step.kind == "start-instance"
                and step.instance.runs == "service"
                and step.instance.container is not None
            ):
                volumes = {one.source for one in step.instance.container.mounts if one.kind == "volume"}
                mounted.setdefault((begun.site, step.instance.service), set()).update(volumes)
    services = {
        Holding(site, name, tuple(sorted(volumes)))
        for (site, name), volumes in mounted.items()
        if volumes and site in facts and (site, name) not in known
    }
    return tuple(sorted(stores | services, key=lambda one: (one.name, one.site)))


def named(held: tuple[Holding, ...], app: str, names: tuple[str, ...]) -> tuple[Holding, ...]:
    """What is to be deleted: what is named, everything by the app's own name. Raises UsageError for any other name."""
    there = sorted({one.name for one in held})
    for name in names:
        if name != app and name not in there:
            raise UsageError(
                f"nothing with data is called `{name}`{did_you_mean(name, [*there, app])}, so nothing was deleted",
                hint=f"there is {', '.join(there) or 'no data'}; `{app}` stands for all of it",
            )
    return held if app in names else tuple(one for one in held if one.name in names)


def plan_delete(app: str, target: str, facts: Mapping[str, Facts], doomed: tuple[Holding, ...]) -> Plan:
    """Delete the data of these, when nothing runs any more."""
    draft = Draft()
    sites = sorted({one.site for one in doomed})
    draft.add(
        "delete data",
        {site: tuple(PurgeData(one.name, one.volumes) for one in doomed if one.site == site) for site in sites},
    )
    return Plan(
        app=app,
        target=target,
        release=next_release(facts),
        intent="purge",
        stages=draft.stages(),
        facts={name: facts[name].digest for name in sorted(facts)},
    )
