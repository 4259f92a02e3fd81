"""Run a command as a service on a host would: inside one of its copies, or in a container of its own like theirs."""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from towline.core.errors import Findings, Refused, UsageError
from towline.core.process import Ran
from towline.core.process import run as run_here
from towline.core.secret import redact
from towline.ops.inspect import status
from towline.release import journal
from towline.release.copies import started
from towline.spec.nearest import did_you_mean
from towline.steps.container import Test

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from towline.ops.hosts import Hosts
    from towline.steps.container import Container
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


def inside(hosts: Hosts, copy: InstanceStatus, command: Sequence[str], *, terminal: bool) -> tuple[str, ...]:
    """The argv here of a command in the container of a copy."""
    return hosts.live[copy.site].inside(copy.name, command, terminal=terminal)


def beside(hosts: Hosts, copy: InstanceStatus, command: Sequence[str], *, terminal: bool) -> tuple[str, ...]:
    """The argv here of a command in a new container, made as the copy was: its image, environment, volumes, limits.

    Nobody finds it by a name, and nobody asks whether it is well. Raises Refused for a copy of which the journal does
    not tell how it was made, UsageError for one that is no service.
    """
    made = started(journal.read(hosts.site, hosts.sites)).get((copy.site, copy.name, copy.revision))
    if made is None or made.container is None:
        hint = f"towline deploy {hosts.target.name}"
        raise Refused(f"the journal does not tell how {copy.name} was started, so none can be made like it", hint=hint)
    if made.runs != "service":
        hint = f"towline exec {copy.service} -t {hosts.target.name} -- COMMAND"
        raise UsageError(f"`{copy.service}` is no service: of what keeps data there is one alone", hint=hint)
    return hosts.live[copy.site].fresh(_alone(hosts, made.container, command), made.env, terminal=terminal)


def _alone(hosts: Hosts, container: Container, command: Sequence[str]) -> Container:
    return replace(
        container,
        name=f"{hosts.app.name}-{hosts.target.name}-run.{secrets.token_hex(6)}",
        command=tuple(command),
        networks=tuple(replace(one, aliases=()) for one in container.networks),
        published=(),
        test=Test(()),
    )


def enter(argv: Sequence[str]) -> int:
    """Run it with our own input and output, and give its exit status."""
    with _for_the_command_alone():
        return subprocess.run(argv, check=False).returncode


def enter_quietly(hosts: Hosts, argv: Sequence[str]) -> Ran:
    """Run it without input, and give what it printed, with every value of the vault masked."""
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
