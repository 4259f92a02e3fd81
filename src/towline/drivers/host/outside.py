"""The operator's side of a machine, as a site: what it does is log in, over connections of their own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from towline.core.errors import Defect, StepFailed
from towline.core.process import run
from towline.steps import carry
from towline.steps.ensure import ProveLogin
from towline.steps.model import Facts, Lease

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from towline.core.process import Ran
    from towline.core.secret import Secret
    from towline.drivers.host.address import Address
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Batch, Before, Line, Stretch

_ALONE = ("-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "BatchMode=yes")
"""A connection of its own: one that joins an open one would prove nothing about sshd's new files."""

_DENIED = "Permission denied"


class Outside:
    """A Driver whose only kind of step is `prove-login`; its lock and its journal end with this object.

    `ssh` is the beginning of the command line: the program, and options that the connection to the machine has too.
    """

    def __init__(self, address: Address, *, site: str, ssh: Sequence[str] = ("ssh",)) -> None:
        self._address, self._site, self._ssh = address, site, tuple(ssh)
        self._lines: list[Line] = []
        self._fence = 0

    @property
    def site(self) -> str:
        """What the plan calls it."""
        return self._site

    def observe(self) -> Facts:
        """Nothing is kept here."""
        return Facts(self._site)

    def acquire(self, owner: str, seconds: float) -> Lease:
        """A lease: nobody else knows of this object."""
        del seconds
        self._fence += 1
        return Lease(owner, self._fence)

    def renew(self, lease: Lease, seconds: float) -> None:
        """It lasts as long as this object."""

    def release(self, lease: Lease) -> None:
        """Nothing is held."""

    def stash(self, contents: Mapping[str, Secret], lease: Lease) -> None:
        """No step here needs contents."""
        del lease
        if contents:
            raise Defect("contents were to be stashed where no step reads them")

    def carry_out(self, work: Batch | Stretch, lease: Lease, run: str) -> Iterator[Line]:
        """Do the steps."""
        desk = carry.Desk(write=self._lines.append, permitted=lambda _: None)
        return carry.carry_out(work, self, desk, lease=lease, run=run)

    def record(self, line: Line, lease: Lease) -> None:
        """Keep a line of the engine."""
        del lease
        self._lines.append(line)

    def journal(self) -> tuple[Line, ...]:
        """What this object did. The machine's own journal has the plan."""
        return tuple(self._lines)

    def holds(self, step: AnyStep) -> None:
        """A login is proved anew each time."""

    def before(self, step: AnyStep) -> Before:
        """Nothing is changed."""
        del step
        return {}

    def apply(self, step: AnyStep) -> str:
        """Log in, become root, and see turned away who must not get in. Raises StepFailed with what ssh said."""
        if not isinstance(step, ProveLogin):
            raise Defect(f"the operator's side cannot carry out `{step.title}`")
        with ThreadPoolExecutor(1, "refused") as beside:
            denied = beside.submit(self._login, step.refused, "true", step.within) if step.refused else None
            came = self._login(step.user, "sudo -n id -u", step.within)
        if came.status != 0 or came.stdout.strip() != "0":
            raise StepFailed(
                f"{step.user} could not log in and become root over a second connection; what was changed goes back",
                hint=f"{replace(self._address, user=step.user).command()} sudo -n true",
                evidence=came.last_lines,
            )
        if step.refused is not None and denied is not None:
            _turned_away(step.refused, denied.result())
            return f"{step.user} came in, {step.refused} was turned away"
        return f"{step.user} came in and became root"

    def _login(self, user: str, command: str, within: float) -> Ran:
        address = replace(self._address, user=user)
        limit = ("-o", f"ConnectTimeout={max(1, int(within))}")
        return run((*self._ssh, *_ALONE, *limit, *address.arguments(), command), within=within + 5)


def _turned_away(user: str, came: Ran) -> None:
    if came.status == 0 or _DENIED not in came.stderr:
        what = "still gets in" if came.status == 0 else "was not turned away for certain"
        raise StepFailed(f"{user} {what}; what was changed goes back", evidence=came.last_lines)
