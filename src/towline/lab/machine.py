"""What the hosts of a lab start from: a whole Debian with systemd and sshd, made once for each suite."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from towline.core.errors import SiteUnreachable, StepFailed, UsageError, Where
from towline.core.events import Noted, Progressed
from towline.core.files import hold_lock
from towline.core.process import run
from towline.lab.docker import INSTALL, lab_folder
from towline.lab.images import RECIPE_LABEL, extra_authorities, labels_of, trusting_hook
from towline.spec.nearest import did_you_mean, listed

if TYPE_CHECKING:
    from towline.core.events import Listener
    from towline.lab.docker import LabDocker

SUITES = ("bookworm", "trixie")
"""Debian 12 and 13."""

MAKE_WITHIN = 900.0
"""Seconds for a whole Debian; 25 to 40 on two cores, most of it a download."""

_PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "sudo", "ca-certificates", "curl",
    "python3", "iproute2", "iputils-ping", "netbase", "procps", "less", "apt-utils", "kmod", "cron", "logrotate",
    "tzdata", "e2fsprogs", "util-linux",
)  # fmt: skip

# They would touch the real machine, wait for hardware that is not there, or configure what Docker has configured.
_MASKED = (
    "systemd-udevd.service", "systemd-networkd.service", "systemd-resolved.service", "systemd-remount-fs.service",
    "systemd-modules-load.service", "getty@tty1.service", "console-getty.service", "networking.service",
    "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "dev-hugepages.mount",
)  # fmt: skip

# As a provider delivers it: no identity yet, and package lists so old that every tool fetches new ones.
_AS_DELIVERED = (
    'rm -f "$1"/etc/ssh/ssh_host_* "$1"/var/lib/dbus/machine-id "$1"/usr/sbin/policy-rc.d; : > "$1"/etc/machine-id',
    f'chroot "$1" systemctl mask {" ".join(_MASKED)} >/dev/null 2>&1',
    'chroot "$1" systemctl set-default multi-user.target >/dev/null 2>&1',
    'chroot "$1" systemctl enable ssh >/dev/null 2>&1',
    'mkdir -p "$1"/var/log/journal "$1"/var/lib/apt/lists; : > "$1"/etc/fstab',
    'touch -d 2020-01-01 "$1"/var/lib/apt/lists',
)

MACHINE_LABEL = "towline.lab.machine"
"""The label of what is made here: nobody builds on these images, so that one without a name is an old one of ours."""

_IMAGES = Path(__file__).parent / "images"


def host_image(docker: LabDocker, suite: str, *, with_docker: bool, listener: Listener) -> str:
    """The image that a host starts from, made where the daemon does not have it; its name.

    Raises UsageError for a suite that cannot be made, SiteUnreachable where its tools are missing.
    """
    if suite not in SUITES:
        raise UsageError(
            f"There is no Debian `{suite}` in the lab{did_you_mean(suite, SUITES)}",
            hint=f"known: {listed(SUITES, 'and')}",
        )
    with hold_lock(lab_folder(docker.environment) / "machine.lock"):
        name, digest = _debian(docker, suite, listener)
        if with_docker:
            name, digest = _built(docker, "host-docker", (name, digest), f"{suite}-docker-base", listener)
        tag = f"{suite}-docker" if with_docker else suite
        return _built(docker, "host", (name, digest), tag, listener)[0]


def _built(docker: LabDocker, folder: str, base: tuple[str, str], tag: str, listener: Listener) -> tuple[str, str]:
    """The image of a folder in `images/` on top of `base` (name and digest); its name and digest."""
    name = f"towline-lab/host:{tag}"
    total = hashlib.sha256(base[1].encode())
    for file in sorted((_IMAGES / folder).iterdir()):
        total.update(file.name.encode() + b"\0" + file.read_bytes())
    digest = total.hexdigest()[:16]
    if (labels_of(docker, name) or {}).get(RECIPE_LABEL) == digest:
        return name, digest
    if folder == "host-docker":
        listener(Noted("Installing Docker into the Debian that hosts start from; this is kept."))
    labelled = (
        "--label",
        f"{RECIPE_LABEL}={digest}",
        "--label",
        f"{MACHINE_LABEL}={tag}",
        "--build-arg",
        f"BASE={base[0]}",
    )
    docker.run("build", "--tag", name, *labelled, str(_IMAGES / folder), within=MAKE_WITHIN)
    docker.ask("image", "prune", "--force", "--filter", f"label={MACHINE_LABEL}")
    return name, digest


def _debian(docker: LabDocker, suite: str, listener: Listener) -> tuple[str, str]:
    name = f"towline-lab/host:{suite}-base"
    made_from = (suite, _PACKAGES, _MASKED, _AS_DELIVERED, extra_authorities())
    digest = hashlib.sha256(repr(made_from).encode()).hexdigest()[:16]
    if (labels_of(docker, name) or {}).get(RECIPE_LABEL) == digest:
        return name, digest
    if shutil.which("mmdebstrap", path=docker.environment.get("PATH")) is None:
        raise SiteUnreachable("mmdebstrap is needed to make a host, and it is not installed", hint=INSTALL)
    listener(Noted(f"Making the Debian {suite} that hosts start from, about 40 s; this is kept."))
    with tempfile.TemporaryDirectory(prefix="towline-machine-") as folder:
        archive = Path(folder) / "debian.tar"
        title = f"Debian {suite}"
        made = run(
            _mmdebstrap(suite, Path(folder), archive),
            within=MAKE_WITHIN,
            on_line=lambda line: listener(Progressed("lab", title, line)),
        )
        if made.status != 0:
            raise StepFailed("mmdebstrap did not make a Debian", where=Where("lab"), evidence=made.last_lines)
        label = f"LABEL {RECIPE_LABEL}={digest} {MACHINE_LABEL}={suite}-base"
        docker.run("import", "--change", label, str(archive), name, within=MAKE_WITHIN)
    return name, digest


def _mmdebstrap(suite: str, folder: Path, archive: Path) -> tuple[str, ...]:
    hooks = (trusting_hook(folder), *_AS_DELIVERED)
    return (
        "mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(_PACKAGES)}",
        '--aptopt=Acquire::Languages "none"',
        *(f"--customize-hook={hook}" for hook in hooks),
        suite, str(archive),
    )  # fmt: skip
