"""What the build of an image is told: the arguments of the Compose file, and addresses that only the target knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.artifacts.containers import text_of
from towline.artifacts.host_services import Ground, value_of
from towline.core.secret import Secret

if TYPE_CHECKING:
    from towline.artifacts.host_bundle import Making
    from towline.spec.container import Build
    from towline.spec.model import Service


def arguments_of(making: Making, service: Service, build: Build) -> dict[str, Secret]:
    """The build arguments by name. A secret is not among them unless the Compose file says so: an image remembers."""
    values = {name: one.reveal() for name, one in making.values.items()}
    ground = Ground(making.material, making.site)
    told = {
        one.name: Secret(text_of(value_of(ground, one), values))
        for one in making.material.variables_of(service.name)
        if one.build and not one.secret
    }
    return {**build.args, **told}
