"""What is told about a process: its record for clients, and its conditions in words."""

from __future__ import annotations

import json
from importlib import import_module

from towline_supervisor.lines import utc
from towline_supervisor.spec import CommandReady, HttpReady, TcpReady

TYPE_CHECKING = False
if TYPE_CHECKING:
    from towline_supervisor.child import Child
    from towline_supervisor.spec import ProcessSpec, Ready


def report(child: Child) -> dict[str, object]:
    """Everything to know about a process, as it travels; values of its `env` are left out."""
    return {
        "name": child.name,
        "state": child.state,
        "pid": child.pid,
        "started_at": None if child.started_at is None else utc(child.started_at),
        "uptime": round(child.uptime, 3),
        "restarts": child.restarts,
        "memory": child.memory(),
        "exit": child.end.as_dict() if child.end else None,
        "last": list(child.last),
        "verdict": child.verdict,
        "holding": child.holding,
        "labels": dict(child.spec.labels),
        "spec_digest": digest(child.spec),
        "spec": shown(child.spec),
    }


def describe(ready: Ready) -> str:
    """What a process has to do to be ready, in words."""
    if isinstance(ready, HttpReady):
        return f"to answer {ready.url}"
    if isinstance(ready, TcpReady):
        return f"to accept connections on {ready.host}:{ready.port}"
    if isinstance(ready, CommandReady):
        return f"until {ready.command[0]} succeeds"
    return f"to live {ready.after:g} s"


def digest(spec: ProcessSpec) -> str:
    """SHA-256 of the table as given: `json.dumps(table, sort_keys=True, separators=(",", ":"))`."""
    try:
        native = import_module("_sha256")  # hashlib would load OpenSSL, which is 3 MB
    except ImportError:
        native = import_module("hashlib")
    return str(native.sha256(spec.given.encode()).hexdigest())


def shown(spec: ProcessSpec) -> dict[str, object]:
    """The table as given, the names in `env` without their values."""
    table: dict[str, object] = json.loads(spec.given)
    if spec.env:
        table["env"] = [name for name, _value in spec.env]
    return table
