"""How a service runs from its source while it is developed: what is built, what is mounted, what a change does."""

from __future__ import annotations

import posixpath
import shlex
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from towline.artifacts.docker.start import start_of
from towline.artifacts.dockerfiles import HOME, needs_one
from towline.artifacts.node_lines import script_line
from towline.artifacts.yaml_text import Inline

if TYPE_CHECKING:
    from towline.artifacts.rendered import Material
    from towline.spec.model import Service
    from towline.spec.stack import Stack

_PINS = (".txt", ".lock", ".json", ".toml", ".yaml", ".yml", ".cfg")
"""Endings of files that say which packages an image has: with another one it is built again."""

_NO_SOURCE = Inline(("node_modules/", ".venv/", "__pycache__/", "dist/", ".next/"))
"""What installing, building and running leave in a folder; Compose itself leaves out what .dockerignore names."""


@dataclass(frozen=True)
class Source:
    """Where a service's image comes from, and its source in it. Paths are relative to the rendered file.

    `build` is a Compose build section without its arguments, None for an image that is made elsewhere. `mounts` are
    volumes as Compose writes them. `restarts` are paths with a change that restarts the container, `rebuilds` those
    with one that builds it anew. `command` replaces the image's own. `why` is what a reader is told.
    """

    build: dict[str, str] | None = None
    mounts: tuple[str, ...] = ()
    restarts: tuple[str, ...] = ()
    rebuilds: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    working_dir: str | None = None
    user: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    why: str = ""

    @property
    def watched(self) -> list[dict[str, object]]:
        """The rules of `docker compose up --watch`."""
        rules = [("restart", path) for path in self.restarts] + [("rebuild", path) for path in self.rebuilds]
        return [
            {"action": action, "path": path, **({} if path.endswith(_PINS) else {"ignore": _NO_SOURCE})}
            for action, path in rules
        ]


def project_of(material: Material) -> Path:
    """The project's folder: that of the Compose file, or one above it."""
    root = material.app.root
    return next((one for one in (root, *root.parents) if one.name == material.project), root)


def from_here(material: Material, path: Path) -> str:
    """A path as the rendered file writes it: relative to the folder that it lies in."""
    inside = posixpath.relpath(path.as_posix(), project_of(material).as_posix())
    found = posixpath.normpath(posixpath.join(material.up, inside))
    return found if found.startswith("..") else f"./{found}"


def built(material: Material, service: Service, target: str | None = None) -> dict[str, str] | None:
    """The build section of a service, None for one whose image is not made from a folder and a Dockerfile."""
    container = material.containers.get(service.name)
    build = container.build if container is not None else None
    # A Dockerfile inside the Compose file is known with its variables filled in, which may be secrets.
    if build is None or build.context is None or build.inline is not None:
        return None
    context = build.context
    found = {"context": from_here(material, context)}
    if needs_one(material, service):
        stack = material.stacks[service.name]
        found["context"] = from_here(material, project_of(material) / stack.context)
        rendered = posixpath.join(material.folder, "dockerfiles", f"{service.name}.Dockerfile")
        found["dockerfile"] = posixpath.relpath(rendered, stack.context or ".")
    elif build.dockerfile is not None and build.dockerfile != context / "Dockerfile":
        found["dockerfile"] = posixpath.relpath(build.dockerfile.as_posix(), context.as_posix())
    stage = target or build.stage
    return {**found, "target": stage} if stage is not None else found


def source_of(material: Material, service: Service) -> Source:
    """How a service runs from its source."""
    if built(material, service) is None:
        return Source(why="Its source is elsewhere: it runs from its image, as it is.")
    if not needs_one(material, service):
        return _own_dockerfile(material, service)
    stack = material.stacks[service.name]
    if stack.language == "node":
        return _node(material, service, stack)
    if stack.language == "python" and service.kind != "static":
        return _python(material, service, stack)
    return _whole(material, service)


