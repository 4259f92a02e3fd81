"""Services that keep data: whether their volume is where the image keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.errors import Finding
from towline.spec.checks.view import KIND
from towline.spec.data_images import data_folder
from towline.spec.detect import image_name
from towline.spec.nearest import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.spec.checks.view import View
    from towline.spec.model import Service


def check(view: View) -> Iterator[Finding]:
    """Every service whose volume stays empty, while its data would go with the container."""
    for service in view.app.services:
        if service.kind == "stateful" and not view.on_local(service.name) and view.sure(service.name, *KIND, "volumes"):
            yield from _outside(view, service)


def _outside(view: View, service: Service) -> Iterator[Finding]:
    container = view.compose.container(service.name)
    folder = data_folder(container) if container else None
    volumes = [one for one in container.mounts if one.kind == "volume" and one.source] if container else []
    if folder is None or not volumes or any(one.target == folder for one in volumes):
        return
    there = listed([one.target for one in volumes], "and")
    sentence = f"`{service.name}` has a volume at {there}, but {image_name(service.image)} keeps its data in `{folder}`"
    where = view.compose.where("services", service.name, "volumes")
    hint = f'volumes: ["{volumes[0].source}:{folder}"]'
    yield Finding("data-outside-volume", f"{sentence}: it would be gone with the container", where, hint)
