"""A deploy on one page: read, plan, lock, look again, act, and go back by itself when it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.core import events
from towline.core.errors import StepFailed, TowlineError
from towline.ops.recover import failed_step, roll_back_under
from towline.ops.workspace import LEASE, owner
from towline.release.build import build
from towline.release.engine import run
from towline.release.lock import held, refuse_stale

if TYPE_CHECKING:
    from towline.artifacts.model import Bundle
    from towline.core.secret import Secret
    from towline.ops.workspace import Workspace
    from towline.release.engine import Outcome
    from towline.steps.model import Facts, Plan


@dataclass(frozen=True)
class Prepared:
    """A plan with what it needs to be carried out."""

    plan: Plan
    seen: dict[str, Facts]
    bundle: Bundle
    values: dict[str, Secret]


def prepare(workspace: Workspace) -> Prepared:
    """The plan that leads from what is there to what the files say; changes nothing."""
    facts = workspace.site.observe()
    values = workspace.values()
    bundle = workspace.bundle(facts, values)
    seen = {facts.site: facts}
    return Prepared(build(bundle, seen), seen, bundle, values)


def deploy(workspace: Workspace, prepared: Prepared, listener: events.Listener) -> Outcome:
    """Carry out a plan. Raises StepFailed, after going back to the release before, when a step fails."""
    plan = prepared.plan
    with held(workspace.sites, owner(), LEASE) as hold:
        refuse_stale(plan, {name: site.observe() for name, site in workspace.sites.items()}, prepared.seen)
        workspace.keep(prepared.values)
        for part in prepared.bundle.sites:
            workspace.sites[part.site].stash(part.contents, hold.leases[part.site])
        outcome = run(plan, workspace.sites, hold, workspace.site, listener)
        if outcome.ok:
            return outcome
        broken = failed_step(outcome)
        listener(events.Noted("going back to how it was"))
        try:
            roll_back_under(workspace, hold, listener)
        except TowlineError as error:
            raise StepFailed(
                f"{broken.sentence}; and going back failed too: {error.sentence}",
                where=broken.where,
                hint="towline rollback",
                evidence=broken.evidence,
            ) from error
        raise broken
