"""A page instead of the app, and the app again: the plan for every front door of a target (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.host_layout import DOOR
from towline.core.errors import Refused
from towline.release.build import next_release
from towline.release.stages import Draft
from towline.release.swap import lives
from towline.steps.maintenance import SetMaintenance
from towline.steps.model import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.steps.model import Facts


def plan_maintenance(
    app: str, target: str, facts: Mapping[str, Facts], page: Mapping[str, str] | None, retry_after: int
) -> Plan:
    """`page` is the digest of the page on each site, None ends it. Raises Refused where no front door runs."""
    doors = [site for site, one in facts.items() if any(door.service == DOOR and lives(door) for door in one.instances)]
    if not doors:
        raise Refused(f"no front door of {app} runs, so nothing answers at all", hint=f"towline deploy {target}")
    draft = Draft()
    draft.add("maintenance", {site: (SetMaintenance(page[site] if page else None, retry_after),) for site in doors})
    said = f"the page is shown, with Retry-After {retry_after}; workers go on" if page else "requests go through again"
    return Plan(
        app=app,
        target=target,
        release=next_release(facts),
        intent="maintenance",
        stages=draft.stages(),
        facts={name: facts[name].digest for name in sorted(facts)},
        notes=(said,),
    )
