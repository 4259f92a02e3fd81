"""Instances as process tables for the supervisor: command, environment, readiness, the way to stop (pure)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from towline.steps.kinds import instance_from_json, instance_to_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from towline.steps.kinds import Instance

MAX_CONNECTIONS = 200

WEED_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
    "admin.port",
    "admin.port.grpc",
)
"""Every port of `weed mini`; one that is left out would be a fixed default. Apps are led to the S3 one."""

_POSTGRES_STOP = 20.0
"""Seconds for a fast shutdown, which writes a checkpoint."""


@dataclass(frozen=True)
class Start:
    """How to start one instance: argument list, folder, and either an environment file or additions.

    With `behind` it listens at that port, and connections to the port of the instance wait until it is usable.
    """

    argv: tuple[str, ...]
    cwd: str
    env_file: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    behind: int | None = None


def process_table(instance: Instance, start: Start) -> dict[str, object]:
    """The table that makes the supervisor run an instance; labels carry the instance itself back."""
    table: dict[str, object] = {
        "name": instance.name,
        "command": list(start.argv),
        "cwd": start.cwd,
        "restart": "always",
        "stop": {"signal": stop_signal(instance), "within": stop_within(instance)},
        "labels": _labels(instance),
        **_readiness(instance, instance.port if start.behind is None else start.behind),
    }
    if start.behind is not None:
        table["hold"] = f"127.0.0.1:{instance.port}"
    if start.env_file is not None:
        table["env_file"] = start.env_file
    if start.env:
        table["env"] = dict(start.env)
    if instance.memory is not None:
        table["memory"] = instance.memory
    return table


def stop_signal(instance: Instance) -> str:
    """PostgreSQL must get INT: at TERM it waits until every client has left, and QUIT is a crash."""
    return "INT" if instance.runs == "postgres" else instance.stop_signal


def stop_within(instance: Instance) -> float:
    """Seconds that an instance has to end by itself."""
    return max(instance.stop_within, _POSTGRES_STOP) if instance.runs == "postgres" else instance.stop_within


def instance_of(labels: Mapping[str, str]) -> Instance | None:
    """The instance that a process was started for; None for a process of somebody else."""
    plain = labels.get("instance")
    return None if plain is None else instance_from_json(json.loads(plain))


def _labels(instance: Instance) -> dict[str, str]:
    return {
        "service": instance.service,
        "revision": instance.revision,
        "stop_within": f"{stop_within(instance):g}",
        "instance": json.dumps(instance_to_json(instance), sort_keys=True),
    }


def _readiness(instance: Instance, port: int | None) -> dict[str, object]:
    probe = instance.ready
    if probe.kind == "lives" or port is None:
        return {"settle": probe.settle}
    if probe.kind == "tcp":
        return {"ready": {"tcp": f"127.0.0.1:{port}", "within": probe.within}}
    ready: dict[str, object] = {
        "http": f"http://127.0.0.1:{port}{probe.path}",
        "status": probe.status,
        "within": probe.within,
    }
    return {"ready": ready if probe.host is None else {**ready, "host": probe.host}}


def postgres(program: Path, prefix: tuple[str, ...], *, port: int, data: Path, run: Path) -> tuple[str, ...]:
    """The server in the foreground, on loopback and a socket in the private folder."""
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(run),
        "max_connections": str(MAX_CONNECTIONS),
        "wal_level": "logical",
    }
    settings = tuple(word for name, value in options.items() for word in ("-c", f"{name}={value}"))
    return (*prefix, str(program), "-D", str(data), *settings)


def initdb(program: Path, prefix: tuple[str, ...], *, data: Path, password_file: Path) -> tuple[str, ...]:
    """Makes a cluster whose superuser `postgres` has the password in the file.

    The builtin provider orders text the same way on every machine, whatever locales it has installed.
    """
    authentication = ("-U", "postgres", "-A", "scram-sha-256", f"--pwfile={password_file}")
    order = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8")
    return (*prefix, str(program), "-D", str(data), *authentication, "-E", "UTF8", *order)


def valkey(program: Path, config: Path) -> tuple[str, ...]:
    """The server with everything else, the password included, in its configuration file."""
    return (str(program), str(config))


@dataclass(frozen=True)
class WeedPlace:
    """Where one `weed mini` lives: data, s3.json, the folder for sockets, and the address a browser uses."""

    data: Path
    config: Path
    run: Path
    external_url: str


def weed(program: Path, place: WeedPlace, ports: Mapping[str, int]) -> tuple[str, ...]:
    """`weed mini` with every flag said.

    Unsaid, it binds all interfaces, reports to telemetry, serves five more protocols, deletes full buckets with their
    content, and takes flags of its last run from `mini.options`.
    """
    flags = {
        "dir": str(place.data),
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        **{name: str(ports[name]) for name in WEED_PORTS},
        "s3.config": str(place.config),
        "s3.externalUrl": place.external_url,
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "s3.iam": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
        "s3.autoCreateBucket": "false",
        "webdav": "false",
        "admin.ui": "false",
        "master.telemetry": "false",
        "filer.localSocket": str(place.run / f"f{ports['s3.port']}"),
        "s3.localSocket": str(place.run / f"s{ports['s3.port']}"),
        "volume.readBufferSizeMB": "1",
        "s3.readerCacheSizeMB": "64",
    }
    said = tuple(f"-{name}={value}" for name, value in flags.items())
    return (str(program), "-logtostderr", "mini", *said)


WEED_ENVIRONMENT = {"GOMEMLIMIT": "256MiB", "GOGC": "50"}
"""Without a limit it grows to 800 MB under large uploads; with it, to 200 MB at two thirds of the rate."""


def caddy(program: Path, config: Path) -> tuple[str, ...]:
    """The front door with its routes of now."""
    return (str(program), "run", "--config", str(config))
