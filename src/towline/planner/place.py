"""Services and stores to sites: as the target says, and refused where that cannot work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Finding, Findings, Where
from towline.planner.model import Placement

if TYPE_CHECKING:
    from towline.spec.model import App, Target


def place(app: App, target: Target) -> Placement:
    """The placement that `target` spells out; Findings when a store or a `single` service is on several sites."""
    findings = [
        Finding(
            "one-site-only",
            f"`{name}` is placed on {', '.join(sites)}, and {reason}",
            where=Where("towline.yaml", target.line),
            hint=f"place it on one site: `place: {{{name}: {sites[0]}}}`",
        )
        for name, reason in _alone(app)
        if len(sites := target.place[name]) > 1
    ]
    if findings:
        raise Findings(tuple(findings))
    return Placement(app, target)


def _alone(app: App) -> list[tuple[str, str]]:
    stores = [(store.name, "a store keeps its data in one place") for store in app.stores]
    singles = [(one.name, "it is `single`: never two at once") for one in app.services if one.single]
    others = [one for one in app.services if not one.single]
    stateful = [(one.name, "its data is in one place") for one in others if one.kind == "stateful"]
    return stores + singles + stateful
