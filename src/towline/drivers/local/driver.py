"""The driver of the site on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from towline.core.events import ignore
from towline.drivers.local import servers, sockets, status
from towline.drivers.local.actor import LocalActor
from towline.drivers.local.binaries import Programs
from towline.drivers.local.blobs import Blobs
from towline.drivers.local.ground import Ground
from towline.drivers.local.home import home_of
from towline.drivers.local.journal import Journal
from towline.drivers.local.lock import Lock
from towline.drivers.local.observe import observe
from towline.drivers.local.slots import Slots
from towline.drivers.local.supervisor import Supervisor
from towline.drivers.local.tables import Table
from towline.steps import carry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from towline.core.events import Listener
    from towline.core.secret import Secret
    from towline.steps.model import Batch, Facts, InstanceStatus, Lease, Line, LogLine, Stretch


class LocalSite:
    """A target on this machine, under `home` (PROJECT/.towline/TARGET): a Driver, and an Onlooker.

    `listener` hears each line of a task as it is printed. Several objects, also of several processes, may speak to
    one home.
    """

    def __init__(
        self,
        home: Path,
        *,
        site: str = "local",
        environ: Mapping[str, str] | None = None,
        listener: Listener = ignore,
    ) -> None:
        environ = os.environ if environ is None else environ
        place = home_of(home, environ)
        instances = Table(place.instances)
        self._ground = Ground(
            site=site,
            home=place,
            environ=environ,
            programs=Programs(environ),
            supervisor=Supervisor(place, environ),
            blobs=Blobs(place.blobs, lambda: public_words(instances)),
            slots=Slots(place.door),
            ports=Table(place.ports),
            tasks=Table(place.tasks),
            instances=instances,
            journal=Journal(place.journal),
            listener=listener,
        )
        self._lock = Lock(place.lock)
        self._actor = LocalActor(self._ground)

    @property
    def site(self) -> str:
        """The name of the site in towline.yaml."""
        return self._ground.site

    def observe(self) -> Facts:
        """What is there now; makes nothing but the private folder with its salt."""
        return observe(self._ground)

    def acquire(self, owner: str, seconds: float) -> Lease:
        """Take the lock. Raises LockHeld while somebody else holds it."""
        self._ground.home.make()
        return self._lock.acquire(owner, seconds)

    def renew(self, lease: Lease, seconds: float) -> None:
        """Hold it longer. Raises Fenced when somebody has taken over."""
        self._lock.renew(lease, seconds)

    def release(self, lease: Lease) -> None:
        """Give it back."""
        self._lock.release(lease)

    def stash(self, contents: Mapping[str, Secret], lease: Lease) -> None:
        """Keep contents under their digests, readable by the owner only."""
        self._lock.permitted(lease)
        self._ground.blobs.put(contents)

    def carry_out(self, work: Batch | Stretch, lease: Lease, run: str) -> Iterator[Line]:
        """Do the steps, each line written to the journal before it is yielded."""
        desk = carry.Desk(write=self._ground.journal.append, permitted=self._lock.permitted)
        return carry.carry_out(work, self._actor, desk, lease=lease, run=run)

    def record(self, line: Line, lease: Lease) -> None:
        """Append a line of the engine."""
        self._lock.permitted(lease)
        self._ground.journal.append(line)

    def journal(self) -> tuple[Line, ...]:
        """All lines, oldest first."""
        return self._ground.journal.lines()

    def status(self) -> tuple[InstanceStatus, ...]:
        """Every instance, in the order they were started."""
        return status.status(self._ground)

    def logs(self, services: Collection[str] | None, lines: int, *, follow: bool = False) -> Iterator[LogLine]:
        """The last `lines` lines of these services and tasks (None: of everything), by time.

        With `follow`, then every new one until the supervisor ends or the iterator is closed.
        """
        return status.log_lines(self._ground, services, lines, follow=follow)

    def listeners(self, instance: str) -> tuple[tuple[str, int], ...]:
        """Addresses and ports that the processes of an instance listen on; none when it does not run."""
        process = self._ground.supervisor.process(instance)
        if process is None or process.pid is None:
            return ()
        own, started = sockets.listeners(process.pid), servers.instance_of(process.labels)
        if started is None or started.runs != "bucket":
            return own
        # Where requests wait for it, it is the supervisor that listens.
        held = sockets.listeners(self._ground.supervisor.pid or process.pid)
        return (*(one for one in held if one[1] == started.port), *own)

    def server_major(self, store_kind: str) -> str:
        """What the program itself says. Raises SiteUnreachable when it is not there."""
        return self._ground.programs.major(store_kind)

    def environment(self, instance: str) -> Mapping[str, Secret] | None:
        """What the process of an instance was started with; None when it does not run or the system does not tell."""
        process = self._ground.supervisor.process(instance)
        return None if process is None or process.pid is None else status.environment(process.pid)


def public_words(instances: Table) -> set[str]:
    """What stands in clear in the journal anyway: names and settings of the last instances."""
    plain = [entry["instance"] for entry in instances.read().values()]
    return {word for one in plain for word in (one["name"], one["service"], *one["settings"].values())}
