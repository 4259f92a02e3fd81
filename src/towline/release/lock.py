"""One release at a time: the lock on every site of a target, and plans that the sites have left."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from towline.core.errors import SiteUnreachable, StalePlan
from towline.steps.driver import Distant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.steps.driver import Driver
    from towline.steps.model import Facts, InstanceFact, Lease, Plan

SECONDS = 60.0
"""How long a lock is held without a word from its owner: three beats of the engine's heart may be lost on the way."""


@dataclass(frozen=True)
class Hold:
    """The locks of all sites of a target: a lease each, kept for `seconds` after every renewal.

    `seen` is what was there when they were taken, where somebody wanted to know.
    """

    leases: Mapping[str, Lease]
    seconds: float
    seen: Mapping[str, Facts] = field(default_factory=dict)


@contextlib.contextmanager
def held(drivers: Mapping[str, Driver], owner: str, seconds: float = SECONDS, *, look: bool = False) -> Iterator[Hold]:
    """Hold the lock of every site while the block runs: taken in the order of their names, given back in reverse.

    `owner` is who a second operator will read of, such as "ann@laptop pid 4711"; `look` at each site under its lock.
    Raises LockHeld, with nothing held.
    """
    leases: dict[str, Lease] = {}
    seen: dict[str, Facts] = {}
    try:
        for site in sorted(drivers):
            driver = drivers[site]
            if not look:
                leases[site] = driver.acquire(owner, seconds)
            elif isinstance(driver, Distant):
                leases[site], seen[site] = driver.acquire_and_observe(owner, seconds)
            else:
                leases[site] = driver.acquire(owner, seconds)
                seen[site] = driver.observe()
        yield Hold(leases, seconds, seen)
    finally:
        for site in sorted(leases, reverse=True):
            # A site that is out of reach now frees itself when the lease runs out; the block's own error matters more.
            with contextlib.suppress(SiteUnreachable):
                drivers[site].release(leases[site])


def refuse_stale(plan: Plan, now: Mapping[str, Facts], seen: Mapping[str, Facts] | None = None) -> None:
    """Raise StalePlan when a site is no longer as the plan saw it; `seen` lets it say what changed.

    A resume and a rollback carry no facts and are never stale: their steps ask anew.
    """
    left = [site for site in sorted(plan.facts) if site not in now or now[site].digest != plan.facts[site]]
    if not left:
        return
    changes = []
    for site in left:
        known = differences(seen[site], now[site]) if seen and site in seen and site in now else ()
        changes += [f"on {site}, {change}" for change in known] or [f"{site} is not as it was"]
    raise StalePlan(f"the plan is out of date: {'; '.join(changes)}", hint="towline plan")


def differences(then: Facts, now: Facts) -> tuple[str, ...]:
    """What changed between two looks at a site, in plain words."""
    changes = _instance_changes(then, now)
    if now.begun > then.begun:
        changes.append(f"release {now.begun} was begun meanwhile")
    for name in sorted(then.upstreams.keys() | now.upstreams.keys()):
        to = now.upstreams.get(name, ())
        if to != then.upstreams.get(name, ()):
            changes.append(f"the traffic of {name} goes to {', '.join(to) or 'nobody'}")
    for name in sorted(then.tasks.keys() | now.tasks.keys()):
        if then.tasks.get(name) != now.tasks.get(name):
            changes.append(f"`{name}` was run" if name in now.tasks else f"`{name}` was forgotten")
    before, after = ({store.name: store for store in facts.stores} for facts in (then, now))
    changes += [
        f"the data of {name} changed"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    if then.door != now.door:
        changes.append("the front door has other routes")
    if then.ports != now.ports:
        changes.append("ports were given out")
    return tuple(changes)


def _instance_changes(then: Facts, now: Facts) -> list[str]:
    before = {fact.name: fact for fact in then.instances}
    after = {fact.name: fact for fact in now.instances}
    names = (name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name))
    return [_instance_change(name, before.get(name), after.get(name)) for name in names]


def _instance_change(name: str, old: InstanceFact | None, new: InstanceFact | None) -> str:
    if new is None:
        return f"{name} is gone"
    if old is None:
        return f"{name} is there"
    if old.revision != new.revision:
        return f"{name} is another one"
    return f"{name} is {new.state}" if old.state != new.state else f"{name} has moved to another port"
