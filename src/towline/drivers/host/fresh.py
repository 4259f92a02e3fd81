"""A command in a container of its own, made as the copies of a service are, and deleted after it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from towline.drivers.host.containers import asked_for
from towline.drivers.host.programs import part, settings
from towline.drivers.host.remote import RemoteHost

if TYPE_CHECKING:
    from towline.steps.container import Container

NOT_RUN: Final = 125
"""The status by which an engine says that a container could not be started."""

_SAID: Final = f"""
fail() {{
  printf '%s\\n' "error $1" >&2
  [ -z "${{2-}}" ] || printf '\\nhint: %s\\n' "$2" >&2
  exit {NOT_RUN}
}}
"""


class FreshHost(RemoteHost):
    """The driver of a machine over SSH, where a command may have a container of its own as well."""

    def fresh(self, container: Container, env: str | None, *, terminal: bool) -> tuple[str, ...]:
        """The argv here of a container's command. Raises SiteUnreachable."""
        program = fresh_program(self._target.home, container, env, terminal=terminal)
        return self._connection.argv(program, terminal=terminal)

    def close(self) -> None:
        """End the connection, and with it whatever still goes over it."""
        self._connection.close()


def fresh_program(home: str, container: Container, env: str | None, *, terminal: bool) -> str:
    """The shell program on the host."""
    how = ("-it", "-e", f"TERM={os.environ.get('TERM', 'xterm')}") if terminal else ("-i",)
    paths = "PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin\numask 077\n"
    parts = "".join(part(name) for name in ("files.sh", "docker.sh", "fresh.sh"))
    asked = asked_for(container, env, "--label", "towline.fresh=yes", *how)
    return f"{paths}{settings(home=home)}{_SAID}{parts}fresh {asked}\n"
