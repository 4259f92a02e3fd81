"""What Docker's own settings lack, and how they are put in without touching what stands there (pure)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from towline.steps.machine import Engine

LOG_SIZE, LOG_FILES = "10m", "3"
"""At most 30 MB of log a container; Docker's own default has no limit."""


def wanted(engine: Engine) -> dict[str, Any]:
    """The settings that must be there. A swarm cannot have live-restore; another log driver rotates by itself."""
    there = _read(engine)
    keys: dict[str, Any] = {} if engine.swarm else {"live-restore": True}
    if there.get("log-driver", "json-file") != "json-file":
        return keys
    return {**keys, "log-driver": "json-file", "log-opts": {"max-size": LOG_SIZE, "max-file": LOG_FILES}}


def addition(engine: Engine) -> str:
    """JSON to put right behind the first brace of the file: what it lacks, with a comma where something follows."""
    there = _read(engine)
    lacks = {name: value for name, value in wanted(engine).items() if name not in there}
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in lacks.items()]
    return ",\n".join(lines) + ("," if lines and there else "")


def against(engine: Engine) -> str | None:
    """Why the file cannot be completed by adding to it; None when it can."""
    try:
        there = _parsed(engine)
    except ValueError:
        return "/etc/docker/daemon.json is no JSON object"
    if there.get("live-restore") is False and not engine.swarm:
        return "/etc/docker/daemon.json turns live-restore off"
    options = there.get("log-opts")
    rotated = isinstance(options, dict) and "max-size" in options
    if "log-opts" in there and not rotated and "log-opts" in wanted(engine):
        return "/etc/docker/daemon.json has log-opts without max-size: a container's log grows for ever"
    return None


def _read(engine: Engine) -> dict[str, Any]:
    try:
        return _parsed(engine)
    except ValueError:
        return {}


def _parsed(engine: Engine) -> dict[str, Any]:
    there = json.loads(engine.settings) if engine.settings and engine.settings.strip() else {}
    if not isinstance(there, dict):
        raise ValueError  # noqa: TRY004 - it is the content of a file that is wrong
    return there
