"""A target on a host that a command of somebody's own leads into, and that can be forgotten."""

from __future__ import annotations

import secrets
import shlex
from typing import TYPE_CHECKING

from towline.drivers.host.driver import HostSite
from towline.drivers.host.images import parts_of, taking
from towline.drivers.host.inside import inside_program
from towline.drivers.host.registry_calls import digest_there, fetch_with
from towline.drivers.host.upload import upload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from towline.core.secret import Secret
    from towline.drivers.host.ssh import Connection
    from towline.steps.images import ImageParts
    from towline.steps.model import Lease, Line


class RemoteHost(HostSite):
    """The driver of a machine over SSH, with what is done there besides deploying."""

    def __init__(self, link: Connection, home: str, *, site: str, linked: bool = False) -> None:
        super().__init__(link, home, site=site, linked=linked)
        self._connection = link

    def inside(self, instance: str, command: Sequence[str], *, terminal: bool) -> tuple[str, ...]:
        """The argv here of a command in a container of the target. Raises SiteUnreachable."""
        program = inside_program(self._target.home, instance, command, terminal=terminal)
        return self._connection.argv(program, terminal=terminal)

    def past(self) -> tuple[Line, ...]:
        """The lines of its journal, as of the last look at it."""
        return self._journal.settled

    def image_parts(self) -> ImageParts:
        """The layers of its images, and what was sent before."""
        return parts_of(self._target)

    def take_part(self, name: str, chunks: Iterable[bytes]) -> None:
        """Keep a part of an image, whole or not at all. Raises StepFailed, SiteUnreachable."""
        program = taking(self._target.home, name, secrets.token_hex(4))
        upload(self._connection.argv(program, terminal=False), chunks, self.site)

    def fetch(self, image: str, login: Secret | None) -> None:
        """Fetch an image from its registry. Raises StepFailed with the registry's words."""
        fetch_with(self._target, image, login)

    def digest_of(self, image: str, login: Secret | None) -> str:
        """Ask the registry from there. Raises StepFailed with its words."""
        return digest_there(self._target, image, login)

    def forget(self, lease: Lease, gone: tuple[str, ...] = ()) -> None:
        """Delete the folder of the target but its backups. Raises Fenced when somebody has taken over."""
        self._target.ask(f"{shlex.join(('forget', str(lease.fence), *gone))}\n", "forget.sh", within=60.0)
