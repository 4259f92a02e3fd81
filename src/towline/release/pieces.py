"""What each site has to do for a deploy, in pieces that the builder orders."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from towline.artifacts.model import SiteBundle
from towline.release import migrate as migrations
from towline.release.names import entrance, replaces
from towline.release.order import levels
from towline.release.swap import Swap, farewell, handed_over, lives, moved_away, stopped, swap, swap_door, swap_server
from towline.steps.kinds import ConfigureDoor, WaitReady
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from towline.artifacts.model import Bundle, StoreArtifact
    from towline.steps.kinds import AnyStep, RunTask
    from towline.steps.model import Facts, InstanceFact

    Steps = tuple[AnyStep, ...]


@dataclass(frozen=True)
class Pieces:
    """One site's part of a plan. `swaps` are of its services; `gone` stops the stores that nobody wants any more.

    `notes` are what a person should know. `number` is that of the release.
    """

    wanted: SiteBundle
    facts: Facts
    swaps: Mapping[str, Swap]
    stores: tuple[Swap, ...]
    door: Swap
    gone: Steps
    notes: tuple[str, ...]
    number: int = 1

    def ending(self, first_to_start: tuple[str, ...]) -> tuple[Swap, ...]:
        """The swaps in the order in which they end: whoever others wait for ends last, an old front door after all."""
        unknown = sorted(self.swaps.keys() - set(first_to_start))
        services = (self.swaps[name] for name in (*unknown, *reversed(first_to_start)) if name in self.swaps)
        return (*services, self.door)

    def inits(self) -> Steps:
        """Make the places of the data that is not there yet."""
        there = {fact.name for fact in self.facts.stores if fact.major is not None}
        inits = sorted((store.init for store in self.wanted.stores), key=lambda one: one.store)
        return tuple(init for init in inits if init.store not in there)

    def servers(self, *, beside: bool) -> Steps:
        """Start the stores and a door that does not run, and wait for them; with `beside` the slow ones later."""
        steps = joined((*(one.come_back for one in self.stores), self.door_first()))
        later = self.slow_waits() if beside else ()
        return tuple(step for step in steps if step not in later)

    def slow_waits(self) -> Steps:
        """The waits for stores that hold requests until they are ready: others may start meanwhile."""
        slow = {store.server.name for store in self.wanted.stores if store.holds_requests}
        steps = (step for one in self.stores for step in one.come_back)
        return tuple(step for step in steps if isinstance(step, WaitReady) and step.name in slow)

    def prepares(self) -> Steps:
        """Make what must exist in stores that are new or whose settings changed."""
        new = {init.store for init in self.inits() if init.kind == "init-store"}
        wanted = (store.prepare for store in self.wanted.stores)
        prepares = sorted((one for one in wanted if one is not None), key=lambda one: one.store)
        made = self.facts.tasks
        return tuple(
            one for one in prepares if one.store in new or made.get(f"prepare:{one.store}") != digest_of(one.settings)
        )

    def setups(self, *, anything: bool) -> Steps:
        """The tasks of the services, those first that others wait for; see `due`."""
        by_name = {service.name: service for service in self.wanted.services}
        waits = {name: frozenset(one.after) & by_name.keys() for name, one in by_name.items()}
        return self._due((task for level in levels(waits) for name in level for task in by_name[name].tasks), anything)

    def release(self, *, anything: bool) -> Steps:
        """The release task, when it is due: on a database of the site it is more than a task."""
        migration, due = self.wanted.migration, self._release(anything)
        if migration is None or not migration.databases:
            return due
        return tuple(migrations.migrate(migration, task, self.facts, self.number) for task in due)

    def safety(self, *, anything: bool, early: bool) -> Steps:
        """What comes before a release task that is due: at once where its databases answer, else when they do."""
        migration, due = self.wanted.migration, self._release(anything)
        if migration is None or migrations.all_answer(migration, self.facts) != early:
            return ()
        return tuple(step for task in due for step in migrations.safety(migration, task, self.facts, self.number))

    def cautions(self) -> tuple[str, ...]:
        """What is left out of the safety of a release task that is due."""
        migration = self.wanted.migration
        new = any(migrations.is_new(task, self.facts) for task in self._release(anything=False))
        return migration.notes if migration is not None and new else ()

    def seed(self) -> Steps:
        """The seed of a target that has none yet."""
        task = self.wanted.seed_task
        return () if task is None else self._due((task,), anything=False)

    def door_first(self) -> Steps:
        """Start a front door that does not run, side by side with the stores: it needs none of them."""
        return () if self.door.make_way else self.door.come_back

    def door_again(self) -> Steps:
        """Start a front door that had to make way, as soon after as can be, tell it its routes, lead names to it."""
        routes = self.wanted.routes
        told = routes is None or (routes == self.facts.door and not self.door.come_back)
        again = self.door.come_back if self.door.make_way else ()
        configured = () if told or routes is None else (ConfigureDoor(routes),)
        return (*again, *configured, *entrance(self.wanted, self.facts))

    def _release(self, anything: bool) -> tuple[RunTask, ...]:
        task = self.wanted.release_task
        return () if task is None else self._due((task,), anything)

    def _due(self, tasks: Iterable[RunTask], anything: bool) -> tuple[RunTask, ...]:
        """The tasks that have not run in this form; one without a marker goes with any other change."""
        last = self.facts.tasks
        return tuple(
            task for task in tasks if (anything if task.marker is None else last.get(task.name) != task.marker)
        )


def pieces(name: str, bundle: Bundle, all_facts: Mapping[str, Facts]) -> Pieces:
    """The pieces of one site; a site that the bundle does not have wants nothing."""
    facts = all_facts[name]
    wanted = next((part for part in bundle.sites if part.site == name), SiteBundle(name, (), (), None, None, None, {}))
    # What holds requests does so because it is slow to start: it starts first.
    in_order = sorted(wanted.stores, key=lambda one: (not one.holds_requests, one.server.name))
    stores = tuple(_store_swap(store, facts) for store in in_order)
    door = _door_swap(wanted, facts)
    swaps = _service_swaps(wanted, bundle, all_facts)
    gone = _gone_stores(wanted, facts)
    notes = [one.note for one in (*stores, door, *(swaps[service] for service in sorted(swaps))) if one.note]
    notes += replaces(wanted, facts)
    notes += [
        f"store `{store}` is no longer wanted: it is stopped, its data is kept"
        for store in sorted({fact.service for fact in gone})
    ]
    starting = {service for service, one in swaps.items() if one.start or one.come_back}
    notes += [wanted.image_notes[service] for service in sorted(wanted.image_notes.keys() & starting)]
    return Pieces(wanted, facts, swaps, stores, door, stopped(gone), tuple(notes))


def joined(parts: Iterable[Steps]) -> Steps:
    """All steps in one; starts come first, so that what starts does so side by side."""
    return tuple(sorted(chain.from_iterable(parts), key=lambda step: step.kind != "start-instance"))


def running_of(service: str, facts: Facts) -> tuple[InstanceFact, ...]:
    """The copies of a service, a store or the door that a site reports."""
    return tuple(fact for fact in facts.instances if fact.service == service)


def _store_swap(store: StoreArtifact, facts: Facts) -> Swap:
    name = store.server.service
    pause = f"store `{name}` restarts, since its version or settings changed: nothing reaches it for a moment"
    return swap_server(store.server, running_of(name, facts), pause)


def _door_swap(wanted: SiteBundle, facts: Facts) -> Swap:
    if wanted.door is None:
        return Swap()
    running, container = running_of(wanted.door.service, facts), wanted.door.container
    if wanted.machine_door is not None and any(lives(one) and one.name == one.service for one in running):
        # Made before a machine had a door of its own: it was named after nothing, and had the ports itself.
        waits = "it stops before the machine's own door opens, and nothing answers for a moment"
        return swap_server(wanted.door, running, f"the front door of an earlier version has ports 80 and 443: {waits}")
    if wanted.machine_door is not None and container is not None and not container.published:
        made = swap_door(wanted.door, running)
        return handed_over(made, wanted.door.service) if wanted.hands_over else made
    waits = "requests wait for it" if wanted.machine_door else "nothing answers for a moment"
    pause = f"the front door restarts, since its port, version or networks changed: {waits}"
    return swap_server(wanted.door, running, pause)


def _service_swaps(wanted: SiteBundle, bundle: Bundle, all_facts: Mapping[str, Facts]) -> dict[str, Swap]:
    facts, leaving = all_facts[wanted.site], _leaving(bundle, all_facts)
    here = {service.name: service for service in wanted.services}
    elsewhere = {service.name: service for part in bundle.sites for service in part.services if service.swap == "after"}
    others = {store.server.service for store in wanted.stores} | {fact.name for fact in facts.stores}
    if wanted.door is not None:
        others.add(wanted.door.service)
    known = {fact.service for fact in facts.instances} | {name for name, to in facts.upstreams.items() if to}
    # A store that nobody wants any more stops at the end: whoever used it has to have finished by then.
    hands_over = wanted.hands_over and not _gone_stores(wanted, facts)
    swaps = {}
    for name in sorted((known - others) | here.keys()):
        running, upstreams = running_of(name, facts), tuple(facts.upstreams.get(name, ()))
        if name in here:
            made = swap(here[name], running, upstreams, moves_in=name in leaving)
            swaps[name] = handed_over(made, name) if hands_over and here[name].swap == "beside" else made
        elif name in elsewhere:
            swaps[name] = moved_away(elsewhere[name], running, upstreams)
        else:
            swaps[name] = farewell(name, running, upstreams)
    return swaps


def _leaving(bundle: Bundle, all_facts: Mapping[str, Facts]) -> frozenset[str]:
    """The services that run on a site where they are no longer wanted."""
    wanted = {(part.site, service.name) for part in bundle.sites for service in part.services}
    running = {(site, fact.service) for site, facts in all_facts.items() for fact in facts.instances if lives(fact)}
    return frozenset(service for _, service in running - wanted)


def _gone_stores(wanted: SiteBundle, facts: Facts) -> tuple[InstanceFact, ...]:
    gone = {fact.name for fact in facts.stores} - {store.server.service for store in wanted.stores}
    running = (fact for name in sorted(gone) for fact in running_of(name, facts) if lives(fact))
    return tuple(sorted(running, key=lambda fact: fact.name))
