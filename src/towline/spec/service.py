"""One service, resolved: what the page says, else the Compose file, else the Dockerfile, else a default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from towline.spec.bound import bound_of
from towline.spec.detect import service_kind
from towline.spec.dockerfile import joined
from towline.spec.model import Command, Health, Service, ServiceKind

if TYPE_CHECKING:
    from collections.abc import Container as Holds
    from pathlib import Path

    from towline.core.secret import Secret
    from towline.spec.container import Container, Mount
    from towline.spec.ground import Ground
    from towline.spec.page import ServiceEntry

_LISTENS = frozenset({"web", "private", "stateful"})
_SIGNALS: dict[str, Literal["TERM", "INT", "QUIT"]] = {
    "TERM": "TERM",
    "15": "TERM",
    "INT": "INT",
    "2": "INT",
    "QUIT": "QUIT",
    "3": "QUIT",
}
_OWN_URL = re.compile(
    r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\])(?::(?P<port>\d+|\$\{?\w+[^}/]*\}?))?"
    r"(?P<path>/[^\s'\"|;)?#]*)?"
)
_PORT_USED = re.compile(r"\$(?:PORT\b|\{PORT\b)")

# What Compose itself waits for a container before it kills it.
_PATIENCE = 10.0
_PATIENCE_WITH_JOBS = 30.0


@dataclass(frozen=True)
class Parts:
    """The three descriptions of one service, whether it runs to its end, and the folder of the Compose file."""

    container: Container
    entry: ServiceEntry
    ground: Ground
    ends: bool
    root: Path


def shell(line: str) -> tuple[str, ...]:
    """The argument list of a shell line."""
    return ("/bin/sh", "-c", line)


def service_of(parts: Parts, services: Holds[str]) -> Service:
    """The Service; `after` holds only names of `services`."""
    container, entry, build = parts.container, parts.entry, parts.container.build
    kind = kind_of(parts)
    command = None if kind == "static" else command_of(parts)
    environment = {**parts.ground.recipe.environment, **container.environment}
    port = _port(parts, environment) if kind in _LISTENS else None
    return Service(
        name=container.name,
        kind=kind,
        context=build.context if build else None,
        folder=_folder(parts),
        dockerfile=build.dockerfile if build and parts.ground.dockerfile_exists else None,
        image=container.image,
        command=command,
        environment=environment,
        build_environment=_build_environment(container, kind),
        port=port,
        port_variable=_port_variable(entry, environment, command) if port else None,
        hostname=entry.hostname or host_label(container.name),
        domain=entry.domain,
        health=Health(_health_path(parts, port) if kind in _LISTENS else None, entry.ready.within),
        after=_after(parts, services),
        setup=entry.setup,
        setup_locks=parts.ground.locks,
        build=entry.build,
        output=entry.output,
        max_job=_max_job(parts, kind),
        stop_signal=stop_signal(parts) or "TERM",
        replicas=_replicas(parts),
        single=entry.single,
        reload=entry.reload,
        memory=entry.memory or container.memory,
        volumes=_volumes(parts),
        line=container.line,
        most=entry.scale.max,
    )


def _folder(parts: Parts) -> Path:
    build = parts.container.build
    around = (build.context if build else None) or parts.root
    return around / parts.entry.cwd if parts.entry.cwd else around


def kind_of(parts: Parts) -> ServiceKind:
    """The page's kind, else static when it has an output, else what ports and restart tell."""
    if parts.entry.kind is not None:
        return parts.entry.kind
    if parts.entry.output is not None:
        return "static"
    public = parts.entry.domain is not None
    return service_kind(parts.container, parts.ground.recipe, one_shot=parts.ends, public=public)


def command_of(parts: Parts) -> Command | None:
    """How it starts, None when nobody says."""
    if parts.entry.run is not None:
        return Command(shell(parts.entry.run), "run:")
    written = parts.container
    argv = joined(parts.ground.recipe, command=written.command, entrypoint=written.entrypoint)
    if not argv:
        return None
    return Command(argv, "command:" if written.command or written.entrypoint else "CMD")


def host_label(name: str) -> str:
    """A service's name as one part of a host name."""
    return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:63] or "service"


def stop_signal(parts: Parts) -> Literal["TERM", "INT", "QUIT"] | None:
    """The signal that asks it to end: TERM when none is written, None for one that cannot be used."""
    written = parts.container.stop_signal or parts.ground.recipe.stop_signal or "TERM"
    return _SIGNALS.get(written.upper().removeprefix("SIG"))


def _port(parts: Parts, environment: dict[str, Secret]) -> int | None:
    if parts.entry.port is not None:
        return parts.entry.port
    written = environment.get("PORT")
    value = written.reveal() if written is not None else ""
    own = int(value) if value.isascii() and value.isdigit() and 0 < int(value) < 65536 else None
    listed = (*parts.container.ports, *parts.container.expose, *parts.ground.recipe.ports)
    if own is not None and (own in listed or not listed):
        return own
    return listed[0] if listed else None


def _port_variable(entry: ServiceEntry, environment: dict[str, Secret], command: Command | None) -> str | None:
    if entry.port_variable is not None:
        return entry.port_variable
    used = command is not None and _PORT_USED.search(" ".join(command.argv))
    return "PORT" if "PORT" in environment or used else None


def _health_path(parts: Parts, port: int | None) -> str | None:
    """The page's path, else that of the Compose healthcheck, when it asks this service's own port."""
    if parts.entry.ready.path is not None:
        return parts.entry.ready.path
    match = _OWN_URL.search(parts.container.health or "")
    if match is None:
        return None
    asked = match["port"] or "80"
    return (match["path"] or "/") if asked.startswith("$") or asked == str(port) else None


def _after(parts: Parts, services: Holds[str]) -> tuple[str, ...]:
    named = dict.fromkeys((*parts.container.needs, *parts.entry.after))
    return tuple(name for name in named if name in services and name != parts.container.name)


def _build_environment(container: Container, kind: ServiceKind) -> dict[str, Secret]:
    arguments = dict(container.build.args) if container.build else {}
    return {**container.environment, **arguments} if kind == "static" else arguments


def _max_job(parts: Parts, kind: ServiceKind) -> float:
    if parts.entry.max_job is not None:
        return parts.entry.max_job
    if parts.container.stop_within is not None:
        return parts.container.stop_within
    return _PATIENCE_WITH_JOBS if kind in {"worker", "task"} else _PATIENCE


def _replicas(parts: Parts) -> int:
    if parts.entry.scale.min is not None:
        return parts.entry.scale.min
    if parts.entry.single or parts.container.replicas is None:
        return 1
    return parts.container.replicas


def _volumes(parts: Parts) -> tuple[str, ...]:
    """As written, but for a folder that a volume takes the place of on a server."""
    kept = {
        one.target: one.volume
        for one in bound_of(parts.container, parts.ground, parts.root)
        if one.fate in ("volume", "data")
    }
    mounts = [one for one in parts.container.mounts if one.kind != "tmpfs"]
    return tuple(_volume(one, kept.get(one.target, one.source)) for one in mounts)


def _volume(mount: Mount, source: str) -> str:
    return f"{source}:{mount.target}" + (":ro" if mount.read_only else "")
