"""Which plan of Render each part is bought as: what the planner chose, else the smallest that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.yaml_text import Noted
from towline.core.errors import Finding, Findings, Where

if TYPE_CHECKING:
    from towline.artifacts.blueprint_platform import Platform, Unit
    from towline.spec.model import Store

_MB = 1000 * 1000

SERVICE_PLANS: tuple[tuple[str, int], ...] = (
    ("starter", 512 * _MB),
    ("standard", 2_000 * _MB),
    ("pro", 4_000 * _MB),
    ("pro plus", 8_000 * _MB),
    ("pro max", 16_000 * _MB),
    ("pro ultra", 32_000 * _MB),
)
"""The paid plans of a service and their memory in bytes: the figures of catalog/data/render.toml."""

_FREE = "free"
_POSTGRES = frozenset({_FREE, "basic-256mb", "basic-1gb", "basic-4gb"})
_LARGE = frozenset(
    {f"pro-{size}gb" for size in (4, 8, 16, 32, 64, 128, 192, 256, 384, 512)}
    | {f"accelerated-{size}gb" for size in (16, 32, 64, 128, 256, 384, 512, 768, 1024)}
)
_KEY_VALUE = frozenset({_FREE, "starter", "standard", "pro", "pro plus", "pro max", "pro ultra"})
_SERVICE = frozenset({_FREE, *(name for name, _ in SERVICE_PLANS)})


def service_plan(platform: Platform, unit: Unit) -> str | Noted:
    """The plan of a service; Findings when no plan has the memory that it may use."""
    bought = _bought(platform, unit.lead.name, "cron" if unit.type == "cron" else "service")
    if bought in _SERVICE and not (bought == _FREE and unit.type != "web"):
        return bought
    needed = [one.memory for one in unit.members if one.memory is not None]
    if not needed:
        return Noted("starter", behind="the smallest paid plan: compose.yaml says nothing of its memory")
    total = sum(needed)
    for name, memory in SERVICE_PLANS:
        if total <= memory:
            return Noted(name, behind=f"the smallest plan that holds its {total // _MB} MB")
    raise Findings((_too_large(platform, unit, total),))


def postgres_plan(platform: Platform, store: Store) -> str | Noted:
    """The plan of a database."""
    bought = _bought(platform, store.name, "postgres")
    if bought in _POSTGRES | _LARGE:
        return bought
    return Noted("basic-256mb", behind="the smallest plan that keeps its data; choose by `towline compare`")


def key_value_plan(platform: Platform, store: Store) -> str | Noted:
    """The plan of a Key Value instance; a queue is never on the free one, which forgets everything at a restart."""
    bought = _bought(platform, store.name, "redis")
    if bought in _KEY_VALUE and not (bought == _FREE and store.use == "queue"):
        return bought
    reason = "the smallest plan that writes to disk" if store.use == "queue" else "the smallest paid plan"
    return Noted("starter", behind=reason)


def _bought(platform: Platform, name: str, family: str) -> str:
    """The plan in the Blueprint's own words, "" where the planner chose none: `render/service/pro-plus`, `pro plus`."""
    chosen = platform.material.chosen
    bought = chosen.choice.of(name) if chosen is not None and chosen.choice is not None else None
    offer = bought.offer.name if bought is not None and bought.offer is not None else ""
    seller, _, rest = offer.partition("/")
    kind, _, plan = rest.partition("/")
    if seller != "render" or kind != family:
        return ""
    return plan.replace("pro-", "pro ") if plan in {"pro-plus", "pro-max", "pro-ultra"} else plan


def _too_large(platform: Platform, unit: Unit, total: int) -> Finding:
    largest = SERVICE_PLANS[-1][1]
    return Finding(
        "wrong-value",
        f"`{unit.lead.name}` may use {total // _MB} MB, and the largest plan of Render has {largest // _MB} MB",
        Where("towline.yaml", unit.lead.line),
        f"place it on a site of kind `host`: `targets: {{{platform.material.target.name}: {{place: ...}}}}`",
    )
