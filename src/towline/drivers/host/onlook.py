"""What a host shows of the containers of a target; nothing here changes anything."""

from __future__ import annotations

import heapq
import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from towline.artifacts.host_layout import DOOR
from towline.drivers.host.container_facts import instances_in
from towline.drivers.host.facts import seen_in
from towline.drivers.host.programs import program, quote
from towline.steps.model import InstanceStatus, LogLine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.drivers.host.target import Target
    from towline.steps.model import InstanceFact

_FOLLOWED: Final = 24 * 3600.0
_READ_WITHIN: Final = 60.0


def status_of(target: Target) -> tuple[InstanceStatus, ...]:
    """Every container of an instance, those that were stopped and are kept for their last words among them."""
    found = seen_in(target.ask("status\n", "observe.sh", "leaving.sh", "look_containers.sh"))
    now = int(found["now"][0])
    memory, began, ended = (_by_id(found.get(word, [])) for word in ("memory", "began", "exit"))
    ids = [json.loads(text)["id"] for text in found.get("container", ()) if _is_instance(text)]
    until = {one: int(text) for one, text in _by_id(found.get("leaving", [])).items()}
    facts = instances_in(found.get("container", ()), frozenset(found.get("ready", ())), until)
    told = (
        _leaving(_status(fact, now - int(began[one]), int(memory[one]), ended[one].split()), until.get(one))
        for one, fact in sorted(zip(ids, facts, strict=True), key=lambda pair: pair[1].name)
    )
    return tuple(_paused(one) if "maintenance" in found else one for one in told)


def logs_of(target: Target, services: tuple[str, ...] | None, lines: int, *, follow: bool) -> Iterator[LogLine]:
    """What the containers printed, in the order of time as far as it is there already; then as it comes."""
    words = " ".join(quote(one) for one in services or ())
    asked = program(target.home, f"logs {lines} {'-f' if follow else quote('')} {words}\n", "look_containers.sh")
    told = target.link.lines(asked, within=_FOLLOWED if follow else _READ_WITHIN)
    read = (line for text in told if (line := _line(text)) is not None)
    if follow:
        yield from read
    else:
        yield from heapq.nsmallest(lines * 100 + 1000, read, key=lambda one: one.at)


def _status(fact: InstanceFact, uptime: int, memory: int, ended: list[str]) -> InstanceStatus:
    pid, restarts, code, out_of_memory = int(ended[0]), int(ended[1]), int(ended[2]), ended[3] == "true"
    verdict = None
    if out_of_memory:
        verdict = "it was killed for want of memory"
    elif fact.state == "crashed" or (fact.state == "stopped" and code not in (0, 143)):
        verdict = f"it ended with exit code {code}"
    return InstanceStatus(
        name=fact.name,
        service=fact.service,
        revision=fact.revision,
        state=fact.state,
        pid=pid or None,
        port=fact.port,
        uptime=float(uptime) if pid else 0.0,
        restarts=restarts,
        memory=memory,
        verdict=verdict,
        last=(),
    )


def _leaving(status: InstanceStatus, until: int | None) -> InstanceStatus:
    """An old copy that finishes by itself, with the time by which it is gone."""
    if until is None:
        return status
    clock = datetime.fromtimestamp(until).astimezone().strftime("%H:%M")
    return replace(status, state="stopping", verdict=f"it finishes what it has, until {clock} at the latest")


def _paused(status: InstanceStatus) -> InstanceStatus:
    """A front door that shows the maintenance page does so because somebody asked for it."""
    if status.service != DOOR or status.state != "ready":
        return status
    return replace(status, verdict="it shows the maintenance page, as asked")


def _by_id(lines: list[str]) -> dict[str, str]:
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}


def _is_instance(text: str) -> bool:
    return bool(json.loads(text)["labels"].get("towline.instance"))


def _line(text: str) -> LogLine | None:
    """`INSTANCE SERVICE STREAM TIME TEXT`, as `look_containers.sh` prints it."""
    parts = text.split(" ", 4)
    if len(parts) < 4:
        return None
    instance, service, stream, at = parts[:4]
    return LogLine(f"{at[:23]}Z", instance, service, stream, parts[4] if len(parts) > 4 else "")
