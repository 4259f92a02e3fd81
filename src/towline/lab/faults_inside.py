"""Faults that are made inside a host, and images that are brought into it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from towline.core.errors import StepFailed, Where
from towline.lab.containers import container_name
from towline.lab.images import RECIPES, bake, labels_of

if TYPE_CHECKING:
    from towline.lab.host import LabHost

LOAD_WITHIN = 600.0

# All that is free but what is to be left; what no large file finds room for is then taken by a small one.
_FILL = """
set -eu
folder=/var/lib/towline-lab
mkdir -p "$folder"
rm -f "$folder"/ballast*
sync
free=$(df --output=avail --block-size=1 / | tail -n 1)
take=$((free - {leave}))
[ "$take" -gt 0 ] || {{ echo "only $free bytes are free" >&2; exit 1; }}
fallocate -l "$take" "$folder/ballast" 2>/dev/null || fallocate -l $((take - take / 100)) "$folder/ballast"
[ {leave} -gt 0 ] || dd if=/dev/zero of="$folder/ballast-rest" bs=4k status=none 2>/dev/null || true
sync
"""


def fill_disk(host: LabHost, leave: int) -> None:
    """Fill the disk of a host but for `leave` bytes. Raises StepFailed when fewer are free already."""
    _must(host, _FILL.format(leave=leave), "the disk was not filled")


def free_disk(host: LabHost) -> None:
    """Give the room back that `fill_disk` took."""
    _must(host, "rm -rf /var/lib/towline-lab && sync", "the disk was not freed")


def load(host: LabHost, images: tuple[str, ...]) -> None:
    """Copy images from the lab's Docker to the Docker inside a host; stand-ins that it lacks are made.

    Raises StepFailed when the lab's Docker has not all of them, or the host has no Docker.
    """
    _must(host, "docker version", "no Docker answers there")
    docker = host.lab.docker
    bake(docker, [name for name in images if name in RECIPES and labels_of(docker, name) is None])
    environment = dict(docker.environment)
    inner = ("docker", "exec", "--interactive", container_name(host.lab.name, host.number), "docker", "load")
    with subprocess.Popen(
        ("docker", "save", *images), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as saving:
        try:
            loaded = subprocess.run(
                inner, env=environment, stdin=saving.stdout, capture_output=True, timeout=LOAD_WITHIN, check=False
            )
        except subprocess.TimeoutExpired as error:
            saving.kill()
            raise StepFailed(f"{host.name} took more than {LOAD_WITHIN:.0f} s", where=Where("lab")) from error
        if saving.stdout is not None:
            saving.stdout.close()  # whoever still writes into it has no reader any more, and hears so
        said = saving.stderr.read() if saving.stderr is not None else b""
    if saving.returncode != 0 or loaded.returncode != 0:
        lines = (said + loaded.stderr).decode(errors="replace").splitlines()
        raise StepFailed(f"{host.name} did not get the images", where=Where("lab"), evidence=tuple(lines[-10:]))


def _must(host: LabHost, program: str, sentence: str) -> None:
    ran = host.inside(program, within=60)
    if ran.status != 0:
        raise StepFailed(f"{host.name}: {sentence}", where=Where("lab"), evidence=ran.last_lines)
