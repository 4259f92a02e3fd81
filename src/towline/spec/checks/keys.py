"""Keys of the Compose file that do nothing on a server, or ask for what no container there gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Finding
from towline.spec.checks.view import warning
from towline.spec.nearest import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.spec.checks.view import View
    from towline.spec.container import Container


def check(view: View) -> Iterator[Finding]:
    """One finding for each thing that cannot be, and one for all that a service does without."""
    hosts = {site.name for site in view.target.sites if site.kind == "host"}
    for service in view.app.services:
        container = view.compose.container(service.name)
        if container is not None and service.kind != "static" and hosts & set(view.target.place.get(service.name, ())):
            yield from _of_service(view, container)


def _of_service(view: View, container: Container) -> Iterator[Finding]:
    name = container.name
    for one in container.refused:
        key = one.partition(".")[0]
        sentence = f"`{one}` of `{name}` reaches beyond its container: no service on a server gets that"
        hint = (
            f"compose: [compose.yaml, server.yaml], with `{key}: !reset null` for `{name}` in server.yaml, "
            f"or leave the service out: services: {{{name}: {{omit: true}}}}"
        )
        yield Finding("key-refused", sentence, view.compose.where("services", name, key), hint)
    if container.left_out:
        does = "does" if len(container.left_out) == 1 else "do"
        sentence = f"{listed(container.left_out, 'and')} of `{name}` {does} nothing on a server"
        path = container.left_out[0].partition(":")[0].split(".")
        yield warning("key-left-out", sentence, view.compose.where("services", name, *path), None)
