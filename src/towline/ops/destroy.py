"""Take a target away for good: what runs, its networks, its names and its journal; data only when it is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.core.errors import Refused
from towline.ops.deploy import observed
from towline.ops.recover import failed_step
from towline.ops.workspace import LEASE, owner
from towline.release import journal
from towline.release.destroy import holdings, named, plan_delete
from towline.release.down import plan_down
from towline.release.engine import run
from towline.release.lock import held

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.core.events import Listener
    from towline.ops.hosts import Hosts
    from towline.release.destroy import Holding
    from towline.release.lock import Hold
    from towline.steps.model import Facts, Plan


@dataclass(frozen=True)
class Doomed:
    """What a `destroy` takes away: what runs, by site, and the data that goes; `stays` is data that nobody named."""

    title: str
    running: Mapping[str, tuple[str, ...]]
    goes: tuple[Holding, ...]
    stays: tuple[Holding, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """What a person reads before typing the name."""
        return tuple(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"destroy {self.title}"
        for site, names in self.running.items():
            yield f"  on {site}: {', '.join(names) or 'nothing runs'}"
        yield "  with their networks, the names at the front door, the journal and every release to go back to"
        for one in self.goes:
            yield f"  DELETE the data of {one.name} on {one.site}"
        for one in self.stays:
            yield f"  the data of {one.name} on {one.site} stays"

    def as_json(self) -> dict[str, object]:
        """Plain data for `--json`."""
        return {
            "name": self.title,
            "running": {site: list(names) for site, names in self.running.items()},
            "deletes": [f"{one.site}/{one.name}" for one in self.goes],
            "keeps": [f"{one.site}/{one.name}" for one in self.stays],
        }


def title_of(hosts: Hosts) -> str:
    """The name that somebody types who means it: `shop/production`."""
    return f"{hosts.app.name}/{hosts.target.name}"


def what_would_go(hosts: Hosts, data: tuple[str, ...]) -> Doomed:
    """What is there, and what of its data would go; changes nothing. Raises UsageError for a name of no data."""
    seen = observed(hosts.sites)
    there = holdings(seen, journal.read(hosts.site, hosts.sites))
    goes = named(there, hosts.app.name, data)
    running = {site: tuple(sorted(one.name for one in facts.instances)) for site, facts in seen.items()}
    return Doomed(title_of(hosts), running, goes, tuple(one for one in there if one not in goes))


def destroy(hosts: Hosts, data: tuple[str, ...], listener: Listener) -> Doomed:
    """Do it, under the lock. Begun once it can be begun again: whatever is gone already is no matter."""
    doomed = what_would_go(hosts, data)
    with held(hosts.sites, owner(), LEASE) as hold:
        _carried_out(hosts, plan_down(hosts.app.name, hosts.target.name, observed(hosts.sites)), hold, listener)
        if doomed.goes:
            seen = observed(hosts.sites)
            _refuse_running(seen)
            _carried_out(hosts, plan_delete(hosts.app.name, hosts.target.name, seen, doomed.goes), hold, listener)
        for site, driver in hosts.live.items():
            driver.forget(hold.leases[site], tuple(one.name for one in doomed.goes if one.site == site))
    return doomed


def _refuse_running(seen: Mapping[str, Facts]) -> None:
    running = sorted(one.name for facts in seen.values() for one in facts.instances if one.state != "stopped")
    if running:
        raise Refused(
            f"data is deleted only when nothing runs; still there: {', '.join(running)}", hint="towline status"
        )


def _carried_out(hosts: Hosts, plan: Plan, hold: Hold, listener: Listener) -> None:
    outcome = run(plan, hosts.sites, hold, hosts.site, listener)
    if not outcome.ok:
        raise failed_step(outcome)
