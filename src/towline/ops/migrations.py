"""What a person lets a release command take away, for one run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from towline.core.errors import UsageError
from towline.spec.page_fields import Change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from towline.ops.hosts import Hosts

_CHANGE: TypeAdapter[str] = TypeAdapter(Change)


def allowing(hosts: Hosts, changes: Sequence[str]) -> Hosts:
    """The target, where the release command may take these away besides what its page allows.

    Raises UsageError for a word that names no change, or where there is no release command.
    """
    if not changes:
        return hosts
    release = hosts.app.release
    if release is None:
        raise UsageError("there is no release command that could take anything away", hint="towline check")
    for change in changes:
        _refuse_unless_known(change)
    app = replace(hosts.app, release=replace(release, allow=(*release.allow, *changes)))
    placement = replace(hosts.material.placement, app=app)
    return replace(hosts, material=replace(hosts.material, placement=placement))


def _refuse_unless_known(change: str) -> None:
    try:
        _CHANGE.validate_python(change)
    except ValidationError as error:
        raise UsageError(
            f"`{change}` names no change of a database", hint="write it as the report does: 'drop-column orders.note'"
        ) from error
