"""Take an app down and keep its data; delete data only when its name is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import UsageError
from towline.ops.recover import failed_step
from towline.ops.workspace import LEASE, owner
from towline.release.down import plan_down, plan_purge
from towline.release.engine import run
from towline.release.lock import held, refuse_stale

if TYPE_CHECKING:
    from towline.core.events import Listener
    from towline.ops.workspace import Standing
    from towline.release.engine import Outcome
    from towline.steps.model import Plan


def down(standing: Standing, listener: Listener) -> Outcome | None:
    """Stop everything in order; None when nothing ran. Data stays."""
    facts = standing.site.observe()
    if not facts.instances and not standing.site.status():
        return None
    return _carried_out(standing, plan_down(standing.app, standing.target, {facts.site: facts}), listener)


def purge(standing: Standing, name: str, listener: Listener) -> Outcome:
    """Delete the data of the store `name`, or with the app's own name all that the app keeps here.

    Raises UsageError for any other name: data goes only when its name is typed.
    """
    facts = standing.site.observe()
    refuse_unknown(standing, name)
    store = None if name == standing.app else name
    return _carried_out(standing, plan_purge(standing.app, standing.target, {facts.site: facts}, store), listener)


def refuse_unknown(standing: Standing, name: str) -> None:
    """Raises UsageError unless `name` is the app or one of its stores."""
    stores = [store.name for store in standing.site.observe().stores]
    if name != standing.app and name not in stores:
        raise UsageError(
            f"nothing here is called `{name}`, so nothing was deleted; there is the app `{standing.app}`"
            + (f" and its stores {', '.join(stores)}" if stores else ""),
            hint=f"towline down --purge {standing.app}",
        )


def _carried_out(standing: Standing, plan: Plan, listener: Listener) -> Outcome:
    with held(standing.sites, owner(), LEASE) as hold:
        refuse_stale(plan, {name: site.observe() for name, site in standing.sites.items()})
        outcome = run(plan, standing.sites, hold, standing.site, listener)
    if not outcome.ok:
        raise failed_step(outcome)
    return outcome
