"""A static service on a host whose files lie in the project: a folder, and the program that gives it out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from towline.artifacts.front_door import container_port
from towline.core.secret import Secret
from towline.spec.bound import Bound

if TYPE_CHECKING:
    from pathlib import Path

    from towline.artifacts.containers import HostContainer, HostLayout, Text
    from towline.artifacts.rendered import Material
    from towline.spec.model import Service
    from towline.spec.stack import Stack

SETTINGS = "/etc/caddy/Caddyfile"
_ROOT = "/srv"


def files_of(service: Service, stack: Stack | None) -> Path | None:
    """The folder that is given out as it is; None where something builds it, or its own Dockerfile says how."""
    if (
        service.kind != "static"
        or service.output is None
        or service.build is not None
        or service.dockerfile is not None
    ):
        return None
    if stack is not None and stack.language == "node":
        return None
    folder = service.folder / service.output
    return folder if folder.is_dir() else None


def bound_of(folder: Path, root: Path) -> Bound:
    """The folder as what a service mounts."""
    shown = folder.resolve().relative_to(root.resolve()).as_posix() if folder.resolve().is_relative_to(root) else ""
    return Bound(folder, _ROOT, "copy" if shown else "outside", shown or str(folder), read_only=True)


def given_out(found: HostLayout, material: Material, image: Text) -> HostLayout:
    """The layout in which static services with a folder of the project need no image of their own, but only `image`."""
    made = tuple(_served(one, image) if is_given_out(material, one.name) else one for one in found.containers)
    return replace(found, containers=made)


def is_given_out(material: Material, name: str) -> bool:
    """Whether it is a static service whose files lie in the project."""
    service = next((one for one in material.app.services if one.name == name), None)
    return service is not None and files_of(service, material.stacks.get(name)) is not None


def settings_of(material: Material, service: Service) -> Secret:
    """What the server of the files is told: a path that is no file belongs to the page, which draws that itself."""
    port = container_port(service, material.containers.get(service.name))
    return Secret(
        "{\n\tadmin off\n\tauto_https off\n}\n"
        f":{port} {{\n\troot * {_ROOT}\n"
        # Names of built files change with their content; the page that names them does not, and is asked for anew.
        "\t@page path_regexp (\\.html|/[^/.]*)$\n\theader @page ?Cache-Control no-cache\n"
        "\ttry_files {path} {path}/index.html /index.html\n\tfile_server\n}\n"
    )


def _served(one: HostContainer, image: Text) -> HostContainer:
    return replace(
        one,
        image=image,
        command=(("caddy",), ("run",), ("--config",), (SETTINGS,)),
        entrypoint=None,
        environment={},
        working_dir=None,
        user=None,
        tmpfs=("/tmp", "/config", "/data"),  # noqa: S108 - inside the container
        # What its program may do by its file has to be allowed, or it does not start.
        capabilities=("NET_BIND_SERVICE",),
        attached=(),
        health=None,
    )
