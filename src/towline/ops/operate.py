"""What is done to a release that runs: more or fewer copies of it, the same ones anew. The files are not deployed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.artifacts.host_bundle import swap_of
from towline.artifacts.host_door import SLOTS
from towline.artifacts.host_layout import DOOR
from towline.artifacts.model import Bundle
from towline.core.errors import Finding, Findings, UsageError
from towline.core.files import write_atomic
from towline.ops.deploy import Prepared, observed
from towline.release import journal
from towline.release.copies import Subject, Wish, plan_copies, plan_restart_of_servers, started
from towline.spec.edit import with_scale
from towline.spec.nearest import did_you_mean
from towline.spec.read import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from towline.ops.hosts import Hosts
    from towline.release.copies import Made
    from towline.spec.model import Service
    from towline.steps.model import Facts, Plan

CODES: dict[str, tuple[str, str]] = {
    "scale-what": ("error", "`scale` names something of which no copies run: a store, a task, nothing at all."),
    "scale-least": ("error", "Fewer copies than one on each site of the service."),
    "scale-alone": ("error", "A service that is `single`, or keeps data of its own, has one copy."),
    "scale-most": ("error", "More copies than the front door of a host has room for."),
}
"""What is found about `scale`, with its level and its meaning; printed as part of the reference."""

MOST = 200
"""Copies of one service, the same as `scale` of the page may say."""


@dataclass(frozen=True)
class Asked:
    """A service, and how many copies of it somebody asks for."""

    service: str
    copies: int


def asked_in(words: list[str]) -> tuple[Asked, ...]:
    """`api=3` and others. Raises UsageError for a word that is none, or a service named twice."""
    found: dict[str, Asked] = {}
    for word in words:
        name, equals, number = word.partition("=")
        if not (name and equals and number.isascii() and number.isdigit()):
            raise UsageError(f"`{word}` is no SERVICE=NUMBER", hint="write for example api=3")
        if name in found:
            raise UsageError(f"`{name}` is named twice", hint=f"towline scale TARGET {name}={number}")
        found[name] = Asked(name, int(number))
    return tuple(found.values())


def prepare_scale(hosts: Hosts, asked: tuple[Asked, ...]) -> Prepared:
    """The plan that leads to so many copies of what runs now; changes nothing. Raises Findings for what cannot be."""
    findings = tuple(finding for one in asked for finding in _against(hosts, one))
    if findings:
        raise Findings(findings)
    seen = observed(hosts.sites)
    wishes = [_wish(hosts, one) for one in asked]
    counts = ", ".join(_told(wish, seen) for wish in wishes)
    sentence = f"scaled: {counts}, until the next deploy, which goes by {PAGE}"
    subject = Subject(hosts.app.name, hosts.target.name, "scale", sentence)
    return _prepared(hosts, plan_copies(subject, wishes, seen, _started(hosts)), seen)


def prepare_restart(hosts: Hosts, names: tuple[str, ...]) -> Prepared:
    """The plan that replaces every copy by one that is made as it is; changes nothing.

    Without names it is every service; a store or the front door restarts only when it is named.
    """
    services = [one for one in hosts.app.services if one.kind != "task"]
    servers = [*(one.name for one in hosts.app.stores), DOOR]
    known = [*(one.name for one in services), *servers]
    for name in names:
        if name not in known:
            hint = f"towline status --target {hosts.target.name}"
            raise UsageError(f"there is no service or store `{name}`{did_you_mean(name, known)}", hint=hint)
    seen, made = observed(hosts.sites), _started(hosts)
    chosen = [one for one in services if one.name in names or not names]
    subject = Subject(hosts.app.name, hosts.target.name, "restart", f"restarted: {', '.join(names) or 'every service'}")
    if some := [name for name in names if name in servers]:
        if chosen:
            raise UsageError(
                f"`{some[0]}` is no service: its restart is a pause, which is asked for by itself",
                hint=f"towline restart {hosts.target.name} {some[0]}",
            )
        return _prepared(hosts, plan_restart_of_servers(subject, some, seen, made), seen)
    wishes = [_anew(one, seen) for one in chosen]
    return _prepared(hosts, plan_copies(subject, [one for one in wishes if one.copies or names], seen, made), seen)


def page_with(project: Path, asked: tuple[Asked, ...]) -> str:
    """The text of towline.yaml with these numbers. Raises Refused where no place for one can be told."""
    text = (project / PAGE).read_text(encoding="utf-8")
    for one in asked:
        text = with_scale(text, one.service, one.copies)
    return text


def keep_page(project: Path, text: str) -> None:
    """Write towline.yaml, wholly or not at all."""
    path = project / PAGE
    write_atomic(path, text, mode=path.stat().st_mode & 0o777)


def _against(hosts: Hosts, one: Asked) -> Iterator[Finding]:
    services = {service.name: service for service in hosts.app.services}
    service = services.get(one.service)
    where = hosts.target.place.get(one.service, ())
    if service is None or service.kind == "task":
        there = did_you_mean(one.service, services)
        yield Finding("scale-what", f"`{one.service}` is no service of which copies run{there}", None, "towline status")
    elif one.copies < max(1, len(where)):
        least = f"one on each of {', '.join(where)}" if len(where) > 1 else "one"
        hint = f"`towline destroy {hosts.target.name}` ends the app; `omit: true` in {PAGE} leaves a service out"
        yield Finding("scale-least", f"`{one.service}` has at least {least}", None, hint)
    elif one.copies > 1 and (why := _alone(service)):
        yield Finding("scale-alone", f"`{one.service}` runs once: {why}", None, f"towline scale TARGET {one.service}=1")
    elif _each(one.copies, len(where)) > (SLOTS if service.kind in ("web", "private", "static") else MOST):
        most = SLOTS if service.kind != "worker" else MOST
        hint = f"towline scale {hosts.target.name} {one.service}={most * len(where)}"
        yield Finding("scale-most", f"a host has room for {most} copies of `{one.service}`", None, hint)


def _alone(service: Service) -> str:
    if service.single:
        return "it is `single`"
    return "it keeps data of its own" if swap_of(service)[0] else ""


def _each(copies: int, sites: int) -> int:
    """Copies on each site, the same number on all: as a deploy spreads them."""
    return -(-copies // max(1, sites))


def _wish(hosts: Hosts, one: Asked) -> Wish:
    service = hosts.app.service(one.service)
    after, reason = swap_of(service)
    sites = hosts.target.place[one.service]
    return Wish(
        one.service, "after" if after else "beside", reason, {site: _each(one.copies, len(sites)) for site in sites}
    )


def _anew(service: Service, seen: Mapping[str, Facts]) -> Wish:
    """As many copies as there are."""
    after, reason = swap_of(service)
    copies = {
        site: count
        for site, facts in seen.items()
        if (count := sum(one.service == service.name and one.state != "stopped" for one in facts.instances))
    }
    return Wish(service.name, "after" if after else "beside", reason, copies, anew=True)


def _told(wish: Wish, seen: Mapping[str, Facts]) -> str:
    now = sum(
        one.service == wish.service and one.state == "ready" for facts in seen.values() for one in facts.instances
    )
    return f"{wish.service} from {now} to {sum(wish.copies.values())} copies"


def _started(hosts: Hosts) -> Made:
    return started(journal.read(hosts.site, hosts.sites))


def _prepared(hosts: Hosts, plan: Plan, seen: dict[str, Facts]) -> Prepared:
    """Nothing is to be stashed: what the copies need is on the hosts since they were deployed."""
    return Prepared(plan, seen, Bundle(hosts.app.name, hosts.target.name, ()), {})
