"""How the hosts of a lab are reached: its key, the host keys that are expected, and a configuration for ssh."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from towline.core.errors import SiteUnreachable, StepFailed, Where
from towline.core.files import hold_lock, write_atomic
from towline.core.process import run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from towline.lab.host import LabHost


def refuse_without_ssh(path: str | None) -> None:
    """Raise SiteUnreachable where ssh is not installed."""
    missing = [name for name in ("ssh", "ssh-keygen") if shutil.which(name, path=path) is None]
    if missing:
        raise SiteUnreachable(f"{' and '.join(missing)} not installed", hint="sudo apt-get install -y openssh-client")


def public_key(folder: Path) -> str:
    """The public half of the lab's key, made where there is none."""
    key = key_file(folder)
    with hold_lock(folder / "key.lock"):
        if not key.with_suffix(".pub").exists():
            key.unlink(missing_ok=True)  # half made
            made = run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "towline-lab", "-f", str(key)), within=30)
            if made.status != 0:
                raise StepFailed("ssh-keygen made no key for the lab", where=Where("lab"), evidence=made.last_lines)
    return key.with_suffix(".pub").read_text().strip()


def key_file(folder: Path) -> Path:
    """The private half of the lab's key."""
    return folder / "key"


def known_hosts_file(folder: Path, number: int) -> Path:
    """The file with the keys that are expected of one host, under each of its names."""
    return folder / f"host{number}.known_hosts"


def config_file(folder: Path) -> Path:
    """The names of all hosts as a configuration for ssh: `ssh -F FILE host1`, or `Include` it."""
    return folder / "ssh_config"


def remember(folder: Path, number: int, host_keys: str) -> None:
    """Expect these keys of a host from now on: a new machine has new ones."""
    write_atomic(_keys_file(folder, number), host_keys, durable=False)


def write_access(folder: Path, hosts: Iterable[LabHost]) -> None:
    """Write the files by which ssh reaches the hosts where they are now."""
    blocks = []
    for host in hosts:
        _write_known(folder, host)
        blocks.append(
            f"Host {host.name}\n    HostName {host.address}\n    Port {host.port}\n    User root\n"
            f"    IdentityFile {host.key}\n    IdentitiesOnly yes\n"
            f"    UserKnownHostsFile {host.known_hosts}\n    HostKeyAlias {host.name}\n"
        )
    write_atomic(config_file(folder), "\n".join(blocks), durable=False)


def options(host: LabHost) -> tuple[str, ...]:
    """What ssh and scp need to reach a host as `root@ADDRESS`; nothing is read from the user's own configuration."""
    settings = {
        "Port": host.port,
        "IdentityFile": host.key,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": host.known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "ConnectTimeout": 10,
        "LogLevel": "ERROR",
    }
    return ("-F", "none", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}")))


def _write_known(folder: Path, host: LabHost) -> None:
    keys = _keys_file(folder, host.number)
    if not keys.exists():
        return
    ports = {host.port, host.direct_port}
    names = [host.name, host.ipv4, host.ipv6, *(f"[{host.address}]:{port}" for port in sorted(ports))]
    lines = [f"{','.join(names)} {' '.join(key.split()[:2])}\n" for key in keys.read_text().splitlines() if key.strip()]
    write_atomic(known_hosts_file(folder, host.number), "".join(lines), durable=False)


def _keys_file(folder: Path, number: int) -> Path:
    return folder / f"host{number}.keys"