def _own_dockerfile(material: Material, service: Service) -> Source:
    """What the image has of the context as it is, is mounted over it."""
    copied = material.copied.get(service.name, ())
    plain = [one for one in copied if one.kind == "bind" or (one.kind == "file" and not one.source.endswith(_PINS))]
    pins = [one for one in copied if one not in plain]
    if not plain:
        return _whole(material, service)
    mounts = []
    for one in plain:
        path = from_here(material, Path(one.source))
        workdir = one.kind == "bind" and Path(one.source) == service.context
        mounts.append(f"{path}:{one.target}" + ("" if workdir else ":ro"))
        if workdir:
            mounts += _kept(one.target, material.stacks.get(service.name))
    return Source(
        build=built(material, service),
        mounts=tuple(mounts),
        restarts=tuple(from_here(material, Path(one.source)) for one in plain),
        rebuilds=tuple(from_here(material, Path(one.source)) for one in pins),
    )


def _kept(target: str, stack: Stack | None) -> list[str]:
    """What was installed into the folder that is mounted over stays visible: volumes that the image fills."""
    names = {"node": ["node_modules"], "python": [".venv"]}.get(stack.language if stack is not None else "", [])
    return [posixpath.join(target, name) for name in names]


def _whole(material: Material, service: Service) -> Source:
    """What is compiled into the image is built again."""
    container = material.containers[service.name]
    context = container.build.context if container.build is not None else None
    return Source(
        build=built(material, service),
        rebuilds=(from_here(material, context),) if context is not None else (),
        why="Its image holds what was built from the source, so a change builds it again.",
    )


def _python(material: Material, service: Service, stack: Stack) -> Source:
    context = from_here(material, project_of(material) / stack.context)
    return Source(
        build=built(material, service),
        mounts=(f"{context}:{HOME}",),
        restarts=(context,),
        rebuilds=_pins(material, stack),
    )


def _pins(material: Material, stack: Stack) -> tuple[str, ...]:
    files = dict.fromkeys((*stack.manifests, *stack.locks))
    return tuple(from_here(material, project_of(material) / path) for path in files)


def _node(material: Material, service: Service, stack: Stack) -> Source:
    """All packages from the image, everything else from the folder: its `dev` script, or built at each start."""
    context = from_here(material, project_of(material) / stack.context)
    inner = PurePosixPath(HOME) / posixpath.relpath(stack.root or ".", stack.context or ".")
    root = posixpath.normpath(inner.as_posix())
    develops = "dev" in stack.scripts
    line = _dev_line(stack) if develops else _start_line(service, stack)
    if line is None:
        return _whole(material, service)
    folder = posixpath.normpath(posixpath.join(root, posixpath.relpath(stack.folder or ".", stack.root or ".")))
    path = ":".join(dict.fromkeys((f"{folder}/node_modules/.bin", f"{root}/node_modules/.bin")))
    return Source(
        build=built(material, service, target="client" if stack.prisma_schema else "packages"),
        mounts=(f"{context}:{HOME}", f"{root}/node_modules"),
        restarts=() if develops else _members(material, stack) or (context,),
        rebuilds=_pins(material, stack),
        command=("/bin/sh", "-c", f"PATH={path}:$PATH; {line}"),
        working_dir=root,
        # What is built lands in the folder itself: with its owner's number, as far as that is the usual one.
        user=None if develops else "1000:1000",
        environment={"HOST": "0.0.0.0", "NODE_ENV": "development"},  # noqa: S104 - inside the container
        why="Its `dev` script sees a change by itself." if develops else "",
    )


def _members(material: Material, stack: Stack) -> tuple[str, ...]:
    """The folders of a workspace that the service is made of."""
    return tuple(from_here(material, project_of(material) / one.folder) for one in stack.members)


def _dev_line(stack: Stack) -> str:
    line = script_line(stack, "dev")
    if "vite" in stack.frameworks or "vite" in (stack.script("dev") or ""):
        return f"exec {line} -- --host 0.0.0.0 --port $PORT"
    return f"exec {line}"


def _start_line(service: Service, stack: Stack) -> str | None:
    """Builds what it is made of, then starts; None for a page, whose files somebody has to hand out."""
    command = service.command
    if command is None:
        return None
    lines = [script_line(stack, "build", (one.folder, one.name)) for one in stack.members[:-1] if one.builds]
    lines += [script_line(stack, "build")] if "build" in stack.scripts else []
    folder = posixpath.relpath(stack.folder or ".", stack.root or ".")
    lines += [f"cd {folder}"] if folder != "." else []
    argv = start_of(command, stack).argv
    shell = len(argv) == 3 and argv[1] == "-c"
    started = argv[2] if shell else shlex.join(argv)
    return " && ".join([*lines, started if started.startswith("exec ") or shell else f"exec {started}"])
