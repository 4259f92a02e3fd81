"""Variables and the addresses in them: what is bound to what, and what should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Finding
from towline.spec.addresses import Address, addresses, asked_attribute, beside
from towline.spec.checks.view import KIND, warning
from towline.spec.nearest import did_you_mean, listed, nearest, shown
from towline.spec.resolve import RUNS_CODE, references

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.core.errors import Where
    from towline.spec.checks.view import View
    from towline.spec.model import Service

_PUBLIC = frozenset({"public_url", "public_endpoint", "bucket", "region"})
"""What of a store may stand in files that every browser loads."""


def check(view: View) -> Iterator[Finding]:
    """Every binding to nothing, every secret bound into files, every address that only Compose's network knows."""
    for owner, variables in view.page.bind.items():
        for variable, reference in variables.items():
            yield from _reference(view, owner, variable, reference)
    yield from _unbound(view)
    for service in view.app.services:
        yield from _half_bound(view, service)


def _reference(view: View, owner: str, variable: str, reference: str) -> Iterator[Finding]:
    of, _, attribute = reference.rpartition(".")
    where = view.at("bind", owner, variable)
    offered = references(view.app.services, view.app.stores)
    kind_is_told = all(view.read.stands("stores", of, key) for key in ("kind", "service")) and view.sure(of, *KIND)
    if of not in offered:
        if not view.read.stands("stores", of):
            return
        sentence = f"`{variable}` is bound to {shown(of)}, which is no store and no service{did_you_mean(of, offered)}"
        yield Finding("unknown-reference", sentence, where, f"one of {listed(offered)}")
    elif not kind_is_told:
        return
    elif attribute not in offered[of]:
        yield _no_attribute(of, attribute, offered[of], where)
    elif any(service.name == owner and service.kind == "static" for service in view.app.services):
        yield from _into_files(view, owner, of, attribute, where)
    elif attribute == "public_url" and any(one.name == of and one.public is None for one in view.app.stores):
        sentence = f"`{of}` is not public: nobody can load its objects from `{attribute}`"
        yield warning("bucket-not-public", sentence, where, f"stores: {{{of}: {{public: true}}}}")


def _no_attribute(of: str, attribute: str, known: tuple[str, ...], where: Where) -> Finding:
    if not known:
        sentence = f"`{of}` listens nowhere: there is nothing of it that can be bound"
        return Finding("unknown-attribute", sentence, where, "bind a store, or a service that takes requests")
    sentence = f"`{of}` has no {shown(attribute)}{did_you_mean(attribute, known)}"
    return Finding("unknown-attribute", sentence, where, f"one of {listed(f'{of}.{one}' for one in known)}")


def _into_files(view: View, owner: str, of: str, attribute: str, where: Where) -> Iterator[Finding]:
    if any(store.name == of for store in view.app.stores) and attribute not in _PUBLIC:
        sentence = f"`{owner}` is static: `{of}.{attribute}` would be built into files that everybody can load"
        open_to_all = [one for one in references((), view.app.stores)[of] if one in _PUBLIC]
        either = f"bind {listed(f'{of}.{one}' for one in open_to_all)}, or " if open_to_all else ""
        hint = f"{either}ask through a service that runs"
        yield Finding("static-secret", sentence, where, hint)


def _unbound(view: View) -> Iterator[Finding]:
    """Addresses of Compose's own network, each told once for all services that share its line."""
    told: dict[tuple[Address, str, Where], list[str]] = {}
    for service in view.app.services:
        for address in _unbound_of(view, service):
            where, hint = (
                view.compose.where_variable(service.name, address.variable),
                _binding_for(view, service, address),
            )
            told.setdefault((address, hint, where), []).append(service.name)
    for (address, hint, where), names in told.items():
        yield _unbound_finding(address, listed(names, "and"), where, hint)


def _unbound_of(view: View, service: Service) -> Iterator[Address]:
    """An address of Compose's own network means nothing where the app has left that network."""
    if service.kind not in RUNS_CODE | {"static"}:
        return
    bound = {binding.variable for binding in view.app.bindings_of(service.name)}
    shared = view.page.bind.get("*", {}) if service.kind in RUNS_CODE else {}
    bound |= {*shared, *view.page.bind.get(service.name, {}), *_meant_for(view, service)}
    environment = {**service.environment, **service.build_environment}
    for address in addresses(environment, view.compose):
        asked = ("*", service.name)
        refused = not all(view.read.stands("bind", owner, address.variable) for owner in asked)
        known = address.variable in bound or refused or _about_itself(address, service)
        if not known and not _found_by_name(view, service, address):
            yield address


def _found_by_name(view: View, service: Service, address: Address) -> bool:
    """On one host a service that keeps data of its own answers to the name that it has in the Compose file."""
    other = next((one for one in view.app.services if one.name == address.of), None)
    if other is None or other.kind != "stateful" or address.by != "name":
        return False
    hosts = {site.name for site in view.target.sites if site.kind == "host"}
    places = {*view.target.place.get(service.name, ()), *view.target.place.get(other.name, ())}
    return len(places) == 1 and places <= hosts


def _meant_for(view: View, service: Service) -> Iterator[str]:
    """The variables that are bound under a name that is nobody's, and most likely this service's."""
    names = [one.name for one in view.app.services]
    for owner, variables in view.page.bind.items():
        if owner != "*" and owner not in names and nearest(owner, names) == service.name:
            yield from variables


def _half_bound(view: View, service: Service) -> Iterator[Finding]:
    """A host that is bound, while port, user or password beside it are still those of Compose."""
    bound = {binding.variable for binding in view.app.bindings_of(service.name)}
    kinds = {store.name: store.kind for store in view.app.stores}
    for binding in view.app.bindings_of(service.name):
        asked = beside(binding.variable, kinds.get(binding.of, "")) if binding.attribute == "host" else {}
        for variable, attribute in asked.items():
            if variable in service.environment and variable not in bound:
                sentence = (
                    f"`{binding.variable}` of `{service.name}` is bound to `{binding.of}`, but `{variable}` is not"
                )
                where = view.compose.where_variable(service.name, variable)
                hint = f'bind: {{"*": {{{variable}: {binding.of}.{attribute}}}}}'
                yield Finding("half-bound", f"{sentence}: it is still that of Compose", where, hint)


def _about_itself(address: Address, service: Service) -> bool:
    return address.of == service.name and address.by == "name"


def _unbound_finding(address: Address, services: str, where: Where, hint: str) -> Finding:
    if address.by == "localhost":
        sentence = f"`{address.variable}` of {services} holds the port that `{address.of}` publishes under Compose"
        return warning("published-address", f"{sentence}; it has another address here", where, hint)
    sentence = f"`{address.variable}` of {services} holds an address that only Compose's network knows"
    return Finding("unbound-address", f"{sentence}: that of `{address.of}`", where, hint)


def _binding_for(view: View, service: Service, address: Address) -> str:
    store = next((store for store in view.app.stores if store.service == address.of), None)
    target = next((other for other in view.app.services if other.name == address.of), None)
    if store is None and target is None:
        return f"`{address.of}` is left out: bind `{address.variable}` to what takes its place"
    if target is not None and target.kind in {"worker", "task"}:
        return f"`{address.of}` is a {target.kind}, which nobody can call: give it `expose:` in the Compose file"
    name, kind = (store.name, store.kind) if store else (address.of, target.kind if target else "web")
    reference = f"{name}.{asked_attribute(address.variable, kind, by=address.by)}"
    owner = '"*"' if store and service.kind in RUNS_CODE else service.name
    return f"bind: {{{owner}: {{{address.variable}: {reference}}}}}"
