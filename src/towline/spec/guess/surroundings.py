"""What lies around the Compose file: Dockerfiles, manifests, proxy configurations. The only reading of this room."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from towline.spec.ground import Ground, look
from towline.spec.page import Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.spec.compose import ComposeConfig
    from towline.spec.container import Container
    from towline.spec.dockerfile import Recipe

MOST = 200_000
"""Bytes of a file that are looked at: a configuration that is longer was not written by hand."""

_MANIFESTS = (
    "package.json",
    "requirements.txt",
    "pyproject.toml",
    "Pipfile",
    "Gemfile",
    "composer.json",
    "go.mod",
    "Cargo.toml",
    "mix.exs",
    "pom.xml",
    "build.gradle",
)
_COPIES_ALL = re.compile(r"^\s*COPY\s+(?:--\S+\s+)*\.\s+\.", re.MULTILINE | re.IGNORECASE)
_PROXY_PATTERNS = (
    "conf",
    "*.conf",
    "*.conf.template",
    "*.template",
    "Caddyfile",
    "*.cfg",
    "conf.d/*",
    "templates/*",
    "*/*.conf",
    "traefik*.y*ml",
)


@dataclass(frozen=True)
class Folder:
    """What is known of the folder that a service is built from, or whose files it is given.

    `cwd` is the part of the context in which the app itself lies, None when that is the context. `names` are the files
    there, `scripts` and `packages` those of its package.json. `proxy` are the configurations of a proxy in it.
    """

    ground: Ground = field(default_factory=Ground)
    dockerfile: str = field(default="", repr=False)
    cwd: str | None = None
    names: frozenset[str] = frozenset()
    scripts: dict[str, str] = field(default_factory=dict, repr=False)
    packages: frozenset[str] = frozenset()
    proxy: str = field(default="", repr=False)


def surroundings(compose: ComposeConfig, folders: Mapping[str, str] | None = None) -> dict[str, Folder]:
    """The Folder of every service, empty where there is nothing; reads, changes nothing.

    `folders` are the parts of their contexts in which apps lie, where another file tells.
    """
    ground, known = look(compose, Page()), folders or {}
    return {one.name: _folder(one, ground.get(one.name, Ground()), known.get(one.name)) for one in compose.containers}


def manifest(folder: Path) -> tuple[frozenset[str], dict[str, str], frozenset[str]]:
    """The files of a folder, and the scripts and packages of its package.json."""
    names = _names(folder)
    package = _json(folder / "package.json") if "package.json" in names else {}
    scripts = package.get("scripts")
    known = {str(name): text for name, text in (scripts if isinstance(scripts, dict) else {}).items()}
    listed = [package.get(key) for key in ("dependencies", "devDependencies")]
    packages = frozenset(str(name) for one in listed if isinstance(one, dict) for name in one)
    return names, {name: text for name, text in known.items() if isinstance(text, str)}, packages


def _folder(container: Container, ground: Ground, cwd: str | None) -> Folder:
    context = container.build.context if container.build else None
    if context is None or not ground.context_exists:
        return Folder(ground=ground, proxy=_joined(_mounted(container)))
    cwd = cwd or _app_in(context, container, ground.recipe)
    names, scripts, packages = manifest(context / cwd if cwd else context)
    inline = container.build.inline if container.build else None
    dockerfile = inline or (
        text_of(container.build.dockerfile) if container.build and container.build.dockerfile else ""
    )
    around = container.build.dockerfile.parent if container.build and container.build.dockerfile else context
    proxy = _joined(
        (*_mounted(container), *_configurations(around), *(() if around == context else _configurations(context)))
    )
    return Folder(ground, dockerfile, cwd, names, scripts, packages, proxy)


def _app_in(context: Path, container: Container, recipe: Recipe) -> str | None:
    """The folder of the Dockerfile in its context, when the app's own manifest is beside it."""
    dockerfile = container.build.dockerfile if container.build else None
    if dockerfile is None or dockerfile.parent == context or not dockerfile.parent.is_relative_to(context):
        return None
    if not any(name in _MANIFESTS for name in _names(dockerfile.parent)):
        return None
    cwd = dockerfile.parent.relative_to(context).as_posix()
    command = (*(container.command or recipe.command), *(container.entrypoint or recipe.entrypoint))
    inside = (container.working_dir or recipe.workdir or "").endswith(f"/{cwd}")
    if any(f"{cwd}/" in word for word in command) or (_COPIES_ALL.search(text_of(dockerfile)) and not inside):
        return None  # its process starts in the context itself
    return cwd if ".." not in cwd.split("/") and cwd.isprintable() and len(cwd) <= 240 else None


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(one.name for one in folder.iterdir())
    except OSError:
        return frozenset()


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text_of(path))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def text_of(path: Path) -> str:
    """The beginning of a file; empty when it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(MOST)
    except (OSError, ValueError):
        return ""


def _mounted(container: Container) -> Iterator[Path]:
    """The configurations that are mounted into a container: single files, or those of a folder."""
    for mount in container.mounts:
        source = Path(mount.source)
        if (
            mount.kind == "bind"
            and source.is_file()
            and source.suffix in {"", ".conf", ".template", ".cfg", ".yml", ".yaml"}
        ):
            yield source
        elif mount.kind == "bind" and source.is_dir() and mount.target.startswith("/etc/"):
            yield from _configurations(source)


def _configurations(folder: Path) -> tuple[Path, ...]:
    try:
        return tuple(sorted({path for one in _PROXY_PATTERNS for path in folder.glob(one) if path.is_file()}))[:20]
    except OSError:
        return ()


def _joined(paths: tuple[Path, ...] | Iterator[Path]) -> str:
    return "\n".join(text_of(path) for path in dict.fromkeys(paths))[:MOST]
