"""The names of a target on each machine: the steps that claim them, and why some cannot be had (pure)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from towline.core.errors import Finding, Findings, Where
from towline.steps.door import ANY_NAME, LONGEST_NAME, ClaimNames, LeadNames, PublicNames

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.artifacts.model import Bundle, SiteBundle
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Facts

_USABLE: Final = re.compile(rf"{ANY_NAME}|[\w-]+(\.[\w-]+)*|[0-9a-f:.]+", re.ASCII)
"""What stands in a request as its host: a name, or an address."""

CODES: dict[str, tuple[str, str]] = {
    "name-taken": ("error", "Another app, or another target of this one, has this name on the same machine."),
    "name-unusable": ("error", "A name is none that a browser could ask for: it has a scheme, a port or a blank."),
    "name-too-long": ("error", f"A name is longer than the {LONGEST_NAME} characters that fit a socket's address."),
    "certificates-differ": ("error", "All names with https on one machine get their certificates in one way."),
}
"""Every finding about the names of a target: its level and what it means."""


def entrance(wanted: SiteBundle, facts: Facts) -> tuple[AnyStep, ...]:
    """Lead to the front door, have exactly the wanted names, then see that the machine's door is open.

    In this order: a door closes with the last name, so that nobody closes the one that is about to be used.
    """
    door = wanted.door.revision if wanted.door is not None and wanted.machine_door is not None else facts.led_to
    lead = (LeadNames(door),) if door is not None and door != facts.led_to else ()
    names = wanted.names or PublicNames()
    claim = (ClaimNames(names),) if names != facts.names else ()
    opens = wanted.machine_door
    opened = () if opens is None or opens.is_met(facts.machine_door) else (opens,)
    return (*lead, *claim, *opened)


def replaces(wanted: SiteBundle, facts: Facts) -> tuple[str, ...]:
    """What a person should know of a door of the machine that is replaced."""
    opens, there = wanted.machine_door, facts.machine_door
    if opens is None or there is None or opens.is_met(there):
        return ()
    done = "no connection is refused, open requests are finished, WebSockets end"
    return (f"the door of the machine is replaced by a newer one, for all apps there: {done}",)


def refuse_taken(bundle: Bundle, facts: Mapping[str, Facts]) -> None:
    """Raises Findings for every name that cannot be had."""
    if found := objections(bundle, facts):
        raise Findings(found)


def objections(bundle: Bundle, facts: Mapping[str, Facts]) -> tuple[Finding, ...]:
    """Every name that cannot be had, each with a way out."""
    return tuple(
        finding for part in bundle.sites if part.site in facts for finding in _of_site(bundle, part, facts[part.site])
    )


def _of_site(bundle: Bundle, part: SiteBundle, facts: Facts) -> Iterator[Finding]:
    names, opens = part.names or PublicNames(), part.machine_door
    where = Where(f"towline.yaml: targets.{bundle.target}.sites.{part.site}")
    owners = {one.name: one.owner for one in facts.taken}
    for name in names.all:
        if name in owners:
            yield _taken(name, owners[name], where, bundle)
        if not _USABLE.fullmatch(name):
            hint = f"towline secrets set PUBLIC_HOST -t {bundle.target}   (the name alone: shop.example)"
            yield Finding("name-unusable", f"`{name}` is no name that a browser could ask for", where, hint)
        if len(name) > LONGEST_NAME:
            yield Finding("name-too-long", f"{name} has {len(name)} characters", where, "domain: a shorter one")
    others = sorted({one.owner for one in facts.taken if one.secure})
    there = facts.machine_door
    if opens is None or there is None or not opens.strict or opens.certificates == there.certificates or not others:
        return
    sentence = (
        f"the certificates of this machine are {_kind(there.certificates)}, for {', '.join(others)}; "
        f"{bundle.app} on {bundle.target} wants them {_kind(opens.certificates)}"
    )
    hint = "certificates: internal" if there.certificates == "internal" else "leave out `certificates: internal`"
    yield Finding("certificates-differ", sentence, where, hint)


def _taken(name: str, owner: str, where: Where, bundle: Bundle) -> Finding:
    if name == ANY_NAME:
        sentence = f"{owner} answers already to every name of this machine that nobody has"
        hint = f"towline secrets set PUBLIC_HOST -t {bundle.target}, or a `domain:` for the site"
        return Finding("name-taken", sentence, where, hint)
    return Finding("name-taken", f"{owner} has the name {name} on this machine already", where, "domain: another one")


def _kind(certificates: str | None) -> str:
    return "of its own authority" if certificates == "internal" else "public ones"
