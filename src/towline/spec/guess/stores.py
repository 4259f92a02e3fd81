"""What holds data: kind, use and who may read, and the cache that must not be the queue."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.spec.detect import eviction_policy, image_major
from towline.spec.guess.bindings import purposes
from towline.spec.guess.images import short, without_version
from towline.spec.guess.model import Guess
from towline.spec.layout import lay_out
from towline.spec.page import Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from towline.spec.container import Container
    from towline.spec.guess.roles import Role
    from towline.spec.guess.scene import Scene
    from towline.spec.model import StoreKind

_QUEUE_LIBRARIES = re.compile(
    r"\b(?:celery|sidekiq|rq|rqworker|dramatiq|huey\w*|arq|taskiq|resque|horizon|queue:work|bull\w*)\b"
)
_QUEUE_PACKAGES = frozenset({"bullmq", "bull", "bee-queue", "@nestjs/bull", "@nestjs/bullmq", "agenda"})
_OPENED = re.compile(
    r"\banonymous\s+set\s+(?:download|public)\s+\S+?/([\w.-]+)(/\S*)?|\bpolicy\s+set\s+(?:download|public)\s+\S+?/([\w.-]+)(/\S*)?"
)


@dataclass(frozen=True)
class StoreGuess:
    """A store: its name on the page, its service in the Compose file. `cache` is the name of the second half of a
    redis that is queue and cache at once."""

    name: str
    service: str
    kind: StoreKind
    use: str | None = None
    why: str = ""
    cache: str | None = None
    into_cache: frozenset[str] = frozenset()

    def of(self, variable: str) -> str:
        """The store that a variable means."""
        return self.cache if self.cache and variable in self.into_cache else self.name


def store_guesses(scene: Scene, roles: Iterable[Role]) -> dict[str, StoreGuess]:
    """Every store by its service."""
    known = {role.name: role for role in roles}
    # A store that is built here is none to the layout as yet; on the page it stands with its kind.
    named = {role.name: _fit(role.name) for role in known.values() if role.store and role.container.build}
    named |= {service: name for name, service in lay_out(scene.compose, Page()).stores.items() if service}
    taken = {*named.values(), *known}
    found = {}
    for service, role in known.items():
        if role.kind == "store" and role.store is not None and service in named:
            use = _redis(scene, role.container, named[service], taken) if role.store == "redis" else None
            found[service] = use or StoreGuess(named[service], service, role.store)
    return found


def _fit(service: str) -> str:
    """A service's name as that of a store."""
    plain = re.sub(r"[^a-z0-9_-]", "-", service.lower()).strip("-")[:41] or "store"
    return plain if plain[0].isalpha() else f"store-{plain}"[:41]


def _redis(scene: Scene, container: Container, name: str, taken: set[str]) -> StoreGuess:
    policy = eviction_policy(container)
    asked = purposes(scene, container.name)
    queue = sorted(variable for variable, use in asked.items() if use == "queue")
    cache = sorted(variable for variable, use in asked.items() if use == "cache")
    held = {call.variable for call in scene.calls if call.of == container.name}
    only_cache = bool(cache) and held == set(cache)
    library = None if queue or only_cache else _library(scene, container.name)
    if (queue or library) and cache:
        other = _free(f"{name}-cache"[:41], taken)
        why = f"holds jobs, by {queue[0] if queue else library}; a queue must drop none"
        return StoreGuess(name, container.name, "redis", "queue", why, other, frozenset(cache))
    if queue or library:
        return StoreGuess(name, container.name, "redis", "queue", f"holds jobs, by {queue[0] if queue else library}")
    if policy:
        return StoreGuess(name, container.name, "redis", "cache", f"its command lets it evict ({policy})")
    if cache or "cache" in container.name.lower():
        told = cache[0] if cache else f"the name {container.name}"
        return StoreGuess(name, container.name, "redis", "cache", f"a cache, by {told}")
    keeps = "noeviction" in " ".join(container.command or ())
    why = "its command lets it drop nothing (noeviction)" if keeps else "nothing says; a queue drops nothing"
    return StoreGuess(name, container.name, "redis", "queue", why)


def _library(scene: Scene, redis: str) -> str | None:
    """The service that takes jobs from this redis, told by its command or by the packages that it installs."""
    for call in scene.calls:
        container = scene.compose.container(call.by)
        if call.of == redis and container is not None:
            known = scene.folder(call.by).packages & _QUEUE_PACKAGES
            if known:
                return f"{min(known)} of {call.by}"
            line = scene.line(container)
            if line.worker or _QUEUE_LIBRARIES.search(line.text):
                return f"the command of {call.by}"
    return None


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"{name[:39]}-2"
        if name in taken and name.endswith("-2-2"):
            name = f"store-{len(taken)}"
    taken.add(name)
    return name


def of_stores(scene: Scene, roles: Iterable[Role], stores: dict[str, StoreGuess]) -> Iterator[Guess]:
    """The lines below `stores:`."""
    known = {role.name: role for role in roles}
    for service, store in stores.items():
        role, at = known[service], ("stores", store.name)
        yield Guess((*at, "kind"), store.kind, role.reason, role.confidence)
        if store.name != service:
            yield Guess((*at, "service"), service, "its name in the Compose file", "sure")
        if store.kind == "redis" and store.use:
            yield Guess((*at, "use"), store.use, store.why, "unsure" if store.why.startswith("nothing") else "likely")
        if store.kind == "bucket":
            yield from _public(scene, store)
        if store.kind == "postgres":
            yield from _major(scene, role, store)
        if store.kind == "sqs":
            reason = "a laptop has no sqs: place it on a site of kind sqs, or use a redis with `use: queue`"
            yield Guess((*at, "place"), None, reason, "open")
        if store.cache:
            names = ", ".join(sorted(store.into_cache))
            yield Guess(
                ("stores", store.cache, "kind"), "redis", f"not in the Compose file: {names} used `{service}`", "likely"
            )
            yield Guess(("stores", store.cache, "use"), "cache", "a cache evicts, so it cannot be the queue", "likely")


def _major(scene: Scene, role: Role, store: StoreGuess) -> Iterator[Guess]:
    """The major version, where the page has to say it."""
    image = scene.below(role.container).image
    at, major = ("stores", store.name, "major"), image_major(image)
    if without_version(image):
        yield Guess(at, None, f"image {short(image)} names no major version; write the one of your data", "open")
    elif role.container.build is not None and major is not None:
        yield Guess(at, major, "that of the image it is built on", "likely")


def _public(scene: Scene, store: StoreGuess) -> Iterator[Guess]:
    for container in scene.containers:
        match = _OPENED.search(" ".join((*(container.entrypoint or ()), *(container.command or ()))))
        if match:
            prefix = (match[2] or match[4] or "").strip("/*;\"' ")
            good = re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", prefix)
            value: str | bool = f"{prefix}/" if good else True
            yield Guess(("stores", store.name, "public"), value, f"{container.name} opens it to everybody", "likely")
            return
    shown = [call for call in scene.calls if call.of == store.service and not call.reached]
    if shown:
        reason = f"{shown[0].variable} lets browsers load from it; write `true`, or the prefix that all may read"
        yield Guess(("stores", store.name, "public"), None, reason, "open")
