"""Taking an app down, and deleting what it kept: the two plans that need no wanted state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Refused
from towline.release.build import next_release
from towline.release.order import levels, waits_of
from towline.release.stages import Draft
from towline.release.swap import UNKNOWN_DRAIN, UNKNOWN_STOP, lives, stopped
from towline.steps.kinds import Drain, EndSite, PurgeData, Shift
from towline.steps.model import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.artifacts.model import Bundle
    from towline.steps.kinds import AnyStep, Instance
    from towline.steps.model import Facts, InstanceFact

DOOR = "door"
"""The name of the front door, which stops after the services and before the stores."""


def plan_down(
    app: str,
    target: str,
    facts: Mapping[str, Facts],
    bundle: Bundle | None = None,
    drain_at_most: float = UNKNOWN_DRAIN,
) -> Plan:
    """Stop all that runs, those first that others do not wait for, and end the sites; data stays.

    The bundle, when there is one, tells the order of the services and how long each may take to finish; open requests
    last no longer than `drain_at_most` seconds.
    """
    known = _Known(bundle, drain_at_most)
    draft = Draft()
    draft.add("shift", {name: _held(one) for name, one in facts.items()})
    draft.add("drain", {name: _drained(one, known) for name, one in facts.items()})
    for services in known.groups(facts):
        title = f"stop {', '.join(services)}"
        draft.add(title, {name: _stopped(one, services, known) for name, one in facts.items()})
    draft.add("stop the front door", {name: _stopped(one, (DOOR,), known) for name, one in facts.items()})
    stores = {name: tuple(sorted(store.name for store in one.stores)) for name, one in facts.items()}
    draft.add("stop stores", {name: _stopped(one, stores[name], known) for name, one in facts.items()})
    draft.add("end", {name: (EndSite(),) for name in facts})
    return _plan(app, target, facts, "down", draft)


def plan_purge(app: str, target: str, facts: Mapping[str, Facts], store: str | None = None) -> Plan:
    """Delete the data of a store, or of the whole app with None. Raises Refused while anything runs."""
    running = sorted(fact.name for one in facts.values() for fact in one.instances if lives(fact))
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


class _Known:
    """What a bundle tells of the copies that run."""

    def __init__(self, bundle: Bundle | None, drain_at_most: float) -> None:
        self._drain_at_most = drain_at_most
        self._instances: dict[str, Instance] = {}
        self._levels: tuple[tuple[str, ...], ...] = ()
        if bundle is None:
            return
        self._levels = levels(waits_of(bundle))
        for part in bundle.sites:
            every = [one for service in part.services for one in service.instances]
            every += [store.server for store in part.stores]
            every += [part.door] if part.door else []
            self._instances |= {one.service: one for one in every}

    def stop_within(self, service: str) -> float:
        """Seconds that a copy may take to end."""
        return self._instances[service].stop_within if service in self._instances else UNKNOWN_STOP

    def drain(self, service: str) -> float:
        """Seconds that its open requests may last."""
        known = self._instances[service].drain if service in self._instances else UNKNOWN_DRAIN
        return min(known, self._drain_at_most)

    def groups(self, facts: Mapping[str, Facts]) -> tuple[tuple[str, ...], ...]:
        """The services that run, in groups that stop one after the other; those of which nothing is known first."""
        services = {name for one in facts.values() for name in _services(one)}
        levelled = {name for level in self._levels for name in level}
        groups = [tuple(sorted(services - levelled))]
        groups += [tuple(name for name in level if name in services) for level in reversed(self._levels)]
        return tuple(group for group in groups if group)


def _services(facts: Facts) -> tuple[str, ...]:
    others = {store.name for store in facts.stores} | {DOOR}
    return tuple(sorted({fact.service for fact in facts.instances if lives(fact)} - others))


def _of(services: tuple[str, ...], facts: Facts) -> tuple[InstanceFact, ...]:
    some = (fact for fact in facts.instances if fact.service in services and lives(fact))
    return tuple(sorted(some, key=lambda fact: fact.name))


def _held(facts: Facts) -> tuple[AnyStep, ...]:
    return tuple(Shift(name, ()) for name in _services(facts) if facts.upstreams.get(name))


def _drained(facts: Facts, known: _Known) -> tuple[AnyStep, ...]:
    shifted = tuple(name for name in _services(facts) if facts.upstreams.get(name))
    limits = [(fact.name, known.drain(fact.service)) for fact in _of(shifted, facts)]
    return tuple(Drain(name, limit) for name, limit in limits if limit > 0)


def _stopped(facts: Facts, services: tuple[str, ...], known: _Known) -> tuple[AnyStep, ...]:
    some = _of(services, facts)
    return tuple(step for fact in some for step in stopped((fact,), known.stop_within(fact.service)))
