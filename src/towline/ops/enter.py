"""Run a command inside what runs on a host: in the container of one copy, with the terminal of the one who asks."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from typing import TYPE_CHECKING, Final

from towline.core.errors import Findings, Refused, UsageError
from towline.core.process import Ran
from towline.core.process import run as run_here
from towline.core.secret import redact
from towline.ops.inspect import status
from towline.spec.nearest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from towline.ops.hosts import Hosts
    from towline.steps.model import InstanceStatus

LONGEST: Final = 24 * 3600.0


def chosen(hosts: Hosts, name: str) -> InstanceStatus:
    """The copy that is meant by the name of a service, a store or of the copy itself: of several a ready one.

    Raises UsageError for a name that nothing has, Refused when nothing of it runs.
    """
    found = [one for one in status(hosts, ()) if name in (one.service, one.name)]
    if not found:
        app = hosts.app
        names = [*(one.name for one in app.services), *(one.name for one in app.stores)]
        if name in names:
            raise _nothing(hosts, name)
        raise UsageError(
            f"there is no service or copy `{name}`{did_you_mean(name, names)}",
            hint=f"towline status --target {hosts.target.name}",
        )
    running = [one for one in found if one.pid]
    if not running:
        raise _nothing(hosts, name)
    return min(running, key=lambda one: (one.state != "ready", one.site, one.name))


def enter(hosts: Hosts, copy: InstanceStatus, command: Sequence[str], *, terminal: bool) -> int:
    """Run it with our own input and output, and give its exit status."""
    argv = hosts.live[copy.site].inside(copy.name, command, terminal=terminal)
    with _for_the_command_alone():
        return subprocess.run(argv, check=False).returncode


def enter_quietly(hosts: Hosts, copy: InstanceStatus, command: Sequence[str]) -> Ran:
    """Run it without input, and give what it printed, with every value of the vault masked."""
    argv = hosts.live[copy.site].inside(copy.name, command, terminal=False)
    done = run_here(argv, within=LONGEST)
    try:
        values = tuple(hosts.values().values())
    except Findings:
        # A setting of the next deploy is missing: those that are there count all the same.
        values = tuple(one.value for one in hosts.vault.kept().values())
    return Ran(done.status, redact(done.stdout, values), redact(done.stderr, values), done.timed_out)


def _nothing(hosts: Hosts, name: str) -> Refused:
    return Refused(f"nothing of `{name}` runs", hint=f"towline status --target {hosts.target.name}")


@contextlib.contextmanager
def _for_the_command_alone() -> Iterator[None]:
    """Ctrl-C is for the command: it says what comes of it."""
    # No SIG_IGN: the command would inherit it.
    earlier = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)
