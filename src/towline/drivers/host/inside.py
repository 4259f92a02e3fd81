"""A command inside a container of a target, run from here over the connection that is open."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENGINE: Final = "docker -H unix:///var/run/docker.sock"

_PROGRAM: Final = """
PATH=${{PATH:-/usr/bin:/bin}}:/usr/local/sbin:/usr/sbin:/sbin
id=$({engine} ps -q --no-trunc --filter {home} --filter {instance} | head -n 1)
[ -n "$id" ] || {{ echo {silent} >&2; exit 125; }}
exec {engine} exec {how} "$id" {command}
"""


def inside_program(home: str, instance: str, command: Sequence[str], *, terminal: bool) -> str:
    """The shell program on the host: the container's own environment, and its exit status."""
    how = f"-it -e {shlex.quote('TERM=' + os.environ.get('TERM', 'xterm'))}" if terminal else "-i"
    return _PROGRAM.format(
        engine=_ENGINE,
        home=shlex.quote(f"label=towline.home={home}"),
        instance=shlex.quote(f"label=towline.instance={instance}"),
        silent=shlex.quote(f"{instance} does not run"),
        how=how,
        command=shlex.join(command),
    )
