"""The driver of a machine over SSH."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from towline.core.errors import Defect
from towline.drivers.host import containers
from towline.drivers.host.batch import LAUNCH, StepProgram, batch_program, packed
from towline.drivers.host.facts import facts_of, seen_in
from towline.drivers.host.journal import Journal, line_of
from towline.drivers.host.lock import Lock
from towline.drivers.host.marks import refuse_marks
from towline.drivers.host.onlook import logs_of, status_of
from towline.drivers.host.stash import Stash
from towline.drivers.host.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from towline.core.secret import Secret
    from towline.drivers.host.target import Link
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Batch, Facts, InstanceStatus, Lease, Line, LogLine

    Programs = Mapping[str, Callable[[Any], StepProgram]]

PROGRAMS: Final[Programs] = {
    "init-store": containers.init_store,
    "prepare-store": containers.prepare_store,
    "run-task": containers.run_task,
    "configure-door": containers.configure_door,
    "start-instance": containers.start_instance,
    "wait-ready": containers.wait_ready,
    "shift": containers.shift,
    "confirm-shift": containers.confirm_shift,
    "drain": containers.drain,
    "stop-instance": containers.stop_instance,
    "confirm-stopped": containers.confirm_stopped,
    "end-site": containers.end_site,
    "purge-data": containers.purge_data,
}
"""By kind of step, what makes its programs."""

_LONGEST: Final = 24 * 3600.0
"""Seconds that an operator reads the lines of one batch; the batch itself goes on."""


class HostSite:
    """A target on a host, under `home` there (/var/lib/towline/APP/TARGET): a Driver.

    `programs` says which kinds of steps it can carry out. Several objects, also of several operators, may speak to one
    home; one of them is for one connection.
    """

    def __init__(self, link: Link, home: str, *, site: str, programs: Programs = PROGRAMS) -> None:
        self._target = Target(link, home, site)
        self._programs = programs
        self._journal = Journal(self._target)
        self._lock = Lock(self._target)
        self._stash = Stash(self._target)

    @property
    def site(self) -> str:
        """The name of the site in towline.yaml."""
        return self._target.site

    def observe(self) -> Facts:
        """What is there now; makes nothing but the private folder with its salt."""
        # A machine that runs no containers for this target need not have an engine that answers.
        engine = "containers\n" if "start-instance" in self._programs else ""
        asked = f"observe\n{engine}echo journal\n{self._journal.question()}"
        seen, _, journal = self._target.ask_bytes(asked, "observe.sh", "journal.sh").partition(b"\njournal\n")
        size, lines = self._journal.answered(journal)
        if size > self._journal.known:
            lines = self._journal.lines()
        found = seen_in(seen.decode("utf-8", "replace"))
        self._stash.seen(found.get("stashed", ()))
        return facts_of(self.site, found, lines)

    def acquire(self, owner: str, seconds: float) -> Lease:
        """Take the lock. Raises LockHeld while somebody else holds it, or a step of theirs is still at work."""
        return self._lock.acquire(owner, seconds)

    def renew(self, lease: Lease, seconds: float) -> None:
        """Hold it longer. Raises Fenced when somebody has taken over."""
        self._lock.renew(lease, seconds)

    def release(self, lease: Lease) -> None:
        """Give it back."""
        self._lock.release(lease)

    def stash(self, contents: Mapping[str, Secret], lease: Lease) -> None:
        """Keep contents under their digests, readable by root only; what is there already does not travel."""
        self._stash.put(contents, lease)

    def carry_out(self, batch: Batch, lease: Lease, run: str) -> Iterator[Line]:
        """Send the batch as one program, and yield its lines as they come.

        The host goes on with it whether they are read or not, and ends it before the first step that a newer lease
        refuses. Raises SiteUnreachable when the connection breaks meanwhile.
        """
        programs = [self._program(step) for step in batch.steps]
        text = batch_program(batch, programs, lease, run, home=self._target.home)
        for line in self._target.link.lines(LAUNCH, within=_LONGEST, data=packed(text)):
            refuse_marks(line, self.site)
            yield line_of(line, self.site)

    def record(self, line: Line, lease: Lease) -> None:
        """Append a line of the engine."""
        self._journal.record(line, lease)

    def journal(self) -> tuple[Line, ...]:
        """All lines, oldest first."""
        return self._journal.lines()

    def status(self) -> tuple[InstanceStatus, ...]:
        """Every container of an instance."""
        return status_of(self._target)

    def logs(self, services: tuple[str, ...] | None, lines: int, *, follow: bool) -> Iterator[LogLine]:
        """What the containers printed."""
        return logs_of(self._target, services, lines, follow=follow)

    def _program(self, step: AnyStep) -> StepProgram:
        make = self._programs.get(step.kind)
        if make is None:
            raise Defect(f"a host cannot carry out `{step.title}` ({step.kind})")
        return make(step)
