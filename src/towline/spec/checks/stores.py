"""Stores: what they are, and whether what uses them agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Finding, Where
from towline.spec.addresses import purpose
from towline.spec.detect import eviction_policy, image_name, is_stateful, store_kind
from towline.spec.nearest import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.spec.checks.view import View
    from towline.spec.model import Store

_WHY = "a cache drops keys when memory is short, a queue must drop none"


def check(view: View) -> Iterator[Finding]:
    """Every store that is not what it is said to be, and every redis that has to be two things."""
    for store in view.app.stores:
        if _sure(view, store, "kind", "service"):
            mistaken = list(_kind(view, store))
            yield from mistaken or _fields(view, store)
            yield from _eviction(view, store)
    yield from _two_uses(view)
    yield from _shared_service(view)


def _sure(view: View, store: Store, *keys: str) -> bool:
    """Whether these fields of a store were read as they were meant."""
    return all(view.read.stands("stores", store.name, key) for key in keys)


def _kind(view: View, store: Store) -> Iterator[Finding]:
    entry = view.store_entry(store.name)
    container = view.compose.container(store.service) if store.service else None
    told = store_kind(container) if container else None
    where = view.at("stores", store.name, "kind")
    if entry.kind is None and told is None:
        sentence = f"Nothing tells what kind of store `{store.name}` is"
        hint = f"stores: {{{store.name}: {{kind: postgres}}}}"
        yield Finding("store-kind-missing", sentence, view.at("stores", store.name), hint)
    elif container and entry.kind and (told or is_stateful(container)) and entry.kind != told:
        sentence = f"`{store.name}` is said to be {entry.kind}, but its image is `{image_name(container.image)}`"
        hint = f"write `kind: {told}`" if told else f"make `{container.name}` a service of kind `stateful`"
        yield Finding("store-kind-differs", sentence, where, hint)


def _fields(view: View, store: Store) -> Iterator[Finding]:
    entry = view.store_entry(store.name)
    for field, written, kind in (("use", entry.use, "redis"), ("public", entry.public, "bucket")):
        if written and store.kind != kind and _sure(view, store, field):
            sentence = f"`{field}` is for a store of kind `{kind}`; `{store.name}` is {store.kind}"
            yield Finding("field-of-other-kind", sentence, view.at("stores", store.name, field), "drop this line")


def _eviction(view: View, store: Store) -> Iterator[Finding]:
    container = view.compose.container(store.service) if store.service else None
    policy = eviction_policy(container) if container else None
    if container and policy and view.store_entry(store.name).use == "queue":
        sentence = f"`{store.name}` is a queue, but the Compose file runs it with `{policy}`: jobs would be dropped"
        where = view.compose.where("services", container.name, "command")
        yield Finding("queue-evicts", sentence, where, "write `--maxmemory-policy noeviction`, or `use: cache`")


def _uses(view: View, store: str) -> tuple[list[str], list[str]]:
    """The variables bound to a store whose names say queue, and those whose names say cache."""
    bound = sorted({binding.variable for binding in view.app.bindings if binding.of == store})
    return [one for one in bound if purpose(one) == "queue"], [one for one in bound if purpose(one) == "cache"]


def _two_uses(view: View) -> Iterator[Finding]:
    for store in view.app.stores:
        queue, cache = _uses(view, store.name) if store.kind == "redis" else ([], [])
        hint = f"stores: {{{store.name}: {{use: queue}}, cache: {{kind: redis, use: cache}}}}, and bind each to its own"
        if queue and cache:
            sentence = (
                f"`{store.name}` would be queue ({listed(queue, 'and')}) and cache ({listed(cache, 'and')}) at once"
            )
            where = view.at("stores", store.name) if store.name in view.page.stores else _first(view, store.name)
            yield Finding("redis-two-uses", f"{sentence}: {_WHY}", where, hint)
        elif queue and view.store_entry(store.name).use == "cache":
            sentence = f"`{store.name}` is a cache, but {listed(queue, 'and')} says that jobs are in it: {_WHY}"
            yield Finding("redis-two-uses", sentence, view.at("stores", store.name, "use"), hint)


def _first(view: View, store: str) -> Where:
    binding = next(binding for binding in view.app.bindings if binding.of == store)
    return Where(view.read.source.place, binding.line)


def _shared_service(view: View) -> Iterator[Finding]:
    """Two stores of the page that are one server in the Compose file."""
    first: dict[str, Store] = {}
    for store in view.app.stores:
        earlier = first.setdefault(store.service, store) if store.service else store
        if earlier is store:
            continue
        where = view.at("stores", store.name)
        if {earlier.use, store.use} == {"queue", "cache"}:
            sentence = (
                f"`{earlier.name}` and `{store.name}` are one redis in the Compose file, `{store.service}`: {_WHY}"
            )
            hint = "give the cache a service of its own in the Compose file"
            yield Finding("redis-two-uses", sentence, where, hint)
        else:
            sentence = f"`{earlier.name}` and `{store.name}` are both `{store.service}` of the Compose file"
            yield Finding("store-twice", sentence, where, "drop one of them")
