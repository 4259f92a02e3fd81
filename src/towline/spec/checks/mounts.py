"""What services mount of the author's machine: whether a server can have it, and what becomes of it there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Finding
from towline.spec.bound import bound_of
from towline.spec.checks.view import warning
from towline.spec.nearest import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.core.errors import Where
    from towline.spec.bound import Bound
    from towline.spec.checks.view import View

_AT_FIRST_START = "/docker-entrypoint-initdb.d"
"""Where images of databases look for what fills them."""


def check(view: View) -> Iterator[Finding]:
    """Every mount of a service on a server that cannot be, or is something else there."""
    hosts = {site.name for site in view.target.sites if site.kind == "host"}
    for service in view.app.services:
        container = view.compose.container(service.name)
        on_host = hosts & set(view.target.place.get(service.name, ()))
        # Of a static service only the files count, and not what its own server is told.
        if container is not None and on_host and service.kind != "static" and view.sure(service.name, "volumes"):
            where = view.compose.where("services", service.name, "volumes")
            for one in bound_of(container, view.ground_of(service.name), view.app.root):
                yield from _of_service(service.name, one, where)
    for store in view.app.stores:
        if store.service is not None and hosts & set(view.target.place.get(store.name, ())):
            yield from _of_store(view, store.name, store.service)


def _of_service(name: str, one: Bound, where: Where) -> Iterator[Finding]:
    out = f"or leave the service out: services: {{{name}: {{omit: true}}}}"
    match one.fate:
        case "socket":
            sentence = f"`{name}` mounts `{one.shown}`, which is no file: whoever has Docker's socket owns the server"
            hint = f"let it do without, {out}"
            yield Finding("mount-socket", sentence, where, hint)
        case "outside":
            sentence = f"`{name}` mounts `{one.shown}`, which lies outside of the project: a server does not have it"
            hint = f"copy it into the project, keep it in a volume with a name, {out}"
            yield Finding("mount-outside", sentence, where, hint)
        case "missing":
            sentence = f"`{name}` mounts `{one.shown}`, and there is nothing of that name in the project"
            yield Finding("mount-missing", sentence, where, f"ls -l {one.shown}")
        case "volume":
            sentence = (
                f"`{name}` writes to `{one.shown}`: on a server that is the volume `{one.volume}`, empty at first"
            )
            yield warning("mount-volume", sentence, where, f'volumes: ["{one.volume}:{one.target}"]')
        case "copy" if one.folder and not one.read_only:
            sentence = f"`{name}` may write to `{one.shown}` under Compose; a server has a copy of it, to be read only"
            hint = f'"./{one.shown}:{one.target}:ro", or a volume with a name for what it writes'
            yield warning("mount-read-only", sentence, where, hint)


def _of_store(view: View, name: str, service: str) -> Iterator[Finding]:
    container = view.compose.container(service)
    mounts = container.mounts if container is not None else ()
    filled = [one.target for one in mounts if one.kind == "bind" and one.target.startswith(_AT_FIRST_START)]
    if filled:
        sentence = f"Nothing runs {listed(filled, 'and')} on a server: `{name}` is a store there, empty at first"
        hint = "let the release command or the seed fill it: release: {run: ...}, seed: {run: ...}"
        yield warning("mount-of-store", sentence, view.compose.where("services", service, "volumes"), hint)
