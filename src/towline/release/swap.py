"""One service's old and new copies on one site: the pieces of a swap, which the builder puts into stages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from towline.steps.farewell import AwaitFarewell, SeeOff
from towline.steps.kinds import (
    ConfirmShift,
    ConfirmStopped,
    Drain,
    Shift,
    StartInstance,
    StopInstance,
    WaitReady,
)

if TYPE_CHECKING:
    from towline.artifacts.model import ServiceArtifact
    from towline.steps.kinds import AnyStep, Instance
    from towline.steps.model import InstanceFact


@dataclass(frozen=True)
class Swap:
    """The pieces of one swap, each empty where there is nothing to do.

    `beside`: `start` (start, wait), `shift` (shift, confirm), `drain`, `stop` (stop, confirm). `after`: `make_way`
    (hold the requests, stop, confirm), then `come_back` (start, wait, shift, confirm); the others may follow still.
    """

    start: tuple[AnyStep, ...] = ()
    make_way: tuple[AnyStep, ...] = ()
    come_back: tuple[AnyStep, ...] = ()
    shift: tuple[AnyStep, ...] = ()
    drain: tuple[AnyStep, ...] = ()
    stop: tuple[AnyStep, ...] = ()
    note: str = ""


def swap(
    wanted: ServiceArtifact, running: tuple[InstanceFact, ...], upstreams: tuple[str, ...], *, moves_in: bool = False
) -> Swap:
    """What leads from the copies that are there, and the addresses that have the traffic, to those wanted.

    A copy that runs under a wanted name and revision is never touched. Without old copies there is nothing to swap, so
    that `after` is the same as `beside`, unless the service `moves_in` from another site, where it has to stop first.
    """
    old, new = _old(wanted.instances, running), _new(wanted.instances, running)
    late = awaited(wanted.name, running) if wanted.swap == "after" else ()
    if new and ((wanted.swap == "after" and (old or moves_in or late)) or _share_a_name(old, new)):
        after = _after(wanted, old, new, upstreams)
        return replace(after, make_way=(*after.make_way, *late))
    return Swap(
        start=_started(new),
        shift=_shifted(wanted, upstreams),
        drain=drained(old),
        stop=stopped(old),
        note=_fewer(wanted, old, new),
    )


def moved_away(wanted: ServiceArtifact, running: tuple[InstanceFact, ...], upstreams: tuple[str, ...]) -> Swap:
    """A service of swap `after` that goes to another site: its copies here make way before it starts there."""
    given_up = _given_up(wanted.name, _old((), running), upstreams)
    return Swap(make_way=(*given_up, *awaited(wanted.name, running)))


def farewell(service: str, running: tuple[InstanceFact, ...], upstreams: tuple[str, ...]) -> Swap:
    """A service that is no longer wanted: its traffic ends, its copies finish what they have."""
    old = _old((), running)
    shift = (Shift(service, ()),) if upstreams else ()
    note = f"`{service}` is no longer wanted: it finishes what it has and is stopped" if old or upstreams else ""
    return Swap(shift=shift, drain=drained(old), stop=stopped(old), note=note)


def swap_server(server: Instance, running: tuple[InstanceFact, ...], pause: str) -> Swap:
    """A store or the front door, of which there is one at one port: the old one makes way.

    `pause` says what a person should know when it does.
    """
    old, new = _old((server,), running), _new((server,), running)
    return Swap(
        make_way=stopped(old),
        come_back=_started(new),
        note=pause if old and new else "",
    )


def handed_over(one: Swap, service: str) -> Swap:
    """The same, with old copies that finish and stop by themselves on their site."""
    drains = {step.name: step.within for step in one.drain if isinstance(step, Drain)}
    stops = (step for step in one.stop if isinstance(step, StopInstance))
    off = tuple(SeeOff(step.name, service, drains.get(step.name, 0.0), step.within) for step in stops)
    return replace(one, drain=(), stop=off)


def awaited(service: str, running: tuple[InstanceFact, ...], at_most: float = float("inf")) -> tuple[AnyStep, ...]:
    """Wait for the copies of a service that an earlier deploy left to finish by themselves."""
    left = [fact.drain + fact.stop_within for fact in running if fact.state == "leaving"]
    return (AwaitFarewell(service, min(max(left), at_most)),) if left else ()


def swap_door(door: Instance, running: tuple[InstanceFact, ...]) -> Swap:
    """A front door without a port of its own: the new one starts beside the old one, which finishes what it has."""
    old, new = _old((door,), running), _new((door,), running)
    return Swap(come_back=_started(new), drain=drained(old), stop=stopped(old))


def stopped(old: tuple[InstanceFact, ...]) -> tuple[AnyStep, ...]:
    """Stop each, within its own limit, and see that nothing of it is left."""
    stops = tuple(StopInstance(fact.name, fact.stop_within) for fact in old)
    return (*stops, *(ConfirmStopped(fact.name) for fact in old))


def lives(fact: InstanceFact) -> bool:
    """Whether there is something to stop; what has stopped lies there for people to look at."""
    return fact.state not in ("leaving", "stopped")


def _after(
    wanted: ServiceArtifact, old: tuple[InstanceFact, ...], new: tuple[Instance, ...], upstreams: tuple[str, ...]
) -> Swap:
    waits = "; requests wait at the front door meanwhile" if upstreams else ""
    reason = f" ({wanted.swap_reason})" if wanted.swap_reason else ""
    return Swap(
        make_way=_given_up(wanted.name, old, upstreams),
        come_back=(*_started(new), *_shifted(wanted, ())),
        note=f"`{wanted.name}` pauses: its old copy stops before the new one starts{reason}{waits}",
    )


def _fewer(wanted: ServiceArtifact, old: tuple[InstanceFact, ...], new: tuple[Instance, ...]) -> str:
    """Copies of the very version that is wanted go: somebody had asked for more of them than is wanted now."""
    revisions = {one.revision for one in wanted.instances}
    spare = [fact for fact in old if fact.state == "ready" and fact.revision in revisions]
    if new or not spare:
        return ""
    return f"`{wanted.name}` goes from {len(wanted.instances) + len(spare)} copies to {len(wanted.instances)}"


def _given_up(service: str, old: tuple[InstanceFact, ...], upstreams: tuple[str, ...]) -> tuple[AnyStep, ...]:
    held = (Shift(service, ()),) if upstreams else ()
    return (*held, *stopped(old))


def _old(wanted: tuple[Instance, ...], running: tuple[InstanceFact, ...]) -> tuple[InstanceFact, ...]:
    keep = {(one.name, one.revision) for one in wanted}
    old = (fact for fact in running if lives(fact) and (fact.name, fact.revision) not in keep)
    return tuple(sorted(old, key=lambda fact: fact.name))


def _new(wanted: tuple[Instance, ...], running: tuple[InstanceFact, ...]) -> tuple[Instance, ...]:
    there = {(fact.name, fact.revision) for fact in running if fact.state == "ready"}
    new = (one for one in wanted if (one.name, one.revision) not in there)
    return tuple(sorted(new, key=lambda one: one.name))


def _share_a_name(old: tuple[InstanceFact, ...], new: tuple[Instance, ...]) -> bool:
    return bool({fact.name for fact in old} & {one.name for one in new})


def _started(new: tuple[Instance, ...]) -> tuple[AnyStep, ...]:
    starts = tuple(StartInstance(one) for one in new)
    waits = tuple(WaitReady(one.name, one.ready.within, one.drain) for one in new)
    return (*starts, *waits)


def _shifted(wanted: ServiceArtifact, upstreams: tuple[str, ...]) -> tuple[AnyStep, ...]:
    to = tuple(sorted(wanted.upstreams))
    if to == tuple(sorted(upstreams)):
        return ()
    return (Shift(wanted.name, to), ConfirmShift(wanted.name, to)) if to else (Shift(wanted.name, ()),)


def drained(old: tuple[InstanceFact, ...], at_most: float = float("inf")) -> tuple[AnyStep, ...]:
    """Let those that take requests finish them, within their own limits and no longer than `at_most` seconds."""
    return tuple(Drain(fact.name, min(fact.drain, at_most)) for fact in old if fact.drain > 0)
