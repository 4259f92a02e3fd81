"""Taking an app down, and deleting what it kept: the two plans that need no wanted state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.bundle import DOOR
from towline.core.errors import Refused
from towline.release import links
from towline.release.build import next_release
from towline.release.order import levels, waits_of
from towline.release.stages import Draft
from towline.release.swap import awaited, drained, lives, stopped
from towline.steps.door import ClaimNames
from towline.steps.kinds import EndSite, PurgeData, Shift
from towline.steps.links import interface_of
from towline.steps.model import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.artifacts.model import Bundle
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Facts, InstanceFact


def plan_down(
    app: str,
    target: str,
    facts: Mapping[str, Facts],
    bundle: Bundle | None = None,
    drain_at_most: float = float("inf"),
) -> Plan:
    """Stop all that runs, those first that others do not wait for, and end the sites; data stays.

    The bundle, when there is one, tells the order of the services. Open requests last no longer than `drain_at_most`
    seconds.
    """
    draft = Draft()
    draft.add("shift", {name: _held(one) for name, one in facts.items()})
    draft.add("wait", {name: _still_leaving(one, drain_at_most) for name, one in facts.items()})
    draft.add("drain", {name: drained(_shifted(one), drain_at_most) for name, one in facts.items()})
    for services in _groups(facts, bundle):
        draft.add(f"stop {', '.join(services)}", {name: stopped(_of(services, one)) for name, one in facts.items()})
    had = {name: (ClaimNames(),) for name, one in facts.items() if one.names.all}
    draft.add("give back names", had)
    draft.add("stop the front door", {name: stopped(_of((DOOR,), one)) for name, one in facts.items()})
    stores = {name: tuple(sorted(store.name for store in one.stores)) for name, one in facts.items()}
    draft.add("stop stores", {name: stopped(_of(stores[name], one)) for name, one in facts.items()})
    draft.add("leave the private link", links.left(facts, interface_of(app, target)))
    draft.add("end", {name: (EndSite(),) for name in facts})
    return _plan(app, target, facts, "down", draft)


def plan_purge(app: str, target: str, facts: Mapping[str, Facts], store: str | None = None) -> Plan:
    """Delete the data of a store, or of the whole app with None. Raises Refused while anything runs."""
    running = sorted(fact.name for one in facts.values() for fact in one.instances if fact.state != "stopped")
    if running:
        raise Refused(f"data is deleted only when nothing runs; still there: {', '.join(running)}", hint="towline down")
    has = [name for name, one in facts.items() if store is None or any(kept.name == store for kept in one.stores)]
    if not has:
        names = sorted({kept.name for one in facts.values() for kept in one.stores})
        raise Refused(f"no site has data of a store `{store}`; there is: {', '.join(names) or 'none'}")
    draft = Draft()
    draft.add("purge", {name: (PurgeData(store),) for name in has})
    return _plan(app, target, facts, "purge", draft)


def _plan(app: str, target: str, facts: Mapping[str, Facts], intent: str, draft: Draft) -> Plan:
    return Plan(
        app=app,
        target=target,
        release=next_release(facts),
        intent="purge" if intent == "purge" else "down",
        stages=draft.stages(),
        facts={name: facts[name].digest for name in sorted(facts)},
    )


def _groups(facts: Mapping[str, Facts], bundle: Bundle | None) -> tuple[tuple[str, ...], ...]:
    """The services that run, in groups that stop one after the other; those of which nothing is known first."""
    services = {name for one in facts.values() for name in _services(one)}
    in_levels = levels(waits_of(bundle)) if bundle is not None else ()
    levelled = {name for level in in_levels for name in level}
    groups = [tuple(sorted(services - levelled))]
    groups += [tuple(name for name in level if name in services) for level in reversed(in_levels)]
    return tuple(group for group in groups if group)


def _services(facts: Facts) -> tuple[str, ...]:
    others = {store.name for store in facts.stores} | {DOOR}
    return tuple(sorted({fact.service for fact in facts.instances if lives(fact)} - others))


def _of(services: tuple[str, ...], facts: Facts) -> tuple[InstanceFact, ...]:
    some = (fact for fact in facts.instances if fact.service in services and lives(fact))
    return tuple(sorted(some, key=lambda fact: fact.name))


def _still_leaving(facts: Facts, at_most: float) -> tuple[AnyStep, ...]:
    """Old copies that an earlier deploy left to finish by themselves."""
    services = sorted({fact.service for fact in facts.instances if fact.state == "leaving"})
    known = facts.instances
    return tuple(
        step
        for name in services
        for step in awaited(name, tuple(fact for fact in known if fact.service == name), at_most)
    )


def _held(facts: Facts) -> tuple[AnyStep, ...]:
    return tuple(Shift(name, ()) for name in _services(facts) if facts.upstreams.get(name))


def _shifted(facts: Facts) -> tuple[InstanceFact, ...]:
    return _of(tuple(name for name in _services(facts) if facts.upstreams.get(name)), facts)
