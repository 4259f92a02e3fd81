"""A Dockerfile for each service that is built here and has none."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from towline.artifacts.docker import node, python, static
from towline.artifacts.docker.gaps import gaps
from towline.artifacts.docker.health import healthcheck
from towline.artifacts.docker.ignore import ignored
from towline.artifacts.docker.place import Place, variables
from towline.artifacts.docker.start import Start, start_of
from towline.artifacts.docker.weights import weights_lines, weights_variables
from towline.artifacts.rendered import RenderedFile
from towline.core.errors import Findings
from towline.spec.stacks.known import DEFAULT_NODE, DEFAULT_PYTHON

if TYPE_CHECKING:
    from towline.artifacts.rendered import Material
    from towline.spec.model import Service

HOME = "/app"
PYTHON_USER = 10001
"""Of the group and user that a Python service runs as; Node's own image brings one with 1000."""


BUILDER = (
    "# Docker's BuildKit reads it: what Docker uses since 23, and 18.09 to 20.10 when DOCKER_BUILDKIT=1 says so.",
    "# A builder without BuildKit reads it once each `--mount=type=cache,...` is taken out.",
)


def files(material: Material) -> tuple[RenderedFile, ...]:
    """`dockerfiles/SERVICE.Dockerfile` and the list of what stays outside, for each service that needs one.

    Raises Findings with everything that stands in the way of one.
    """
    wanted = [service for service in material.app.services if needs_one(material, service)]
    found = tuple(gap for service in wanted for gap in gaps(material, service))
    if found:
        raise Findings(found)
    return tuple(file for service in wanted for file in _files(material, service))


def needs_one(material: Material, service: Service) -> bool:
    """Whether a service is built here, and no Dockerfile says how."""
    container = material.containers.get(service.name)
    inline = container is not None and container.build is not None and container.build.inline is not None
    return service.name in material.stacks and service.dockerfile is None and not inline


def files_at(material: Material) -> str:
    """The folder of the project in which the files are expected: where they are written to, unless that is outside."""
    return f"deploy/{material.target.name}" if material.folder.startswith("..") else material.folder


def _files(material: Material, service: Service) -> tuple[RenderedFile, ...]:
    stack = material.stacks[service.name]
    place = Place(service, stack, material.variables_of(service.name), context=stack.context, home=HOME)
    path = f"dockerfiles/{service.name}.Dockerfile"
    text = "\n".join((*_head(material, place, path), *_body(material, place))) + "\n"
    what = f"How the image of `{service.name}` is built."
    outside = f"What stays outside the image of `{service.name}`."
    return (
        RenderedFile(path, text, what),
        RenderedFile(f"{path}.dockerignore", ignored((place,), place.source(files_at(material))), outside),
    )


def _head(material: Material, place: Place, path: str) -> list[str]:
    folder, image = place.context or ".", f"{material.app.name}-{place.service.name}"
    rendered = posixpath.join(files_at(material), path)
    secrets = sorted({one.name for one in place.variables if one.build and one.secret})
    return [
        f"# The image of `{place.service.name}`, from the folder `{folder}`. In the project's folder:",
        f"#   docker build --file {rendered} --tag {image} {folder}",
        *BUILDER,
        f"# To pin what it starts from: --build-arg {_image_argument(place)}=...@sha256:...",
        *(f"# {name} is not passed to the build: an image remembers what it was built with." for name in secrets),
    ]


def _image_argument(place: Place) -> str:
    if place.service.kind == "static":
        return "CADDY_IMAGE"
    return "NODE_IMAGE" if place.stack.language == "node" else "PYTHON_IMAGE"


def _body(material: Material, place: Place) -> list[str]:
    if place.service.kind == "static":
        return [*static.arguments(place, place.stack.version or DEFAULT_NODE), "", *static.stages(place)]
    return _node(material, place) if place.stack.language == "node" else _python(material, place)


def _node(material: Material, place: Place) -> list[str]:
    alpine = not place.stack.glibc
    image = f"node:{place.stack.version or DEFAULT_NODE}-{'alpine' if alpine else 'slim'}"
    command = place.service.command
    start = start_of(command, place.stack) if command else Start(("node", "."), init=True)
    wanted = (*node.libraries(place, alpine=alpine), *(("tini",) if start.init else ()))
    return [
        f"ARG NODE_IMAGE={image}",
        "",
        *node.build_stages(place, alpine=alpine),
        "",
        *node.production_stage(place),
        "",
        "FROM ${NODE_IMAGE} AS run",
        f"WORKDIR {HOME}",
        *_tini(start),
        *node.system(wanted, alpine=alpine),
        *mounted(material, place.service, "1000:1000"),
        variables("NODE_ENV=production", f"PATH={node.programs(place)}:$PATH", *_listens(place)),
        *node.run_lines(place),
        *_start_folder(place),
        "USER 1000:1000",
        *_last(place, start),
    ]


def _python(material: Material, place: Place) -> list[str]:
    command = place.service.command
    start = start_of(command, place.stack) if command else Start(("python",), init=True)
    wanted = (*place.stack.run_packages, *(("tini",) if start.init else ()))
    folder = python.environment_of(place)
    told = (*python.VARIABLES, *weights_variables(place))
    user = f"{PYTHON_USER}:{PYTHON_USER}"
    return [
        f"ARG PYTHON_IMAGE=python:{place.stack.version or DEFAULT_PYTHON}-slim",
        "",
        *python.build_stages(place),
        "",
        "FROM ${PYTHON_IMAGE} AS run",
        f"WORKDIR {HOME}",
        *_tini(start),
        *node.system(wanted, alpine=False),
        f"RUN useradd --uid {PYTHON_USER} --create-home app",
        *mounted(material, place.service, user),
        variables(*told, f"VIRTUAL_ENV={folder}", f"PATH={folder}/bin:$PATH", *_listens(place)),
        *weights_lines(place),
        *python.run_lines(place),
        *_start_folder(place),
        f"USER {user}",
        *_last(place, start),
    ]


def _tini(start: Start) -> list[str]:
    why = "# The first process of a container ends on SIGTERM only if it does something about it: tini passes it on."
    return [why] if start.init else []


def _listens(place: Place) -> tuple[str, ...]:
    """The variables by which it is told where to listen."""
    service = place.service
    if service.port is None:
        return ()
    told = ("HOST=0.0.0.0", *(("HOSTNAME=0.0.0.0",) if "next" in place.stack.frameworks else ()))
    return (*told, f"{service.port_variable}={service.port}") if service.port_variable else told


def mounted(material: Material, service: Service, owner: str) -> list[str]:
    """The folders of its volumes: a new volume takes the owner that the folder has in the image."""
    container = material.containers.get(service.name)
    mounts = container.mounts if container is not None else ()
    folders = sorted({mount.target for mount in mounts if mount.kind == "volume" and not mount.read_only})
    return [f"RUN mkdir -p {' '.join(folders)} && chown {owner} {' '.join(folders)}"] if folders else []


def _start_folder(place: Place) -> list[str]:
    return [f"WORKDIR {place.folder}"] if place.folder != HOME else []


def _last(place: Place, start: Start) -> list[str]:
    """What the container is told of its one process."""
    service = place.service
    return [
        *([f"STOPSIGNAL SIG{service.stop_signal}"] if service.stop_signal != "TERM" else []),
        *([f"EXPOSE {service.port}"] if service.port is not None else []),
        *healthcheck(service, "node" if place.stack.language == "node" else "python"),
        start.instruction,
    ]
