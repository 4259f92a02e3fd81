"""The configuration files of Valkey and SeaweedFS, which hold their passwords (pure)."""

from __future__ import annotations

import json


def valkey(settings: dict[str, str], *, password: str, port: int, folder: str) -> str:
    """valkey.conf: a queue keeps everything and refuses writes when full, a cache evicts and keeps nothing."""
    lines = [
        ("bind", "127.0.0.1"),
        ("port", str(port)),
        ("protected-mode", "yes"),
        ("daemonize", "no"),
        ("dir", folder),
        ("requirepass", password),
        ("maxmemory", settings.get("maxmemory", "256mb")),
    ]
    if settings.get("use") == "cache":
        lines += [("maxmemory-policy", "allkeys-lru"), ("appendonly", "no"), ("save", "")]
    else:
        lines += [("maxmemory-policy", "noeviction"), ("appendonly", "yes"), ("appendfsync", "everysec")]
        lines += [("save", seconds_and_changes) for seconds_and_changes in ("900 1", "300 100")]
    return "".join(f"{name} {value if name == 'save' and value else _quoted(value)}\n" for name, value in lines)


def s3(settings: dict[str, str], *, secret_key: str, admin_secret_key: str) -> str:
    """s3.json: an administrator, and the app's key, which opens one bucket only."""
    bucket = settings["bucket"]
    actions = [f"{verb}:{bucket}" for verb in ("Read", "Write", "List", "Tagging")]
    identities = [
        _identity("app", settings["access_key"], secret_key, actions),
        _identity(
            "admin", settings["admin_access_key"], admin_secret_key, ["Admin", "Read", "Write", "List", "Tagging"]
        ),
    ]
    return json.dumps({"identities": identities}, indent=1)


def _identity(name: str, access_key: str, secret_key: str, actions: list[str]) -> dict[str, object]:
    return {
        "name": name,
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": actions,
    }


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
