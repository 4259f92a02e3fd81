"""Everything an instance needs on the disk before it can start: configuration files, inner ports, fitting data."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from towline.core.errors import Defect, StepFailed
from towline.core.files import write_atomic
from towline.drivers.local import bucket, caddy, configs, data, routes, servers, sockets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from towline.drivers.local.ground import Ground
    from towline.drivers.local.servers import Start
    from towline.steps.kinds import Instance

DUMP_HINT = "dump it with the Towline version that wrote it, `towline down --purge STORE`, then load the dump"


class Starts:
    """How each kind of instance starts on this machine."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._home = ground.home

    def of(self, instance: Instance) -> Start:
        """How to start it, with its files written. Raises StepFailed when its data or its environment does not fit."""
        make = {
            "service": self._service,
            "postgres": self._postgres,
            "redis": self._valkey,
            "bucket": self._weed,
            "door": self._caddy,
        }[instance.runs]
        return make(instance)

    def _service(self, instance: Instance) -> Start:
        if not instance.command:
            raise StepFailed(f"{instance.name} has no command to start with", hint="towline check")
        env_file = None
        if instance.env is not None:
            self._ground.blobs.environment(instance.env)
            env_file = str(self._ground.blobs.path(instance.env))
        return servers.Start(instance.command, instance.cwd or str(self._home.path), env_file)

    def _postgres(self, instance: Instance) -> Start:
        place = self._fitting_data(instance, "postgres")
        programs, port = self._ground.programs, _port(instance)
        run = self._home.make_run()
        argv = servers.postgres(programs.postgres("postgres"), programs.as_user(), port=port, data=place, run=run)
        return servers.Start(argv, str(self._home.path), env={"LC_ALL": "C.UTF-8"})

    def _valkey(self, instance: Instance) -> Start:
        place = self._fitting_data(instance, "redis")
        password = self._ground.blobs.text(instance.settings["password"])
        text = configs.valkey(instance.settings, password=password, port=_port(instance), folder=str(place))
        config = self._home.config / f"{instance.service}.conf"
        write_atomic(config, text)
        return servers.Start(servers.valkey(self._ground.programs.valkey(), config), str(self._home.path))

    def _weed(self, instance: Instance) -> Start:
        place, settings = self._fitting_data(instance, "bucket"), instance.settings
        config = self._home.config / f"{instance.service}.s3.json"
        keys = {name: self._ground.blobs.text(settings[name]) for name in ("secret_key", "admin_secret_key")}
        write_atomic(config, configs.s3(settings, **keys))
        # It reads the flags of its last run back from here: those of this run are all that count.
        (place / "mini.options").unlink(missing_ok=True)
        where = servers.WeedPlace(place, config, self._home.make_run(), settings.get("external_url", ""))
        ports = self._inner_ports(instance.service)
        sweep_weed_sockets(ports)
        argv = servers.weed(self._ground.programs.weed(), where, ports)
        return servers.Start(argv, str(self._home.path), env=servers.WEED_ENVIRONMENT, behind=ports["s3.port"])

    def is_stuck(self, instance: Instance, reason: str) -> bool:
        """Whether a server that does not serve for this reason is better started again."""
        port = self._ground.ports.read().get(f"{instance.service}/master.port")
        return instance.runs == "bucket" and port is not None and bucket.is_stuck(reason, int(port))

    def own_port(self, instance: Instance) -> int | None:
        """Where the server itself listens: a bucket's not where it is found, for requests may have to wait there."""
        if instance.runs != "bucket":
            return instance.port
        port = self._ground.ports.read().get(f"{instance.service}/s3.port")
        return None if port is None else int(port)

    def clear(self, instance: Instance) -> None:
        """Remove what a server leaves outside its folders when it has ended."""
        if instance.runs == "bucket":
            kept, prefix = self._ground.ports.read(), f"{instance.service}/"
            sweep_weed_sockets({name.removeprefix(prefix): int(port) for name, port in kept.items()})

    def _inner_ports(self, store: str) -> dict[str, int]:
        """The ports that only the parts of SeaweedFS use among themselves: those of last time where they are free."""
        kept = self._ground.ports.read()
        names = {name: f"{store}/{name}" for name in servers.WEED_PORTS}
        mine = {name: int(kept[long]) for name, long in names.items() if long in kept}
        usable = {name: port for name, port in mine.items() if sockets.is_free(port)}
        missing = [name for name in names if name not in usable]
        # Far from the ports that plans hand out, so that a plan made before this start stays good.
        fresh = sockets.free_ports(len(missing), f"{self._home.path} inner", {int(port) for port in kept.values()})
        found = {**usable, **dict(zip(missing, fresh, strict=True))}
        self._ground.ports.change(lambda entries: {**entries, **{names[name]: port for name, port in found.items()}})
        return found

    def _caddy(self, instance: Instance) -> Start:
        self._home.door.mkdir(exist_ok=True, mode=0o700)
        self._home.make_run()
        path = self._home.config / "door.json"
        write_atomic(path, json.dumps(self.door_config(instance), indent=1))
        state = str(self._home.door / "state")
        argv = servers.caddy(self._ground.programs.caddy(), path)
        return servers.Start(argv, str(self._home.path), env={"XDG_DATA_HOME": state, "XDG_CONFIG_HOME": state})

    def door_config(self, instance: Instance) -> dict[str, object]:
        """The door's configuration with the routes of now; before the first routes it answers 404 to all."""
        kept = self._home.door / "routes.json"
        found = routes.read(kept.read_text()) if kept.exists() else routes.Routes(_port(instance))
        return caddy.config(found, admin_socket=str(self._home.door_admin), listen=listen_on(_port(instance)))

    def _fitting_data(self, instance: Instance, kind: str) -> Path:
        """The folder of a store's data. Raises StepFailed when another kind or major version wrote it."""
        store = instance.service
        found = data.written(self._home.data, store)
        if found is None:
            raise StepFailed(f"{store} has no place for its data yet", hint="towline up")
        major = self._ground.programs.major(kind)
        refuse_other_writer(store, found, data.Written(kind, major))
        if found.major != major:
            data.mark(data.folder(self._home.data, store), kind, major)
        return data.folder(self._home.data, store)


