"""The way back: every step that was begun, taken back in reverse order, as an ordinary plan."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from towline.core.errors import Refused
from towline.release.resume import resume
from towline.release.stages import Draft
from towline.steps.farewell import SeeOff
from towline.steps.kinds import EndSite, inverse
from towline.steps.model import Plan

if TYPE_CHECKING:
    from towline.release.journal import Begun, Run, State
    from towline.steps.kinds import AnyStep

    _Copy = tuple[str, str, str]
    """A site, a name and a revision."""


@dataclass(frozen=True)
class _Known:
    """Of a run that is taken back: the copies that nobody ever saw ready, and those that finish by themselves."""

    never_ready: frozenset[_Copy]
    seen_off: frozenset[tuple[str, str]]


BETWEEN = frozenset({"scale", "restart", "maintenance", "backup", "restore"})
"""What is done to a release that runs: it makes no release of its own, so a rollback goes back over it."""


def rollback(state: State) -> Plan:
    """The plan that leads back to the last finished run before the newest one, failed runs in between included.

    `release` is the number it goes back to, 0 when there was none. What stores and tasks wrote stays. A rollback that
    broke off is gone on with. Raises Refused when nothing stands, or when data was deleted since.
    """
    if state.open is not None and state.open.plan.intent == "rollback":
        return resume(state)
    undone = taken_back(state)
    if not undone:
        raise Refused("there is no release to take back", hint="towline status")
    if any(run.plan.intent == "purge" for run in undone):
        raise Refused("data was deleted, and no rollback brings it back", hint="towline history")
    kept = state.standing[: len(state.standing) - len(undone)]
    if kept and kept[-1].plan.intent != "down":
        refuse_cleared(state, kept[-1].number)
    draft = Draft()
    for place, run in reversed(list(enumerate(undone))):
        _reverse(run, draft, _Known(_never_ready(undone[:place]), _seen_off(run)))
    newest = undone[-1].plan
    if not kept or kept[-1].plan.intent == "down":
        # Nothing ran before, so nothing is left that has to be watched over.
        draft.add("end", {batch.site: (EndSite(),) for stage in newest.stages for batch in stage.batches})
    notes = () if kept else ("there is no release before it: what it started is stopped, and data stays",)
    return Plan(
        app=newest.app,
        target=newest.target,
        release=kept[-1].number if kept else 0,
        intent="rollback",
        stages=draft.stages(),
        facts={},
        notes=notes,
    )


def refuse_cleared(state: State, number: int) -> None:
    """Raise Refused for a release whose images and environments were cleared away: it cannot be started again."""
    cleared = (one.step.oldest for run in state.runs for one in run.begun if one.step.kind == "clear-away")
    oldest = max(cleared, default=0)
    if number < oldest:
        sentence = f"release {number} is no longer kept: what it ran was cleared away"
        raise Refused(sentence, hint="deploy its source again: git checkout, then towline deploy TARGET")


def taken_back(state: State) -> tuple[Run, ...]:
    """The standing runs that a rollback takes back, oldest first.

    The newest release with what was scaled, restarted and paused since, and what failed directly before it. Of a newest
    run that failed itself, that one.
    """
    newest = _newest(state.standing)
    kept = 0
    for place, run in enumerate(state.standing[:newest], start=1):
        if run.outcome == "done":
            kept = place
    return state.standing[kept:]


def _newest(standing: tuple[Run, ...]) -> int:
    """The place of the newest run that is more than a change of what runs already."""
    newest = len(standing) - 1
    if standing and standing[newest].outcome == "done":
        while newest > 0 and standing[newest].plan.intent in BETWEEN:
            newest -= 1
    return max(newest, 0)


def _never_ready(runs: tuple[Run, ...]) -> frozenset[_Copy]:
    """What failed runs started and nobody saw ready: taking back a later run that stopped it does not start it."""
    failed = [begun for run in runs if run.outcome != "done" for begun in run.begun]
    ready = {(one.site, one.step.name) for one in failed if one.step.kind == "wait-ready" and one.last == "done"}
    started = [(one.site, one.step.instance) for one in failed if one.step.kind == "start-instance"]
    return frozenset(
        (site, instance.name, instance.revision) for site, instance in started if (site, instance.name) not in ready
    )


def _seen_off(run: Run) -> frozenset[tuple[str, str]]:
    """The copies of a run that leave as those left whom they replaced: by themselves, with nobody who waits.

    Not where the run brought a store as well, which they use to their end.
    """
    steps = ((batch.site, step) for stage in run.plan.stages for batch in stage.batches for step in batch.steps)
    services = {(site, step.service) for site, step in steps if step.kind == "see-off"}
    started = [(one.site, one.step.instance) for one in run.begun if one.step.kind == "start-instance"]
    if any(instance.runs != "service" for _, instance in started):
        return frozenset()
    return frozenset((site, one.name) for site, one in started if (site, one.service) in services)


def _reverse(run: Run, draft: Draft, known: _Known) -> None:
    """The routes come first: whatever is shifted back has to be found through the front door, to be confirmed.

    So does a private link that was another one: what comes back has its ports at the address that it had.
    """
    names = {batch.stage: stage.name for stage in run.plan.stages for batch in stage.batches}
    ends = tuple(begun for begun in run.begun if begun.step.kind == "join-link" and begun.before.get("link"))
    draft.add("take back: private link", _batches(ends, known))
    routes = tuple(begun for begun in run.begun if begun.step.kind == "configure-door")
    draft.add("take back: routes", _batches(routes, known))
    for number in sorted(names, reverse=True):
        some = tuple(begun for begun in run.begun if begun.stage == number and begun not in (*ends, *routes))
        draft.add(f"take back: {names[number]}", _batches(some, known))


def _batches(some: tuple[Begun, ...], known: _Known) -> dict[str, tuple[AnyStep, ...]]:
    batches: dict[str, list[AnyStep]] = {}
    for goodbye, several in groupby(reversed(some), lambda one: (one.site, one.step.kind == "see-off")):
        steps = [step for begun in several for step in _back(begun, known)]
        site, beside = goodbye
        batches.setdefault(site, []).extend(sorted(steps, key=_waits) if beside else steps)
    return {site: _merged(steps) for site, steps in batches.items()}


def _waits(step: AnyStep) -> bool:
    """Those who were seen off start beside others who serve: all of them first, then they are waited for."""
    return step.kind == "wait-ready"


def _back(begun: Begun, known: _Known) -> tuple[AnyStep, ...]:
    step, ends = begun.step, begun.step.kind in ("see-off", "stop-instance")
    stopped = begun.before.get("instance") if ends else None
    if stopped and (begun.site, stopped["name"], stopped["revision"]) in known.never_ready:
        return ()
    if step.kind == "wait-ready" and (begun.site, step.name) in known.seen_off:
        return ()
    back = inverse(step, begun.before)
    if step.kind == "start-instance" and (begun.site, step.instance.name) in known.seen_off:
        one = step.instance
        return (SeeOff(one.name, one.service, one.drain, one.stop_within),) if back else ()
    return back


def _merged(steps: list[AnyStep]) -> tuple[AnyStep, ...]:
    """Without steps that repeat the one directly before them."""
    return tuple(step for place, step in enumerate(steps) if place == 0 or step != steps[place - 1])
