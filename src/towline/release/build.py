"""What should be, against what is: the plan of a deploy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from towline.core.errors import Defect
from towline.release import links
from towline.release.order import levels, needed_by, waits_of
from towline.release.pieces import joined, pieces
from towline.release.stages import Draft
from towline.steps.links import interface_of
from towline.steps.model import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from towline.artifacts.model import Bundle
    from towline.release.pieces import Pieces
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Facts


def build(bundle: Bundle, facts: Mapping[str, Facts]) -> Plan:
    """The plan that leads from the facts of all sites to the bundle; an empty one says that nothing is to change.

    A site of `facts` that the bundle does not have is cleared of services and stores; data stays. No traffic shifts
    before every new copy of every service is ready, except that an old copy of swap `after` makes way for the new one.
    """
    if missing := sorted({part.site for part in bundle.sites} - facts.keys()):
        raise Defect(f"no facts of {', '.join(missing)}")
    number = next_release(facts)
    sites = {name: replace(pieces(name, bundle, facts), number=number) for name in sorted(facts)}
    waits = waits_of(bundle)
    interface = interface_of(bundle.app, bundle.target)
    draft = _draft(sites, waits, interface, anything=False)
    if not draft.empty:
        draft = _draft(sites, waits, interface, anything=True)
    return Plan(
        app=bundle.app,
        target=bundle.target,
        release=number,
        intent="deploy",
        stages=draft.stages(),
        facts={name: facts[name].digest for name in sorted(facts)},
        notes=_notes(sites),
    )


def next_release(facts: Mapping[str, Facts]) -> int:
    """The number after the highest that any site has seen."""
    return 1 + max((one.begun for one in facts.values()), default=0)


def _notes(sites: Mapping[str, Pieces]) -> tuple[str, ...]:
    several = len(sites) > 1
    notes = [(name, note) for name, site in sites.items() for note in (*site.cautions(), *site.notes)]
    return tuple(f"on {name}: {note}" if several else note for name, note in notes)


def _draft(
    sites: Mapping[str, Pieces], waits: Mapping[str, frozenset[str]], interface: str, *, anything: bool
) -> Draft:
    """All stages; `anything` says that something changes, so that tasks without a marker are due."""

    def add(name: str, steps: Callable[[Pieces], tuple[AnyStep, ...]]) -> None:
        draft.add(name, {site: steps(piece) for site, piece in sites.items()})

    in_order = tuple(name for level in levels(waits) for name in level)
    draft = Draft()
    # Before anything changes: what cannot be had is found out while the old version serves.
    add("images", lambda site: site.wanted.images)
    add("back up and rehearse", lambda site: site.safety(anything=anything, early=True))
    links.join(draft, sites)
    add("data", lambda site: site.inits())
    add("stop changed stores", lambda site: joined(one.make_way for one in site.stores))
    beside = _starts_beside(sites, waits, anything=anything)
    add("servers", lambda site: site.servers(beside=beside))
    add("prepare", lambda site: site.prepares())
    add("setup", lambda site: site.setups(anything=anything))
    add("back up and rehearse", lambda site: site.safety(anything=anything, early=False))
    add("release", lambda site: site.release(anything=anything))
    add("seed", lambda site: site.seed())
    add("stop changed door", lambda site: site.door.make_way)
    add("door", lambda site: site.door_again())
    _new_copies(draft, sites, waits, beside=beside)
    add("shift", lambda site: joined(site.swaps[name].shift for name in sorted(site.swaps)))
    add("drain", lambda site: joined(one.drain for one in site.ending(in_order)))
    add("stop", lambda site: joined(one.stop for one in site.ending(in_order)))
    add("stop stores", lambda site: site.gone)
    links.leave(draft, sites, interface)
    if anything:
        add("clear away", lambda site: (site.wanted.clear_away,) if site.wanted.clear_away else ())
    return draft


def _starts_beside(sites: Mapping[str, Pieces], waits: Mapping[str, frozenset[str]], *, anything: bool) -> bool:
    """Whether the first services start while a store that holds requests still does: nothing before them uses it."""
    first = {name for level in levels(waits)[:1] for name in level}
    starts = any(site.swaps[name].start for site in sites.values() for name in first & site.swaps.keys())
    return starts and not any(
        site.prepares() or site.setups(anything=anything) or site.release(anything=anything) or site.seed()
        for site in sites.values()
    )


def _new_copies(
    draft: Draft, sites: Mapping[str, Pieces], waits: Mapping[str, frozenset[str]], *, beside: bool
) -> None:
    """Level by level; a copy that must make way does so as late as it can, when all that starts beside is ready.

    With `beside` the first level also waits for the slow stores, and before it waits for itself: a store that never
    gets ready is the one that is named.
    """
    starting = {name for site in sites.values() for name, one in site.swaps.items() if one.start}
    needed = needed_by(starting, waits)
    for number, level in enumerate(levels(waits)):
        _start(draft, sites, level, slow=beside and number == 0)
        _replace(draft, sites, [name for name in level if name in needed])
    for level in levels(waits):
        _replace(draft, sites, [name for name in level if name not in needed])


def _start(draft: Draft, sites: Mapping[str, Pieces], level: tuple[str, ...], *, slow: bool) -> None:
    some = [name for name in level if any(name in site.swaps and site.swaps[name].start for site in sites.values())]
    steps = {
        name: joined(
            (
                site.slow_waits() if slow else (),
                *(site.swaps[service].start for service in some if service in site.swaps),
            )
        )
        for name, site in sites.items()
    }
    draft.add(f"start {', '.join(some)}", steps)


def _replace(draft: Draft, sites: Mapping[str, Pieces], services: list[str]) -> None:
    """One service after the other, so that each pauses as briefly as it can; two stages, so that a resume never stops
    what has come back already."""
    for service in services:
        here = {name: site.swaps[service] for name, site in sites.items() if service in site.swaps}
        draft.add(f"stop {service}", {name: one.make_way for name, one in here.items()})
        draft.add(f"replace {service}", {name: one.come_back for name, one in here.items()})
