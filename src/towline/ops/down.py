"""Take an app down and keep its data; delete data only when its name is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import UsageError
from towline.ops.recover import failed_step
from towline.ops.workspace import LEASE, owner
from towline.release import journal
from towline.release.down import plan_down, plan_purge
from towline.release.engine import run
from towline.release.lock import held

if TYPE_CHECKING:
    from towline.core.events import Listener
    from towline.ops.workspace import Standing
    from towline.release.engine import Outcome
    from towline.release.lock import Hold
    from towline.steps.model import Plan


DRAIN_AT_MOST = 3.0
"""Seconds that open requests get on the way down: a page that stays open in a browser must not hold up its owner."""


def down(standing: Standing, listener: Listener) -> Outcome | None:
    """Stop everything in order; None when nothing ran. Data stays."""
    with held(standing.sites, owner(), LEASE) as hold:
        facts = standing.site.observe()
        if not facts.instances and _was_ended(standing):
            return None
        plan = plan_down(standing.app, standing.target, {facts.site: facts}, drain_at_most=DRAIN_AT_MOST)
        outcome = _carried_out(standing, plan, hold, listener)
    return outcome if outcome.changed else None


def _was_ended(standing: Standing) -> bool:
    """Whether the last run ended the site; after any other, what supervises the app may live on with nothing to do."""
    runs = journal.read(standing.site, standing.sites).runs
    return bool(runs) and runs[-1].plan.intent in ("down", "purge") and runs[-1].outcome == "done"


def purge(standing: Standing, name: str, listener: Listener) -> Outcome:
    """Delete the data of the store `name`, or with the app's own name all that the app keeps here.

    Raises UsageError for any other name: data goes only when its name is typed.
    """
    with held(standing.sites, owner(), LEASE) as hold:
        refuse_unknown(standing, name)
        facts = standing.site.observe()
        store = None if name == standing.app else name
        plan = plan_purge(standing.app, standing.target, {facts.site: facts}, store)
        return _carried_out(standing, plan, hold, listener)


def refuse_unknown(standing: Standing, name: str) -> None:
    """Raises UsageError unless `name` is the app or one of its stores."""
    stores = [store.name for store in standing.site.observe().stores]
    if name != standing.app and name not in stores:
        raise UsageError(
            f"nothing here is called `{name}`, so nothing was deleted; there is the app `{standing.app}`"
            + (f" and its stores {', '.join(stores)}" if stores else ""),
            hint=f"towline down --purge {standing.app}",
        )


def _carried_out(standing: Standing, plan: Plan, hold: Hold, listener: Listener) -> Outcome:
    """The plan is made under the lock, as nobody is shown it first: it knows what an interrupted deploy still did."""
    outcome = run(plan, standing.sites, hold, standing.site, listener)
    if not outcome.ok:
        raise failed_step(outcome)
    return outcome
