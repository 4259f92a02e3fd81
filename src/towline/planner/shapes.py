"""The ways to place an app, as data: for each kind of part, where it may live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.core.units import Money
    from towline.planner.purchase import Intake
    from towline.spec.model import ShapeName

LAPTOP, SERVER, CONTAINER = ("laptop",), ("server",), ("container",)
"""Homes that are no provider: this machine, one server of one's own, one container that holds all processes."""

RENDER = ("render",)
SITES = ("render", "vercel")
DATABASES = ("neon", "supabase", "render")
REDISES = ("upstash", "render")
BUCKETS = ("aws", "backblaze", "cloudflare", "digitalocean", "hetzner")
QUEUES = ("aws",)
NOWHERE: tuple[str, ...] = ()

_CODE = ("web", "private", "worker")
_STORES = ("postgres", "redis", "bucket")


@dataclass(frozen=True)
class Shape:
    """One way to place an app. `homes` maps each kind of service and store to the homes that it may have.

    An empty tuple of homes cannot hold that kind. `panel` is the offer of a panel on the server; `exposed` says that
    a private store is reached from the internet. `budget` is what a target of the user's own may cost in a month.
    """

    name: ShapeName
    key: str
    title: str
    homes: Mapping[str, tuple[str, ...]]
    intake: Intake = "queue"
    panel: str | None = None
    exposed: bool = False
    budget: Money | None = None


def _all(home: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    kinds = ("static", *_CODE, "stateful", *_STORES)
    return {**dict.fromkeys(kinds, home), "sqs": QUEUES}


def _managed(services: tuple[str, ...], **changed: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    stores = {"postgres": DATABASES, "redis": REDISES, "bucket": BUCKETS, "sqs": QUEUES, "stateful": NOWHERE}
    return {"static": SITES, **dict.fromkeys(_CODE, services), **stores, **changed}


_ON_SERVER = {**_all(SERVER), "postgres": ("neon", "supabase"), "redis": ("upstash",), "bucket": BUCKETS}
_HYBRID = {**_all(SERVER), "static": SITES, "web": RENDER, "private": RENDER, "postgres": RENDER}

SHAPES: tuple[Shape, ...] = (
    Shape("laptop", "laptop", "on this machine", {**_all(LAPTOP), "sqs": LAPTOP}),
    Shape("combined", "combined", "all processes in one container, stores managed", _managed(CONTAINER)),
    Shape("vps", "vps", "everything on one server", _all(SERVER)),
    Shape(
        "vps", "vps-coolify", "everything on one server, with Coolify", _all(SERVER), panel="coolify/panel/own-server"
    ),
    Shape(
        "vps", "vps-dokploy", "everything on one server, with Dokploy", _all(SERVER), panel="dokploy/panel/own-server"
    ),
    Shape("vps", "vps-stores", "processes on one server, stores managed", _ON_SERVER),
    Shape(
        "vps",
        "coolify-stores",
        "processes on one server with Coolify, stores managed",
        _ON_SERVER,
        panel="coolify/panel/own-server",
    ),
    Shape("hybrid", "hybrid", "API and database at Render, workers, queue and bucket on one server", _HYBRID, "outbox"),
    Shape(
        "hybrid",
        "hybrid-queue",
        "the same, with the queue reachable from the internet",
        _HYBRID,
        exposed=True,
    ),
    Shape(
        "managed",
        "render",
        "everything at Render, files in a bucket",
        _managed(RENDER, static=RENDER, postgres=RENDER, redis=RENDER),
    ),
    Shape("managed", "managed", "every part at whoever is cheapest for it", _managed(RENDER)),
    Shape(
        "managed",
        "vercel",
        "pages at Vercel, processes at Render, database at Supabase",
        _managed(RENDER, static=("vercel",), postgres=("supabase",)),
    ),
)
"""Every shape that is compared, in the order in which equals are listed."""


def shape_of(key: str) -> Shape | None:
    """The shape of that key; None where there is none."""
    return next((one for one in SHAPES if one.key == key), None)
