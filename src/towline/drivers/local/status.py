"""What runs now and what it said, for people: status and log lines."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

import psutil

from towline.core.secret import Secret, redact
from towline.drivers.local import servers
from towline.steps.model import InstanceStatus, LogLine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from towline.drivers.local.ground import Ground
    from towline.drivers.local.supervisor import Process

_MOST_LINES = 10_000


_STATES = {"waiting": "starting", "backoff": "waiting"}
"""Where the supervisor's words differ from those for people."""


def status(ground: Ground) -> tuple[InstanceStatus, ...]:
    """Every instance, in the order they were started; lines are cleaned of known secrets."""
    known = ground.blobs.known()
    return tuple(_status(process, known) for process in ground.supervisor.processes())


def log_lines(ground: Ground, services: Collection[str] | None, lines: int, *, follow: bool) -> Iterator[LogLine]:
    """The last lines of these services (None: of everything), by time; with `follow` new ones until it is closed."""
    names = _services(ground)

    def of(plain: Mapping[str, Any]) -> LogLine:
        instance = str(plain["name"])
        return LogLine(str(plain["at"]), instance, names(instance), str(plain["stream"]), str(plain["text"]))

    def wanted(line: LogLine) -> bool:
        return services is None or line.service in services or line.instance in services

    past = (line for line in map(of, _past(ground.home.logs)) if wanted(line))
    yield from deque(past, maxlen=lines)
    if follow:
        yield from (line for line in map(of, ground.supervisor.log_lines(0, follow=True)) if wanted(line))


def environment(pid: int) -> dict[str, Secret] | None:
    """What a process was started with, as the system tells; None where it does not."""
    try:
        found = psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return None
    return {name: Secret(value) for name, value in found.items()}


def _services(ground: Ground) -> Callable[[str], str]:
    def service(instance: str) -> str:
        kept = ground.instances.read().get(instance)
        return str(kept["instance"]["service"]) if kept else instance

    return service


def _past(folder: Path) -> Iterator[dict[str, Any]]:
    """What the log files hold, by time; read from the disk, so that logs can be read when nothing runs."""
    found = [plain for path in folder.glob("*.log*") for plain in _parsed(path)]
    return iter(sorted(found, key=lambda plain: str(plain.get("at", ""))))


def _parsed(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in deque(file, maxlen=_MOST_LINES):
            try:
                plain = json.loads(line)
            except ValueError:
                continue  # cut by a crash in the middle of a write
            yield plain


def _status(process: Process, known: tuple[Secret, ...]) -> InstanceStatus:
    instance = servers.instance_of(process.labels)
    return InstanceStatus(
        name=process.name,
        service=process.labels.get("service", process.name),
        revision=process.labels.get("revision", ""),
        state=_STATES.get(process.state, process.state),
        pid=process.pid,
        port=None if instance is None else instance.port,
        uptime=process.uptime,
        restarts=process.restarts,
        memory=process.memory,
        verdict=process.verdict,
        last=tuple(redact(line, known) for line in process.last),
    )
