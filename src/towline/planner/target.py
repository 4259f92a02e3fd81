"""A target that the user wrote, as a shape with its slots: compared beside the shapes that Towline knows. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Finding, Findings, Where
from towline.core.units import money
from towline.planner.market import CONTAINER, Slot
from towline.planner.shapes import BUCKETS, Shape

if TYPE_CHECKING:
    from towline.catalog.read import Catalog
    from towline.planner.purchase import Intake
    from towline.spec.model import App, Service, Site, Store, Target

SELLERS: dict[str, tuple[str, ...]] = {
    "render": ("render",),
    "vercel": ("vercel",),
    "supabase": ("supabase",),
    "neon": ("neon",),
    "upstash": ("upstash",),
    "s3": BUCKETS,
    "sqs": ("aws",),
}
"""Who sells what is on a site, by its kind; a site that is missing here is a machine."""

PANELS = {"coolify": "coolify/panel/own-server", "dokploy": "dokploy/panel/own-server"}


def shape_of_target(app: App, target: Target, catalog: Catalog) -> tuple[Shape, tuple[Slot, ...]]:
    """The target as it is written.

    Raises Findings for a site that sells no such thing, or has no such region, and for a budget that is no money.
    """
    panel = next((PANELS[one.kind] for one in target.sites if one.kind in PANELS), None)
    intake: Intake = "outbox" if target.shape == "hybrid" else "queue"
    slots, findings, budget = [], [], None
    where = Where("towline.yaml", target.line)
    for site in target.sites:
        try:
            slots += _slots(app, target, site, catalog)
        except ValueError as error:
            findings.append(Finding("wrong-value", str(error), where, "towline catalog list --json"))
    try:
        budget = money(target.budget) if target.budget else None
    except ValueError as error:
        findings.append(Finding("wrong-value", f"`budget`: {error}", where, "write for example `budget: $40/month`"))
    if findings:
        raise Findings(tuple(findings))
    title = f"target {target.name}, as written"
    return Shape(target.shape, target.name, title, {}, intake, panel, budget=budget), tuple(slots)


def _slots(app: App, target: Target, site: Site, catalog: Catalog) -> list[Slot]:
    every: tuple[Service | Store, ...] = (*app.services, *app.stores)
    here = [one for one in every if site.name in target.place[one.name] and one.kind != "task"]
    sellers, region = SELLERS.get(site.kind), _region(site, catalog)
    names = tuple(one.name for one in here)
    if not here:
        return []
    if site.kind == "local":
        return [Slot(site.name, (), "laptop", names, own=True)]
    if sellers is None:
        return [Slot(site.name, (), "server", names, region, own=True)]
    apart = here
    slots = []
    inside = tuple(one.name for one in here if one.kind in {"web", "private", "worker"})
    if target.shape == "combined" and inside:
        apart = [one for one in here if one.name not in inside]
        slots.append(Slot(CONTAINER, sellers, "web", inside, region, own=True))
    return slots + [Slot(one.name, sellers, one.kind, (one.name,), region, own=True) for one in apart]


def _region(site: Site, catalog: Catalog) -> str | None:
    written = site.options.get("region")
    if written is None:
        return None
    found = [written] if "/" in written else [f"{name}/{written}" for name in SELLERS.get(site.kind, ())]
    known = [one for one in found if one in catalog.regions]
    if not known:
        raise ValueError(f"There is no region `{written}` for site `{site.name}`, of kind {site.kind}")
    return known[0]
