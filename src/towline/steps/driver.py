"""The Driver protocol: the only door through which the rest of Towline touches a site.

Settled against two sites at once: one where a call is a function, and one behind a link of 100 ms, where a batch is one
program sent over one connection (docs/decisions/0003-driver-protocol.md has the measurement). So the unit of work is a
batch, the journal is written on the site beside each act, and the operator only reads lines as they come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.core.secret import Secret
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Batch, Before, Facts, InstanceStatus, Lease, Line, LogLine, Stretch


class Driver(Protocol):
    """One site. Every call may raise SiteUnreachable; every call that changes something may raise Fenced."""

    @property
    def site(self) -> str:
        """The name of the site in towline.yaml."""

    def observe(self) -> Facts:
        """What is there now. Changes nothing, and answers for an empty site too. Limit: 10 s."""

    def acquire(self, owner: str, seconds: float) -> Lease:
        """Take the lock of the target for `seconds`, by the site's own monotonic clock; an expired one is taken over.

        Raises LockHeld, with owner and time left, while somebody else holds it. The same owner may take it again: the
        fence grows each time.
        """

    def renew(self, lease: Lease, seconds: float) -> None:
        """Hold the lock for `seconds` from now. Raises Fenced when somebody has taken over."""

    def release(self, lease: Lease) -> None:
        """Give the lock back; no-op when it is held by a newer lease or by nobody."""

    def stash(self, contents: Mapping[str, Secret], lease: Lease) -> None:
        """Keep contents under their digests, readable by nobody else; what is there already is not sent again.

        Content-addressed, so it needs no undo, and a resume or a rollback needs no operator's copy.
        """

    def carry_out(self, work: Batch | Stretch, lease: Lease, run: str) -> Iterator[Line]:
        """Do the steps of a batch, or of several, in order; yield the journal lines, each once it is on the disk there.

        For each step: does it hold already? what is there before? `began` (with before) synced to the journal, act,
        `done` synced. The first step that fails yields `failed` with its evidence and ends the work. The steps go on
        to where they are even when nobody reads the lines any more, at the site's choice; resume asks each again.
        The lines of the engine that a stretch brings are written by the site, and yielded as well.
        """

    def record(self, line: Line, lease: Lease) -> None:
        """Append a line of the engine (`plan`, `ended`) to the journal on the site, synced."""

    def journal(self) -> tuple[Line, ...]:
        """All lines, oldest first; a torn last line is left out."""


@runtime_checkable
class Distant(Protocol):
    """A site so far away that two questions in one are worth it."""

    def acquire_and_observe(self, owner: str, seconds: float) -> tuple[Lease, Facts]:
        """Take the lock, and look under it: as `acquire`, then `observe`. The lock is free again when looking fails."""


class Actor(Protocol):
    """What a site whose steps are calls from here must know of each step; `carry` turns it into `carry_out`.

    Each is asked under the fence, in this order, and must be safe to ask again after a crash at any point.
    """

    def holds(self, step: AnyStep) -> str | None:
        """What was seen, when there is nothing left to do for this step; else None."""

    def before(self, step: AnyStep) -> Before:
        """What `inverse` needs to go back; asked before the act and written down first."""

    def apply(self, step: AnyStep) -> str:
        """Clear the leftovers of an earlier try, do it, and say what was seen. Raises StepFailed with evidence."""


class Onlooker(Protocol):
    """What a site shows of its running instances; nothing here changes anything."""

    def status(self) -> tuple[InstanceStatus, ...]:
        """Every instance that runs, or should."""

    def logs(self, services: tuple[str, ...] | None, lines: int, *, follow: bool) -> Iterator[LogLine]:
        """The last lines of these services (None: of all), then with `follow` every new one until the caller leaves."""


@runtime_checkable
class Keeper(Protocol):
    """What a site keeps of its databases beside them; nothing here changes anything."""

    def backups(self) -> tuple[Mapping[str, Any], ...]:
        """Every whole backup: name, store, database, at, bytes, tables, sha256, head, why, restored."""


class Insider(Protocol):
    """What a site on this very machine shows of its processes besides; nothing here changes anything."""

    def listeners(self, instance: str) -> tuple[tuple[str, int], ...]:
        """The addresses and ports on which the processes of an instance listen."""

    def server_major(self, store_kind: str) -> str:
        """The major version of the server that the site would start for a store of this kind."""

    def environment(self, instance: str) -> Mapping[str, Secret] | None:
        """What the process of an instance really has; None where the system does not tell."""
