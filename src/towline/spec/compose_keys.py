"""What becomes on a server of each key that a service of a Compose file may have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Fate = Literal["kept", "own", "left out", "refused"]
"""`kept`: as written. `own`: Towline decides it, and says so in its guide. `left out`: told as a warning."""

KEYS: dict[Fate, frozenset[str]] = {
    "kept": frozenset({
        "image", "build", "command", "entrypoint", "working_dir", "user", "environment", "env_file", "ports", "expose",
        "volumes", "tmpfs", "secrets", "configs", "depends_on", "healthcheck", "stop_grace_period", "stop_signal",
        "mem_limit", "cpus", "shm_size", "deploy", "scale", "profiles", "extra_hosts", "cap_add", "init", "extends",
        "ulimits",
    }),
    "own": frozenset({
        "attach", "cap_drop", "container_name", "cpu_shares", "develop", "logging", "networks", "oom_kill_disable",
        "oom_score_adj", "pids_limit", "platform", "pull_policy", "pull_refresh_after", "read_only", "restart",
    }),
    "left out": frozenset({
        "annotations", "blkio_config", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period",
        "cpu_rt_runtime", "cpuset", "dns", "dns_opt", "dns_search", "domainname", "group_add", "hostname",
        "label_file", "labels", "links", "mac_address", "mem_reservation", "mem_swappiness", "memswap_limit",
        "post_start", "pre_stop", "privileged", "security_opt", "stdin_open", "storage_opt", "sysctls", "tty",
    }),
    "refused": frozenset({
        "cgroup", "cgroup_parent", "credential_spec", "device_cgroup_rules", "devices", "external_links", "gpus", "ipc",
        "isolation", "models", "network_mode", "pid", "provider", "runtime", "use_api_socket",
        "userns_mode", "uts", "volumes_from",
    }),
}  # fmt: skip
"""Every key of a service in the Compose specification, July 2025."""

RIGHTS = frozenset({
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "IPC_LOCK", "KILL", "NET_BIND_SERVICE", "SETGID", "SETPCAP", "SETUID",
    "SYS_NICE",
})  # fmt: skip
"""What `cap_add` gets: nothing of it reaches beyond the container. Docker gives most of them to everybody."""

_OF_BUILDS = ("additional_contexts", "entitlements", "extra_hosts", "network", "privileged", "secrets", "ssh")
"""What `build:` may ask for, and a build of Towline's is not given."""

_HARMLESS = {
    "network_mode": ("bridge", "default", "none"),
    "ipc": ("private", "shareable", "none"),
    "cgroup": ("private",),
}
"""Values that ask for nothing that a container does not have anyway."""


def left_out(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of a service, in Compose's JSON, that do nothing on a server, and rights that nobody gets there."""
    keys = (key for key in KEYS["left out"] if raw.get(key) and not _said_anyway(key, raw[key]))
    rights = (f"cap_add: {right}" for right in rights_of(raw) if right not in RIGHTS)
    build = raw.get("build") or {}
    builds = (f"build.{key}" for key in _OF_BUILDS if build.get(key))
    return tuple(sorted((*keys, *rights, *builds)))


def refused(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """What a service asks for that reaches beyond its container, as it is written."""
    keys = (key for key in KEYS["refused"] if raw.get(key) and raw[key] not in _HARMLESS.get(key, ()))
    return tuple(sorted((*keys, *_reserved(raw))))


def rights_of(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """What `cap_add` names, in the engine's spelling."""
    return tuple(sorted({str(one).upper().removeprefix("CAP_") for one in raw.get("cap_add") or ()}))


def _said_anyway(key: str, value: object) -> bool:
    """Whether it asks for what every container has."""
    return key == "security_opt" and value in (["no-new-privileges:true"], ["no-new-privileges"])


def _reserved(raw: Mapping[str, Any]) -> Iterator[str]:
    """A device that is asked for in another place."""
    resources = (raw.get("deploy") or {}).get("resources") or {}
    if (resources.get("reservations") or {}).get("devices"):
        yield "deploy.resources.reservations.devices"
