"""The driver of a machine over SSH."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from towline.core.errors import Defect
from towline.drivers.host import adopt, containers, farewell, folders, images, links, machine_door
from towline.drivers.host.batch import LAUNCH, StepProgram, batch_program, packed
from towline.drivers.host.facts import facts_of, seen_in
from towline.drivers.host.journal import Journal, line_of
from towline.drivers.host.lock import Lock
from towline.drivers.host.maintenance import set_maintenance
from towline.drivers.host.marks import refuse_marks
from towline.drivers.host.migration import PROGRAMS as MIGRATION_PROGRAMS
from towline.drivers.host.migration import backups_of
from towline.drivers.host.neighbours import reached_on
from towline.drivers.host.onlook import logs_of, status_of
from towline.drivers.host.stash import Stash
from towline.drivers.host.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from towline.core.secret import Secret
    from towline.drivers.host.target import Link
    from towline.steps.adopt import OtherContainer
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Batch, Facts, InstanceStatus, Lease, Line, LogLine, Stretch

    Programs = Mapping[str, Callable[[Any], StepProgram]]

T = TypeVar("T")

PROGRAMS: Final[Programs] = {
    "init-store": containers.init_store,
    "prepare-store": containers.prepare_store,
    "run-task": containers.run_task,
    "start-instance": containers.start_instance,
    "wait-ready": containers.wait_ready,
    "shift": containers.shift,
    "confirm-shift": containers.confirm_shift,
    "drain": containers.drain,
    "stop-instance": containers.stop_instance,
    "confirm-stopped": containers.confirm_stopped,
    "see-off": farewell.see_off,
    "await-farewell": farewell.await_farewell,
    "end-site": containers.end_site,
    "purge-data": containers.purge_data,
    "load-image": images.load_image,
    "fetch-image": images.fetch_image,
    "build-image": images.build_image,
    "clear-away": images.clear_away,
    "place-folder": folders.place_folder,
    "join-link": links.join_link,
    "confirm-link": links.confirm_link,
    "leave-link": links.leave_link,
    "set-maintenance": set_maintenance,
    "stop-others": adopt.stop_others,
    "start-others": adopt.start_others,
    "take-data": adopt.take_data,
    "claim-names": machine_door.claim_names,
    "lead-names": machine_door.lead_names,
    "open-machine-door": machine_door.open_machine_door,
    **MIGRATION_PROGRAMS,
}
"""By kind of step, what makes its programs."""

_LOOK_PARTS: Final = ("observe.sh", "leaving.sh", "look_links.sh", "machine_door.sh", "look_ground.sh", "journal.sh")
"""The shell functions that a look at a target calls."""

_LONGEST: Final = 24 * 3600.0
"""Seconds that an operator reads the lines of one batch; the batch itself goes on."""


class HostSite:
    """A target on a host, under `home` there (/var/lib/towline/APP/TARGET): a Driver.

    `programs` says which kinds of steps it can carry out. Several objects, also of several operators, may speak to one
    home; one of them is for one connection. `linked`: it needs a key for a private link with others.
    """

    def __init__(
        self, link: Link, home: str, *, site: str, programs: Programs = PROGRAMS, linked: bool = False
    ) -> None:
        self._target = Target(link, home, site)
        self._linked = linked
        self._programs = programs
        self._journal = Journal(self._target)
        self._lock = Lock(self._target)
        self._stash = Stash(self._target)
        # What was read of the journal under a lease of our own, and nothing was written since: it is still so, or
        # whatever we send is refused.
        self._untouched = False
        self._current: tuple[Line, ...] | None = None

    @property
    def site(self) -> str:
        """The name of the site in towline.yaml."""
        return self._target.site

    def observe(self) -> Facts:
        """What is there now; makes nothing but the private folder with its salt, and a key where one is needed."""
        return self._seen(self._target.ask_bytes(self._look(), *_LOOK_PARTS))

    def acquire(self, owner: str, seconds: float) -> Lease:
        """Take the lock. Raises LockHeld while somebody else holds it, or a step of theirs is still at work."""
        # Whoever takes the lock reads the journal under it.
        return self._acquire(owner, seconds, self._read_journal, self._journal.question(), "journal.sh")[0]

    def acquire_and_observe(self, owner: str, seconds: float) -> tuple[Lease, Facts]:
        """Take the lock, and look under it. Raises as both."""
        return self._acquire(owner, seconds, self._seen, self._look(), *_LOOK_PARTS)

    def renew(self, lease: Lease, seconds: float) -> None:
        """Hold it longer. Raises Fenced when somebody has taken over."""
        self._lock.renew(lease, seconds)

    def release(self, lease: Lease) -> None:
        """Give it back."""
        self._touched()
        self._lock.release(lease)

    def stash(self, contents: Mapping[str, Secret], lease: Lease) -> None:
        """Keep contents under their digests, readable by root only; what is there already does not travel."""
        self._stash.put(contents, lease)

    def carry_out(self, work: Batch | Stretch, lease: Lease, run: str) -> Iterator[Line]:
        """Send all of it as one program, and yield its lines as they come.

        The host goes on with it whether they are read or not, and ends it before the first step that a newer lease
        refuses. Raises SiteUnreachable when the connection breaks meanwhile.
        """
        self._touched()
        programs = [self._program(step) for step in work.steps]
        text = batch_program(work, programs, lease, run, home=self._target.home)
        for line in self._target.link.lines(LAUNCH, within=_LONGEST, data=packed(text)):
            refuse_marks(line, self.site)
            yield line_of(line, self.site)

    def record(self, line: Line, lease: Lease) -> None:
        """Append a line of the engine."""
        self._touched()
        self._journal.record(line, lease)

    def journal(self) -> tuple[Line, ...]:
        """All lines, oldest first; what was read under our own lease is not asked for again."""
        if self._current is None:
            lines = self._journal.lines()
            self._current = lines if self._untouched else None
            return lines
        return self._current

    def status(self) -> tuple[InstanceStatus, ...]:
        """Every container of an instance."""
        return status_of(self._target)

    def backups(self) -> tuple[dict[str, Any], ...]:
        """Every backup that is whole."""
        return backups_of(self._target)

    def logs(self, services: tuple[str, ...] | None, lines: int, *, follow: bool) -> Iterator[LogLine]:
        """What the containers printed."""
        return logs_of(self._target, services, lines, follow=follow)

    def others(self) -> tuple[OtherContainer, ...]:
        """Every container there that is not of Towline."""
        return adopt.others_on(self._target)

    def reached(self, store: str) -> tuple[int, ...] | None:
        """The ports of a store that answer a neighbour."""
        return reached_on(self._target, store)

    def _look(self) -> str:
        # A machine that runs no containers for this target need not have an engine that answers.
        engine = "containers\nlook_at_door\nlook_at_ground\n" if "start-instance" in self._programs else ""
        key = "link_key\n" if self._linked else ""
        return f"observe\n{engine}{key}link_seen\necho journal\n{self._journal.question()}"

    def _acquire(
        self, owner: str, seconds: float, read: Callable[[bytes], T], question: str, *parts: str
    ) -> tuple[Lease, T]:
        """The lock, and what is read under it; a lock that nothing could be read under is given back."""
        self._touched()
        lease, answer = self._lock.acquire_and(owner, seconds, question, *parts)
        self._untouched = True
        try:
            return lease, read(answer)
        except BaseException:
            self.release(lease)
            raise

    def _read_journal(self, answer: bytes) -> tuple[Line, ...]:
        """All lines, when what is new was brought; the rest is asked for."""
        size, lines = self._journal.answered(answer)
        if size > self._journal.known:
            lines = self._journal.lines()
        self._current = lines if self._untouched else None
        return lines

    def _seen(self, answer: bytes) -> Facts:
        seen, _, journal = answer.partition(b"\njournal\n")
        now = time.time()
        lines = self._read_journal(journal)
        found = seen_in(seen.decode("utf-8", "replace"))
        self._stash.seen(found.get("stashed", ()))
        return facts_of(self.site, found, lines, now)

    def _touched(self) -> None:
        self._untouched, self._current = False, None

    def _program(self, step: AnyStep) -> StepProgram:
        make = self._programs.get(step.kind)
        if make is None:
            raise Defect(f"a host cannot carry out `{step.title}` ({step.kind})")
        return make(step)
