"""What is there and what would happen: nothing here changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.bundle import DOOR
from towline.artifacts.host_layout import DOOR as HOST_DOOR
from towline.core.errors import UsageError
from towline.core.secret import redact
from towline.ops.side_by_side import earlier_lines, following_lines, status_of
from towline.release import journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.core.secret import Secret
    from towline.ops.workspace import Opened, Workspace
    from towline.steps.model import InstanceStatus, LogLine


def status(workspace: Opened, names: tuple[str, ...]) -> tuple[InstanceStatus, ...]:
    """The instances of these services and stores, of all when none is named."""
    known(workspace, names)
    return tuple(one for one in status_of(workspace.onlookers) if not names or one.service in names)


def logs(workspace: Opened, names: tuple[str, ...], lines: int, *, follow: bool) -> Iterator[LogLine]:
    """Log lines as they were printed."""
    known(workspace, names)
    shown = following_lines if follow else earlier_lines
    return shown(workspace.onlookers, names or None, lines)


def history(workspace: Opened) -> tuple[journal.Run, ...]:
    """Every run that the journal tells of, oldest first."""
    return journal.read(workspace.site, workspace.sites).runs


def environment_of(workspace: Workspace, service: str) -> dict[str, Secret]:
    """What a process of this service gets, computed anew."""
    known(workspace, (service,))
    if service not in {one.name for one in workspace.app.services}:
        raise UsageError(
            f"`{service}` is a store; a command runs in the environment of a service", hint="towline status"
        )
    from towline.artifacts.environment import of_service

    return of_service(workspace.app, workspace.app.service(service), workspace.addresses(), workspace.machine)


def known(workspace: Opened, names: tuple[str, ...]) -> None:
    """Raises UsageError for a name that is neither a service nor a store."""
    app = workspace.app
    door = HOST_DOOR if any(site.kind == "host" for site in workspace.target.sites) else DOOR
    there = [*(one.name for one in app.services), *(one.name for one in app.stores), door]
    for name in names:
        if name not in there:
            raise UsageError(
                f"there is no service or store `{name}`; there are {', '.join(there)}", hint="towline status"
            )


def clean(workspace: Workspace, text: str) -> str:
    """`text` with the values of the stores masked."""
    return redact(text, tuple(workspace.values().values()))
