"""Names on the page that nothing bears."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Finding
from towline.spec.detect import store_kind
from towline.spec.nearest import did_you_mean, listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.spec.checks.view import View


def check(view: View) -> Iterator[Finding]:
    """Every name that is neither a service nor a store where one is wanted."""
    yield from _entries(view)
    yield from _stores(view)
    yield from _mentions(view)
    yield from _places(view)
    yield from _clashes(view)


def _services(view: View) -> list[str]:
    return [service.name for service in view.app.services]


def _entries(view: View) -> Iterator[Finding]:
    """`services:` may name every service of the Compose file that is no store."""
    for name, entry in view.page.services.items():
        container = view.compose.container(name)
        if container is None:
            yield _unknown(view, name, ("services", name))
        elif name in view.layout.stores.values() and not entry.omit:
            kind = store_kind(container) or "store"
            sentence = f"`{name}` is a store ({kind}), not a service"
            yield Finding("store-as-service", sentence, view.at("services", name), "move its entry below `stores:`")


def _stores(view: View) -> Iterator[Finding]:
    for name, entry in view.page.stores.items():
        if entry.service is not None and view.compose.container(entry.service) is None:
            yield _unknown(view, entry.service, ("stores", name, "service"))


def _mentions(view: View) -> Iterator[Finding]:
    """Wherever the page speaks of a service that runs."""
    page = view.page
    named: list[tuple[str, tuple[str, ...]]] = [(name, ("bind", name)) for name in page.bind if name != "*"]
    named += [(name, ("services", owner, "after")) for owner, entry in page.services.items() for name in entry.after]
    if page.release is not None and page.release.in_service is not None:
        named.append((page.release.in_service, ("release", "in")))
    if page.seed is not None and page.seed.in_service is not None:
        named.append((page.seed.in_service, ("seed", "in")))
    if page.verify.job is not None and page.verify.job.service is not None:
        named.append((page.verify.job.service, ("verify", "job", "service")))
    for name, path in named:
        if name not in _services(view):
            yield _unknown(view, name, path)


def _unknown(view: View, name: str, path: tuple[str, ...]) -> Finding:
    known = _services(view) if path[0] not in {"services", "stores"} or path[-1] == "after" else _in_compose(view)
    where = view.at(*path)
    if name in view.layout.stores:
        sentence, hint = f"{shown(name)} is a store; a service is wanted here", f"one of {listed(known)}"
        if path[-1] == "after":
            hint = "leave it out: stores are always ready before services"
    elif name in view.layout.omitted:
        sentence = f"{shown(name)} is left out of the app (`omit: true`)"
        hint = "drop this line, or the `omit`"
    elif name in view.compose.profiled:
        sentence = f"{shown(name)} starts only with a profile in the Compose file, so it is no part of the app"
        hint = "remove its `profiles:`, or this line"
    else:
        sentence = f"There is no service {shown(name)}{did_you_mean(name, known)}"
        hint = f"one of {listed(known)}"
    return Finding("unknown-service", sentence, where, hint)


def _in_compose(view: View) -> list[str]:
    return [container.name for container in view.compose.containers]


def _places(view: View) -> Iterator[Finding]:
    for target, entry in view.page.targets.items():
        for name, sites in entry.place.items():
            where = view.at("targets", target, "place", name)
            if name != "*" and name not in view.names:
                sentence = f"There is no service or store {shown(name)}{did_you_mean(name, view.names)}"
                yield Finding("unknown-service", sentence, where, f"one of {listed(view.names)}")
            for site in sites:
                if site not in entry.sites and view.read.stands("targets", target, "sites"):
                    sentence = f"`{target}` has no site {shown(site)}{did_you_mean(site, entry.sites)}"
                    yield Finding(
                        "unknown-site", sentence, where, f"add it below `sites:`, or use {listed(entry.sites)}"
                    )


def _clashes(view: View) -> Iterator[Finding]:
    services = _services(view)
    for name in view.layout.stores:
        if name in services:
            sentence = f"`{name}` is both a store and a service: a reference to it has two meanings"
            yield Finding("name-twice", sentence, view.at("stores", name), "give the store another name")
    for name in services:
        if not name[0].isalnum():
            sentence = f"The service name {shown(name)} cannot be part of a host or a folder"
            yield Finding("bad-name", sentence, view.compose.where("services", name), "begin it with a letter")
