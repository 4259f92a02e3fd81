"""A deploy on one page: read, plan, lock, look again, act, and go back by itself when it fails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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
    from collections.abc import Mapping

    from towline.artifacts.model import Bundle
    from towline.core.secret import Secret
    from towline.ops.workspace import Opened
    from towline.release.engine import Outcome
    from towline.steps.driver import Driver
    from towline.steps.model import Facts, Plan


@dataclass(frozen=True)
class Prepared:
    """A plan with what it needs to be carried out."""

    plan: Plan
    seen: dict[str, Facts]
    bundle: Bundle
    values: dict[str, Secret]


def prepare(workspace: Opened, seen: dict[str, Facts] | None = None) -> Prepared:
    """The plan that leads from what is there (`seen`, where it was asked already) to what the files say."""
    seen = observed(workspace.sites) if seen is None else seen
    values = workspace.values()
    bundle = workspace.bundle(seen, values)
    return Prepared(build(bundle, seen), seen, bundle, values)


def observed(sites: Mapping[str, Driver]) -> dict[str, Facts]:
    """The facts of all sites, asked side by side."""
    if len(sites) == 1:
        return {name: site.observe() for name, site in sites.items()}
    with ThreadPoolExecutor(len(sites), "observe") as pool:
        asked = {name: pool.submit(site.observe) for name, site in sites.items()}
        return {name: one.result() for name, one in asked.items()}


def deploy(workspace: Opened, prepared: Prepared, listener: events.Listener, by: str | None = None) -> Outcome:
    """Carry out a plan. Raises StepFailed, after going back to the release before, when a step fails.

    `by` is who the journal says began it: the one who acts here, unless somebody else asked for it.
    """
    plan = prepared.plan
    # It may take longer than a lock lasts, and changes nothing that runs.
    workspace.deliver(plan)
    with held(workspace.sites, by or owner(), LEASE, look=True) as hold:
        refuse_stale(plan, hold.seen, prepared.seen)
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
