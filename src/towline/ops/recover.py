"""Resume and roll back: the same shape as a deploy, with a plan that is computed from the journal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from towline.core.errors import Refused, StepFailed, Where
from towline.ops.workspace import LEASE, owner
from towline.release import journal
from towline.release.engine import run
from towline.release.lock import held
from towline.release.migrate import refuse_way_back, took_away
from towline.release.resume import resume as resume_plan
from towline.release.rollback import refuse_cleared
from towline.release.rollback import rollback as rollback_plan

if TYPE_CHECKING:
    from towline.core.events import Listener
    from towline.ops.workspace import Opened
    from towline.release.engine import Outcome
    from towline.release.journal import State
    from towline.release.lock import Hold
    from towline.steps.model import Plan


def what_resume_would_do(workspace: Opened) -> Plan:
    """The rest of the run that broke off. Raises Refused when none did."""
    return resume_plan(journal.read(workspace.site, workspace.sites))


def what_rollback_would_do(workspace: Opened) -> Plan:
    """The way back to the release before. Raises Refused when there is none, or its database is no longer as it was."""
    state = journal.read(workspace.site, workspace.sites)
    plan = rollback_plan(state)
    _refuse_lost(workspace, state, plan.release)
    return plan


def _refuse_lost(workspace: Opened, state: State, release: int) -> None:
    if taken := took_away(state, release):
        marks = {name: site.observe().tasks for name, site in workspace.sites.items()}
        refuse_way_back(taken, workspace.target.name, marks)


def resume(workspace: Opened, listener: Listener) -> Outcome:
    """Go on where the last run broke off. Raises StepFailed when a step fails; nothing is taken back then."""
    with held(workspace.sites, owner(), LEASE) as hold:
        return _done(run(what_resume_would_do(workspace), workspace.sites, hold, workspace.site, listener))


def roll_back(workspace: Opened, listener: Listener, to: int | None = None) -> Outcome:
    """Go back to the release before, or on to release `to`, one after the other. Raises StepFailed when a step fails,
    Refused for a release that is not there to go back to.
    """
    with held(workspace.sites, owner(), LEASE) as hold:
        if to is not None:
            _refuse_unreachable(workspace, to)
        outcome = _one_back(workspace, hold, listener)
        while to is not None and journal.read(workspace.site, workspace.sites).releases[-1:] != (to,):
            outcome = _together(outcome, _one_back(workspace, hold, listener))
        return outcome


def _one_back(workspace: Opened, hold: Hold, listener: Listener) -> Outcome:
    return _done(run(what_rollback_would_do(workspace), workspace.sites, hold, workspace.site, listener))


def _together(first: Outcome, then: Outcome) -> Outcome:
    """What both did, under the name of the later."""
    done = {name: getattr(first, name) + getattr(then, name) for name in ("changed", "already", "seconds")}
    return replace(then, **done)


def _refuse_unreachable(workspace: Opened, to: int) -> None:
    """Before the first step back: whether the last one can be made."""
    state = journal.read(workspace.site, workspace.sites)
    if to not in state.releases:
        known = ", ".join(str(number) for number in state.releases[:-1]) or "none"
        raise Refused(f"there is no release {to} to go back to; there are: {known}", hint="towline history")
    if to == state.releases[-1] and state.open is None:
        raise Refused(f"release {to} is what runs", hint="towline status")
    refuse_cleared(state, to)
    _refuse_lost(workspace, state, to)


def roll_back_under(workspace: Opened, hold: Hold, listener: Listener) -> Outcome:
    """Take back a run that has just failed, under locks that are held already: what ran before it runs still."""
    plan = rollback_plan(journal.read(workspace.site, workspace.sites))
    return _done(run(plan, workspace.sites, hold, workspace.site, listener))


def failed_step(outcome: Outcome) -> StepFailed:
    """The error that a failed outcome stands for: the first step that failed, with its evidence."""
    line = outcome.failed[0]
    title = line.step.title if line.step is not None else "a step"
    return StepFailed(
        line.sentence, where=Where(f"{line.site}, {title}"), hint=line.hint or "towline logs", evidence=line.evidence
    )


def _done(outcome: Outcome) -> Outcome:
    if not outcome.ok:
        raise failed_step(outcome)
    return outcome
