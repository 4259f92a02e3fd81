"""Resume and roll back: the same shape as a deploy, with a plan that is computed from the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import StepFailed, Where
from towline.ops.workspace import LEASE, owner
from towline.release import journal
from towline.release.engine import run
from towline.release.lock import held
from towline.release.migrate import refuse_way_back, took_away
from towline.release.resume import resume as resume_plan
from towline.release.rollback import rollback as rollback_plan

if TYPE_CHECKING:
    from towline.core.events import Listener
    from towline.ops.workspace import Opened
    from towline.release.engine import Outcome
    from towline.release.lock import Hold
    from towline.steps.model import Plan


def what_resume_would_do(workspace: Opened) -> Plan:
    """The rest of the run that broke off. Raises Refused when none did."""
    return resume_plan(journal.read(workspace.site, workspace.sites))


def what_rollback_would_do(workspace: Opened) -> Plan:
    """The way back to the release before. Raises Refused when there is none, or its database is no longer as it was."""
    state = journal.read(workspace.site, workspace.sites)
    plan = rollback_plan(state)
    if taken := took_away(state, plan.release):
        marks = {name: site.observe().tasks for name, site in workspace.sites.items()}
        refuse_way_back(taken, plan.target, marks)
    return plan


def resume(workspace: Opened, listener: Listener) -> Outcome:
    """Go on where the last run broke off. Raises StepFailed when a step fails; nothing is taken back then."""
    with held(workspace.sites, owner(), LEASE) as hold:
        return _done(run(what_resume_would_do(workspace), workspace.sites, hold, workspace.site, listener))


def roll_back(workspace: Opened, listener: Listener) -> Outcome:
    """Go back to the release before. Raises StepFailed when a step fails."""
    with held(workspace.sites, owner(), LEASE) as hold:
        return _done(run(what_rollback_would_do(workspace), workspace.sites, hold, workspace.site, listener))


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
