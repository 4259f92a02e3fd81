"""The way back: every step that was begun, taken back in reverse order, as an ordinary plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Refused
from towline.release.resume import resume
from towline.release.stages import Draft
from towline.steps.kinds import EndSite, inverse
from towline.steps.model import Plan

if TYPE_CHECKING:
    from towline.release.journal import Begun, Run, State
    from towline.steps.kinds import AnyStep

    _Copy = tuple[str, str, str]
    """A site, a name and a revision."""


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
        raise Refused("data was deleted, and no rollback brings it back", hint="towline up")
    kept = state.standing[: len(state.standing) - len(undone)]
    draft = Draft()
    for place, run in reversed(list(enumerate(undone))):
        _reverse(run, draft, never_ready=_never_ready(undone[:place]))
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


def taken_back(state: State) -> tuple[Run, ...]:
    """The standing runs that a rollback takes back, oldest first: the newest, and what failed directly before it."""
    kept = 0
    for place, run in enumerate(state.standing[:-1], start=1):
        if run.outcome == "done":
            kept = place
    return state.standing[kept:]


def _never_ready(runs: tuple[Run, ...]) -> frozenset[_Copy]:
    """What failed runs started and nobody saw ready: taking back a later run that stopped it does not start it."""
    failed = [begun for run in runs if run.outcome != "done" for begun in run.begun]
    ready = {(one.site, one.step.name) for one in failed if one.step.kind == "wait-ready" and one.last == "done"}
    started = [(one.site, one.step.instance) for one in failed if one.step.kind == "start-instance"]
    return frozenset(
        (site, instance.name, instance.revision) for site, instance in started if (site, instance.name) not in ready
    )


def _reverse(run: Run, draft: Draft, *, never_ready: frozenset[_Copy]) -> None:
    """The routes come first: whatever is shifted back has to be found through the front door, to be confirmed."""
    names = {batch.stage: stage.name for stage in run.plan.stages for batch in stage.batches}
    routes = tuple(begun for begun in run.begun if begun.step.kind == "configure-door")
    draft.add("take back: routes", _batches(routes, never_ready))
    for number in sorted(names, reverse=True):
        some = tuple(begun for begun in run.begun if begun.stage == number and begun not in routes)
        draft.add(f"take back: {names[number]}", _batches(some, never_ready))


def _batches(some: tuple[Begun, ...], never_ready: frozenset[_Copy]) -> dict[str, tuple[AnyStep, ...]]:
    batches: dict[str, list[AnyStep]] = {}
    for begun in reversed(some):
        batches.setdefault(begun.site, []).extend(_back(begun, never_ready))
    return {site: _merged(steps) for site, steps in batches.items()}


def _back(begun: Begun, never_ready: frozenset[_Copy]) -> tuple[AnyStep, ...]:
    stopped = begun.before.get("instance") if begun.step.kind == "stop-instance" else None
    if stopped and (begun.site, stopped["name"], stopped["revision"]) in never_ready:
        return ()
    return inverse(begun.step, begun.before)


def _merged(steps: list[AnyStep]) -> tuple[AnyStep, ...]:
    """Without steps that repeat the one directly before them."""
    return tuple(step for place, step in enumerate(steps) if place == 0 or step != steps[place - 1])
