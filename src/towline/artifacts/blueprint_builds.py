"""How Render makes and starts a service: from an image, from a Dockerfile, or by its own runtimes."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from towline.artifacts.blueprint_platform import inner_path
from towline.artifacts.node_lines import build_line
from towline.artifacts.yaml_text import Noted

if TYPE_CHECKING:
    from towline.artifacts.blueprint_platform import Platform, Unit
    from towline.artifacts.rendered import Material
    from towline.spec.model import Service
    from towline.spec.stack import Stack

_PATCHED = {"3.9": "3.9.21", "3.10": "3.10.16", "3.11": "3.11.11", "3.12": "3.12.8", "3.13": "3.13.1"}
"""PYTHON_VERSION wants all three numbers (https://render.com/docs/python-version)."""

_INSTALL_PYTHON = {
    "pip": "pip install -r {manifest}",
    "uv": "uv sync --frozen --no-dev",
    "poetry": "poetry install --only main --no-root",
    "pipenv": "pip install pipenv && pipenv sync",
}
_RUN_PYTHON = {"uv": "uv run ", "poetry": "poetry run ", "pipenv": "pipenv run "}


def runtime_of(platform: Platform, unit: Unit) -> str:
    """docker, image, static, node or python."""
    lead = unit.lead
    stack = platform.material.stacks.get(lead.name)
    if unit.combined:
        return "docker"
    if lead.kind == "static":
        return "static"
    if lead.context is None:
        return "image"
    if lead.dockerfile is None and stack is not None and stack.language in {"node", "python"}:
        return stack.language
    return "docker"


def made_of(platform: Platform, unit: Unit, prefix: str) -> dict[str, object]:
    """The fields that say what a unit is made of and how it starts; `prefix` is shell text before its command."""
    runtime = runtime_of(platform, unit)
    if unit.combined:
        return {
            "runtime": "docker",
            "dockerfilePath": f"./{platform.rendered}/{combined_dockerfile(platform.material)}",
            "dockerContext": ".",
        }
    if runtime == "static":
        return {"runtime": "static", **_static(platform, unit.lead)}
    if runtime == "image":
        image = unit.lead.image or "scratch"
        return {"runtime": "image", "image": {"url": image}, **_docker_command(platform, unit.lead, prefix)}
    if runtime == "docker":
        return {"runtime": "docker", **_docker(platform, unit.lead), **_docker_command(platform, unit.lead, prefix)}
    return {"runtime": runtime, **_native(platform, unit.lead, prefix)}


def versions_of(platform: Platform, unit: Unit) -> dict[str, str]:
    """The variable that pins the runtime's version, where the platform builds and the project pins one."""
    runtime = runtime_of(platform, unit)
    stack = platform.material.stacks.get(unit.lead.name)
    if stack is None or stack.version is None or runtime not in {"node", "python", "static"}:
        return {}
    if stack.language == "node" or (runtime == "static" and stack.language == "static"):
        return {"NODE_VERSION": stack.version}
    full = stack.version if stack.version.count(".") == 2 else _PATCHED.get(stack.version)
    return {"PYTHON_VERSION": full} if full and stack.language == "python" else {}


def build_filter(platform: Platform, unit: Unit) -> dict[str, object]:
    """The paths whose changes concern it, in a repository that holds more than one service."""
    stack = platform.material.stacks.get(unit.lead.name)
    context = unit.lead.context
    of_image = runtime_of(platform, unit) == "docker"
    around = "" if context is None else platform.within(context)
    folder = around if of_image or stack is None else stack.folder
    if unit.combined or not folder:
        return {}
    paths = [f"{folder}/**"]
    if stack is not None and not of_image and stack.root != folder:
        paths += [f"{one.folder}/**" for one in stack.members if one.folder != folder]
        of_root = f"{stack.root}/package.json".lstrip("/")
        paths += [one for one in (of_root, *stack.locks) if one in (*stack.manifests, *stack.locks)]
    return {"buildFilter": {"paths": list(dict.fromkeys(paths))}}


def command_line(service: Service) -> str | None:
    """The shell line that starts a service, None when only its image knows."""
    if service.command is None:
        return None
    argv = service.command.argv
    return argv[2] if argv[:2] == ("/bin/sh", "-c") and len(argv) == 3 else shlex.join(argv)


def combined_dockerfile(material: Material) -> str:
    """The path of the combined image's Dockerfile below the rendered files."""
    paths = [one.path for one in material.rendered if one.path.startswith("combined/")]
    return next((path for path in paths if path.endswith("Dockerfile")), "combined/Dockerfile")


def inner_folder(material: Material, service: Service, stack: Stack) -> str:
    """Where a service's commands start, seen from where its packages are installed; "" is right there."""
    folder = inner_path(material, service.folder)
    return folder.removeprefix(stack.root).strip("/") if folder.startswith(stack.root) else ""


def _root(platform: Platform, service: Service, stack: Stack | None) -> str:
    if stack is not None:
        return stack.root
    return platform.within(service.context) if service.context is not None else ""


def _static(platform: Platform, service: Service) -> dict[str, object]:
    stack = platform.material.stacks.get(service.name)
    root = _root(platform, service, stack)
    folder = stack.folder if stack is not None else root
    inner = folder.removeprefix(f"{root}/") if root and folder != root else folder if not root else ""
    publish = "/".join(part for part in (inner, service.output or "dist") if part)
    fields: dict[str, object] = {"rootDir": root} if root else {}
    line = build_line(stack, service.build) if stack is not None else service.build
    return {**fields, **({"buildCommand": line} if line else {}), "staticPublishPath": publish}


def _docker(platform: Platform, service: Service) -> dict[str, object]:
    context = platform.within(service.context) if service.context is not None else ""
    if service.dockerfile is not None:
        path = f"./{platform.within(service.dockerfile)}"
    else:
        path = f"./{platform.rendered}/dockerfiles/{service.name}.Dockerfile"
    container = platform.material.containers.get(service.name)
    stage = container.build.stage if container is not None and container.build is not None else None
    noted: object = path
    if stage:
        noted = Noted(path, behind=f"built to its last stage; compose.yaml builds `{stage}`, which must be that one")
    return {"dockerfilePath": noted, "dockerContext": f"./{context}" if context else "."}


def _docker_command(platform: Platform, service: Service, prefix: str) -> dict[str, object]:
    """The command where the image's own would not do: Compose writes another, or addresses are put together first."""
    container = platform.material.containers.get(service.name)
    written = container.command if container is not None else None
    entry = container.entrypoint if container is not None else None
    argv = (*(entry or ()), *(written or ())) if written or entry else ()
    if not argv and service.command is not None and (prefix or service.command.source == "run:"):
        argv = service.command.argv
    if not argv:
        return {}
    line = argv[2] if argv[:2] == ("/bin/sh", "-c") and len(argv) == 3 else shlex.join(argv)
    shell = bool(prefix) or argv[:2] == ("/bin/sh", "-c")
    return {"dockerCommand": f"/bin/sh -c {shlex.quote(_started(prefix, line))}" if shell else line}


def _native(platform: Platform, service: Service, prefix: str) -> dict[str, object]:
    stack = platform.material.stacks[service.name]
    fields: dict[str, object] = {"rootDir": stack.root} if stack.root else {}
    start = command_line(service)
    inner = inner_folder(platform.material, service, stack)
    if stack.language == "node":
        build = build_line(stack, service.build)
    else:
        build = _python_build(stack, service.build)
        start = f"{_RUN_PYTHON.get(stack.installer or '', '')}{start}" if start else start
    if build:
        fields["buildCommand"] = f"cd {inner} && {build}" if inner and not stack.workspace else build
    if start:
        fields["startCommand"] = _started(prefix, start, inner)
    return fields


def _started(prefix: str, line: str, folder: str = "") -> str:
    """A shell line in its folder, after `prefix`; a single command takes the shell's place, so that it hears the
    signal to end."""
    before = f"{prefix}cd {shlex.quote(folder)} && " if folder else prefix
    single = before and not re.search(r"[;&|<>()`\n]", line) and not line.startswith("exec ")
    return f"{before}exec {line}" if single else f"{before}{line}"


def _python_build(stack: Stack, build: str | None) -> str:
    manifest = next((one for one in (*stack.locks, *stack.manifests) if one.endswith(".txt")), "")
    name = manifest.removeprefix(f"{stack.root}/") if stack.root else manifest
    install = _INSTALL_PYTHON[stack.installer or "pip"].format(manifest=name or "requirements.txt")
    if (stack.installer or "pip") == "pip" and not name:
        install = "pip install ."
    return f"{install} && {build}" if build else install