def sweep_weed_sockets(ports: Mapping[str, int]) -> None:
    """Remove the sockets that SeaweedFS leaves in /tmp; their names are fixed in it, and hold its inner ports."""
    for name, port in ports.items():
        part, _, protocol = name.partition(".port")
        path = Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock")  # noqa: S108 - not our choice
        if protocol == ".grpc" and path.is_socket() and path.lstat().st_uid == os.getuid():
            path.unlink(missing_ok=True)


def refuse_other_writer(store: str, found: data.Written, server: data.Written) -> None:
    """Raises StepFailed when a server cannot read what is there.

    PostgreSQL reads data of its own major version only; the others also read what an older one wrote.
    """
    if found.kind != server.kind:
        raise StepFailed(
            f"the data of {store} was written by {found.kind}, not by {server.kind}",
            hint=f"towline down --purge {store}",
        )
    same = found.major == server.major
    older = found.major.isdigit() and server.major.isdigit() and int(found.major) < int(server.major)
    if not same and (server.kind == "postgres" or not older):
        raise StepFailed(
            f"the data of {store} was written by {server.kind} {found.major}, and the server here is {server.major}",
            hint=DUMP_HINT,
        )


def listen_on(port: int) -> tuple[str, ...]:
    """Both loopback addresses: a browser may take either for a name under localhost."""
    return (f"127.0.0.1:{port}", *((f"[::1]:{port}",) if sockets.has_ipv6_loopback() else ()))


def _port(instance: Instance) -> int:
    if instance.port is None:
        raise Defect(f"{instance.name} has no port")
    return instance.port
