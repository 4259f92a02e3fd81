"""One service of the Compose file, as Compose normalised it; every value of its environment is a Secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from towline.core.secret import Secret
from towline.core.units import byte_count, seconds
from towline.spec.compose_keys import RIGHTS, left_out, refused, rights_of
from towline.spec.given_files import Given, given_to

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Build:
    """How its image is built. `context` is None when it is not a folder here (a URL)."""

    context: Path | None
    dockerfile: Path | None
    inline: str | None = field(default=None, repr=False)
    stage: str | None = None
    args: dict[str, Secret] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mount:
    """A folder or volume inside the container. `kind` is bind, volume or tmpfs, whose `source` are its options."""

    kind: str
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Container:
    """A service of the Compose file. `ports` and `expose` are container ports (tcp); spans in seconds.

    `published` are the ports on the machine by container port. `command` and `entrypoint` are None when not written.
    `aliases` are the further names under which others reach it. `needs` are its `depends_on` with their condition.
    `beyond` are features that only a container has: privileged, devices, host network, secrets, configs.
    `probe` is the healthcheck's test, `("NONE",)` where it is switched off. `cpus` counts cores: 0.5 is half of one.
    `shared_memory` is the size of /dev/shm in bytes. `files` are its `secrets` and `configs`. `rights` are those of
    `cap_add` that a server gives, `hosts` are names with the address that they lead to, `ulimits` are as the engine has
    them: `nofile=1024:4096`. `left_out` and `refused` are
    what it asks for that a server does not give: it can do without the one, and not without the other.
    `doubts` are the keys whose value is not known, since a mistake in the files hides it.
    """

    name: str
    image: str | None = None
    build: Build | None = None
    command: tuple[str, ...] | None = field(default=None, repr=False)
    entrypoint: tuple[str, ...] | None = field(default=None, repr=False)
    environment: dict[str, Secret] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    published: tuple[int, ...] = ()
    expose: tuple[int, ...] = ()
    needs: dict[str, str] = field(default_factory=dict)
    health: str | None = field(default=None, repr=False)
    probe: tuple[str, ...] = field(default=(), repr=False)
    stop_within: float | None = None
    stop_signal: str | None = None
    restart: str | None = None
    replicas: int | None = None
    memory: int | None = None
    cpus: float | None = None
    mounts: tuple[Mount, ...] = ()
    aliases: tuple[str, ...] = ()
    working_dir: str | None = None
    files: tuple[Given, ...] = ()
    user: str | None = None
    shared_memory: int | None = None
    rights: tuple[str, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    ulimits: tuple[str, ...] = ()
    init: bool | None = None
    beyond: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    doubts: frozenset[str] = frozenset()
    line: int | None = None


def container_of(name: str, raw: dict[str, Any], line: int | None, whole: dict[str, Any] | None = None) -> Container:
    """The Container that Compose's JSON `raw` describes; `whole` is all of it, with files of secrets and configs."""
    limits = ((raw.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    memory = limits.get("memory") or raw.get("mem_limit")
    cpus = limits.get("cpus") or raw.get("cpus")
    grace = raw.get("stop_grace_period")
    ports = [port for port in raw.get("ports") or () if port.get("protocol", "tcp") == "tcp"]
    return Container(
        name=name,
        image=raw.get("image"),
        build=_build(raw.get("build")),
        command=_words(raw.get("command")),
        entrypoint=_words(raw.get("entrypoint")),
        environment=_secrets(raw.get("environment")),
        ports=tuple(int(port["target"]) for port in ports),
        published=tuple(int(port["published"]) for port in ports if str(port.get("published", "")).isdigit()),
        expose=tuple(_exposed(raw.get("expose") or ())),
        needs={other: str(need.get("condition")) for other, need in (raw.get("depends_on") or {}).items()},
        health=_health(raw.get("healthcheck") or {}),
        probe=_probe(raw.get("healthcheck") or {}),
        stop_within=None if grace is None else seconds(grace),
        stop_signal=raw.get("stop_signal"),
        restart=raw.get("restart"),
        replicas=_replicas(raw),
        memory=None if not memory else byte_count(str(memory)),
        cpus=None if not cpus else float(cpus),
        mounts=tuple(_mounts(raw)),
        aliases=tuple(_aliases(raw)),
        working_dir=raw.get("working_dir"),
        files=tuple(given_to(raw, whole or {})),
        user=None if raw.get("user") is None else str(raw["user"]),
        shared_memory=None if not raw.get("shm_size") else byte_count(str(raw["shm_size"])),
        rights=tuple(one for one in rights_of(raw) if one in RIGHTS),
        hosts=_hosts(raw.get("extra_hosts") or ()),
        ulimits=tuple(_ulimits(raw.get("ulimits") or {})),
        init=raw.get("init"),
        beyond=tuple(_beyond(raw)),
        left_out=left_out(raw),
        refused=refused(raw),
        line=line,
    )


def _ulimits(raw: dict[str, Any]) -> Iterator[str]:
    for name, value in sorted(raw.items()):
        both = isinstance(value, dict)
        yield f"{name}={value['soft']}:{value['hard']}" if both else f"{name}={value}"


def _build(raw: dict[str, Any] | None) -> Build | None:
    if raw is None:
        return None
    written = str(raw.get("context", "."))
    context = Path(written) if Path(written).is_absolute() else None
    inline = raw.get("dockerfile_inline")
    dockerfile = None if context is None or inline else context / str(raw.get("dockerfile") or "Dockerfile")
    labels = {str(name): str(value) for name, value in sorted((raw.get("labels") or {}).items())}
    return Build(context, dockerfile, inline, raw.get("target"), _secrets(raw.get("args")), labels)


def _secrets(raw: dict[str, Any] | None) -> dict[str, Secret]:
    """A variable without a value is one that Compose found nowhere: the container does not get it."""
    return {name: Secret(str(value)) for name, value in sorted((raw or {}).items()) if value is not None}


def _words(raw: list[str] | None) -> tuple[str, ...] | None:
    return None if raw is None else tuple(str(word) for word in raw)


def _exposed(raw: list[str] | tuple[()]) -> list[int]:
    """Container ports of `expose`: `6379`, `6379/tcp`, or the first of a range."""
    written = [str(port).split("/") for port in raw]
    first = [parts[0].split("-")[0] for parts in written if parts[1:] in ([], ["tcp"])]
    return [int(port) for port in first if port.isdigit()]


def _health(raw: dict[str, Any]) -> str | None:
    """The healthcheck as one text, to look for a URL in it."""
    test = raw.get("test")
    if raw.get("disable") or not test or test == ["NONE"]:
        return None
    return " ".join(str(word) for word in test) if isinstance(test, list) else str(test)


def _probe(raw: dict[str, Any]) -> tuple[str, ...]:
    test = raw.get("test") or ()
    if raw.get("disable") or (isinstance(test, list) and test[:1] == ["NONE"]):
        return ("NONE",)
    return tuple(str(word) for word in test) if isinstance(test, list) else ("CMD-SHELL", str(test)) if test else ()


def _replicas(raw: dict[str, Any]) -> int | None:
    written = (raw.get("deploy") or {}).get("replicas", raw.get("scale"))
    return None if written is None else int(written)


def _mounts(raw: dict[str, Any]) -> list[Mount]:
    mounts = [
        Mount(str(mount.get("type")), _source(mount), str(mount["target"]), bool(mount.get("read_only")))
        for mount in raw.get("volumes") or ()
    ]
    in_memory = (str(one).partition(":") for one in raw.get("tmpfs") or ())
    return [*mounts, *(Mount("tmpfs", options, target) for target, _, options in in_memory)]


def _source(mount: dict[str, Any]) -> str:
    if mount.get("type") != "tmpfs":
        return str(mount.get("source", ""))
    told = mount.get("tmpfs") or {}
    size = (f"size={byte_count(str(told['size']))}",) if told.get("size") else ()
    mode = (f"mode={int(told['mode']):o}",) if told.get("mode") else ()
    return ",".join((*size, *mode))


def _aliases(raw: dict[str, Any]) -> list[str]:
    names = [raw.get("container_name"), raw.get("hostname")]
    for network in (raw.get("networks") or {}).values():
        names += (network or {}).get("aliases") or []
    return sorted({str(name) for name in names if name})


def _hosts(raw: list[str] | dict[str, Any] | tuple[()]) -> tuple[tuple[str, str], ...]:
    """Names with their addresses: `name=address`, in older files `name:address`."""
    if isinstance(raw, dict):
        return tuple(sorted((name, str(one)) for name, one in raw.items()))
    parts = (re.split("[=:]", str(one), maxsplit=1) for one in raw)
    return tuple(sorted((name, address) for name, address in parts))


def _beyond(raw: dict[str, Any]) -> list[str]:
    found = [key for key in ("privileged", "devices", "cap_add", "secrets", "configs", "gpus") if raw.get(key)]
    if raw.get("network_mode") == "host":
        found.append("network_mode")
    return found
