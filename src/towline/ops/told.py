"""A change of a target with those around it: the hook before, the work, the messages, the hook after."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from towline.core.errors import Findings, TowlineError
from towline.core.secret import redact
from towline.ops import hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from towline.core.errors import Finding
    from towline.core.events import Listener
    from towline.core.secret import Secret
    from towline.ops.hosts import Hosts
    from towline.ops.occasion import Occasion

    Work = Callable[[], tuple[bool, str]]
    """What is done: whether it is as it should be, and the verdict in words."""

    Say = tuple[Listener, Callable[[tuple[Finding, ...]], None]]
    """Where hooks talk, and where warnings go."""


CODES: dict[str, tuple[str, str]] = {
    "hook-failed": ("error", "The hook `after` failed: what was deployed stays. Of the hook `failed` it is a warning."),
    "not-notified": ("warning", "Somebody could not be told how it went."),
}
"""What is found around a deploy, with its level and its meaning; printed as part of the reference."""


def told(hosts: Hosts, project: Path, occasion: Occasion, work: Work, say: Say) -> bool:
    """Do `work` between the hooks, and tell others how it went; an error of its own is raised again after that.

    False when the hook `after` failed: that is told as a finding, as is whom nobody could tell. Raises Refused when the
    hook `before` stops it.
    """
    hooks.before(hosts.app.hooks, project, occasion, say[0])
    began = time.monotonic()
    try:
        ok, verdict = work()
    except TowlineError as error:
        sentence = redact(error.sentence, tuple(_values(hosts).values()))
        _afterwards(hosts, project, occasion.failed(sentence, time.monotonic() - began), say)
        raise
    return _afterwards(hosts, project, occasion.went(verdict, ok=ok, seconds=time.monotonic() - began), say)


def _afterwards(hosts: Hosts, project: Path, occasion: Occasion, say: Say) -> bool:
    listener, warn = say
    if hosts.app.notices:
        from towline.ops.notify import notify

        warn(notify(hosts.app.notices, _values(hosts), occasion))
    wrong = hooks.after(hosts.app.hooks, project, occasion, listener)
    warn((wrong,) if wrong is not None else ())
    return wrong is None or not occasion.ok


def _values(hosts: Hosts) -> Mapping[str, Secret]:
    kept = {name: one.value for name, one in hosts.vault.kept().items()}
    try:
        return {**kept, **hosts.values()}
    except Findings:
        # A setting of a next deploy is missing; those that are there count all the same.
        return kept
