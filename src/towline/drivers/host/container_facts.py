"""What an engine and the slot files of the front door show, read into facts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from towline.artifacts.host_door import HOLD
from towline.steps.model import InstanceFact, StoreFact

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_SERVERS = ("postgres", "redis", "bucket")


def instances_in(
    lines: Iterable[str], ready: Collection[str], leaving: Collection[str] = ()
) -> tuple[InstanceFact, ...]:
    """From lines of JSON: id, labels, status and health of each container.

    `ready` are ids that were seen to be; `leaving` are those of old copies that finish by themselves.
    """
    found = []
    for plain in _instances(lines):
        one = _instance(plain, seen=plain["id"] in ready)
        going = plain["id"] in leaving and one.state != "stopped"
        found.append(replace(one, state="leaving") if going else one)
    return tuple(found)


def stores_in(volumes: Iterable[str], containers: Iterable[str]) -> tuple[StoreFact, ...]:
    """Those that have a volume, by its labels, and those that run without one: a cache keeps nothing."""
    found = {}
    for plain in _instances(containers):
        labels = plain["labels"]
        if labels.get("towline.runs") in _SERVERS:
            found[labels["towline.service"]] = StoreFact(labels["towline.service"], labels["towline.runs"], "")
    for text in volumes:
        labels = json.loads(text) or {}
        if "towline.store" in labels:
            name = labels["towline.store"]
            found[name] = StoreFact(name, labels["towline.kind"], labels["towline.major"])
    return tuple(found[name] for name in sorted(found))


def upstreams_in(slots: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """From lines `SERVICE ADDRESS`: where requests go; a service whose requests wait is not among them."""
    found: dict[str, set[str]] = {}
    for line in slots:
        service, _, address = line.partition(" ")
        if address and address != HOLD:
            found.setdefault(service, set()).add(address)
    return {service: tuple(sorted(found[service])) for service in sorted(found)}


def _instances(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for text in lines:
        plain = json.loads(text)
        if plain["labels"].get("towline.instance"):
            yield plain


def _instance(plain: dict[str, Any], *, seen: bool) -> InstanceFact:
    labels = {name.removeprefix("towline."): str(value) for name, value in plain["labels"].items()}
    return InstanceFact(
        name=labels["instance"],
        service=labels["service"],
        revision=labels["revision"],
        state=_state(plain["status"], plain["health"], seen=seen),
        port=int(labels["port"]) if labels.get("port") else None,
        drain=float(labels.get("drain") or 0),
        stop_within=float(labels.get("stop_within") or 10),
    )


def _state(status: str, health: str | None, *, seen: bool) -> str:
    if status == "running":
        return "ready" if health in (None, "healthy") or (health == "starting" and seen) else "starting"
    return "crashed" if status in ("restarting", "dead") else "stopped"
