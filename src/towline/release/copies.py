"""More copies of what runs, fewer of them, or the same ones anew: plans that take nothing from the user's files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from towline.artifacts.copies import copy_name, free_numbers
from towline.artifacts.model import ServiceArtifact
from towline.core.errors import Refused
from towline.release.build import next_release
from towline.release.pieces import joined, running_of
from towline.release.stages import Draft
from towline.release.swap import Swap, handed_over, lives, stopped, swap
from towline.steps.kinds import StartInstance, WaitReady
from towline.steps.model import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from towline.release.journal import State
    from towline.steps.kinds import Instance
    from towline.steps.model import Facts, InstanceFact

    Made = Mapping[tuple[str, str, str], Instance]
    """What was started, by site, name and revision."""


@dataclass(frozen=True)
class Wish:
    """What is wanted of a service: `copies` on each of its sites, with `anew` all of them new ones.

    `swap` and `reason` are as in ServiceArtifact.
    """

    service: str
    swap: Literal["beside", "after"]
    reason: str
    copies: Mapping[str, int]
    anew: bool = False


@dataclass(frozen=True)
class Subject:
    """What a plan is about: its first note says it."""

    app: str
    target: str
    intent: Literal["scale", "restart"]
    sentence: str


def started(state: State) -> Made:
    """Every copy that was ever started, as it was started last: what runs now is among them."""
    return {
        (begun.site, begun.step.instance.name, begun.step.instance.revision): begun.step.instance
        for run in state.runs
        for begun in run.begun
        if begun.step.kind == "start-instance"
    }


def plan_copies(subject: Subject, wishes: Iterable[Wish], facts: Mapping[str, Facts], made: Made) -> Plan:
    """The plan by which each service has the copies that are wished for: new ones first, as in a deploy.

    They are made as those that run now, whatever the files say meanwhile. Raises Refused for a service that does not
    run, or of which two versions do.
    """
    swaps = {}
    for wish in wishes:
        if not wish.copies:
            raise _unclear(wish.service, " or ".join(facts), several=False)
        for site in wish.copies:
            seen = facts[site]
            now = tuple(seen.upstreams.get(wish.service, ()))
            wanted = _wanted(wish, seen, made)
            one = swap(wanted, running_of(wish.service, seen), now)
            trusted = wanted.swap == "beside" and all(copy.container for copy in wanted.instances)
            swaps[site, wish.service] = handed_over(one, wish.service) if trusted else one
    return _plan(subject, swaps, facts)


def plan_restart_of_servers(subject: Subject, servers: Iterable[str], facts: Mapping[str, Facts], made: Made) -> Plan:
    """Stop a store or the front door and start it again as it was: nothing reaches it meanwhile; a note says so."""
    swaps = {}
    for server in servers:
        for site, seen in facts.items():
            for fact in running_of(server, seen):
                if lives(fact):
                    swaps[site, server] = _again(fact, _known(made, site, fact))
        if not any(name == server for _, name in swaps):
            raise Refused(
                f"`{server}` does not run, so it cannot be restarted", hint=f"towline deploy {subject.target}"
            )
    return _plan(subject, swaps, facts)


def _again(fact: InstanceFact, instance: Instance) -> Swap:
    return Swap(
        make_way=stopped((fact,)),
        come_back=(StartInstance(instance), WaitReady(instance.name, instance.ready.within, instance.drain)),
        note=f"`{fact.service}` stops and starts again: nothing reaches it for a moment",
    )


def _wanted(wish: Wish, facts: Facts, made: Made) -> ServiceArtifact:
    """The copies that stay, then the new ones, which are made as those are."""
    there = running_of(wish.service, facts)
    living = [fact for fact in there if lives(fact)]
    revisions = {fact.revision for fact in living}
    if len(revisions) != 1:
        raise _unclear(wish.service, facts.site, several=bool(revisions))
    model = _known(made, facts.site, living[0])
    ready = [fact for fact in living if fact.state == "ready"]
    stay = (
        [] if wish.anew else [_known(made, facts.site, fact) for fact in _by_number(ready)][: wish.copies[facts.site]]
    )
    missing = wish.copies[facts.site] - len(stay)
    taken = [fact.name for fact in there if fact.state != "stopped"]
    numbers = free_numbers((model.service, model.revision), missing, taken)
    instances = (*stay, *(_copy(model, number) for number in numbers))
    return ServiceArtifact(
        name=wish.service,
        instances=instances,
        upstreams=_upstreams(instances, facts.upstreams.get(wish.service, ())),
        swap=wish.swap,
        swap_reason=wish.reason,
        tasks=(),
        after=(),
    )


def _by_number(facts: list[InstanceFact]) -> list[InstanceFact]:
    return sorted(facts, key=lambda fact: (len(fact.name), fact.name))


def _unclear(service: str, site: str, *, several: bool) -> Refused:
    if several:
        return Refused(f"two versions of `{service}` run on {site}: a release is not finished", hint="towline resume")
    return Refused(f"nothing of `{service}` runs on {site}", hint="towline deploy TARGET")


def _known(made: Made, site: str, fact: InstanceFact) -> Instance:
    instance = made.get((site, fact.name, fact.revision))
    if instance is None:
        raise Refused(
            f"the journal does not tell how {fact.name} was started, so no other can be made like it",
            hint="towline deploy TARGET",
        )
    return instance


def _copy(model: Instance, number: int) -> Instance:
    name = copy_name(model.service, model.revision, number)
    container = model.container
    if container is not None:
        container = replace(container, name=container.name.removesuffix(model.name) + name)
    return replace(model, name=name, container=container)


def _upstreams(instances: tuple[Instance, ...], now: tuple[str, ...]) -> tuple[str, ...]:
    """Where the traffic goes: to the same port of each as it goes to now; nowhere for a service without any."""
    if not now:
        return ()
    port = now[0].rpartition(":")[2]
    return tuple(f"{one.container.name}:{port}" for one in instances if one.container is not None)


def _plan(subject: Subject, swaps: Mapping[tuple[str, str], Swap], facts: Mapping[str, Facts]) -> Plan:
    draft = Draft()
    of = {site: [one for (where, _), one in swaps.items() if where == site] for site in sorted(facts)}
    services = sorted({service for _, service in swaps})
    draft.add(f"start {', '.join(services)}", {site: joined(one.start for one in some) for site, some in of.items()})
    for service in services:
        here = {site: one for (site, name), one in swaps.items() if name == service}
        draft.add(f"stop {service}", {site: one.make_way for site, one in here.items()})
        draft.add(f"replace {service}", {site: one.come_back for site, one in here.items()})
    draft.add("shift", {site: joined(one.shift for one in some) for site, some in of.items()})
    draft.add("drain", {site: joined(one.drain for one in some) for site, some in of.items()})
    draft.add("stop", {site: joined(one.stop for one in some) for site, some in of.items()})
    notes = dict.fromkeys(one.note for one in swaps.values() if one.note)
    return Plan(
        app=subject.app,
        target=subject.target,
        release=next_release(facts),
        intent=subject.intent,
        stages=draft.stages(),
        facts={name: facts[name].digest for name in sorted(facts)},
        notes=(subject.sentence, *notes),
    )
