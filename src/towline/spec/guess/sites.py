"""Static sites and reverse proxies: what a web server image is there for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from towline.spec.guess.images import WEB_SERVER_BASES, is_proxy, is_web_server
from towline.spec.guess.setups import build_line

if TYPE_CHECKING:
    from towline.spec.container import Container
    from towline.spec.guess.model import Confidence
    from towline.spec.guess.scene import Scene

_HTML = re.compile(r"html|htdocs|/srv\b|/usr/share/caddy|/var/www|/public\b|/site\b")
_COPY = re.compile(r"^\s*COPY\s+((?:--\S+\s+)*)\[?\"?([^\s\",]+)\"?,?\s+\"?([^\s\"\]]+)", re.MULTILINE | re.IGNORECASE)
_WORKDIR = re.compile(r"^\s*WORKDIR\s+(\S+)", re.MULTILINE | re.IGNORECASE)
_PASSED = re.compile(
    r"(?:proxy_pass|grpc_pass|fastcgi_pass|uwsgi_pass|reverse_proxy|php_fastcgi|server|to|url:|ProxyPass\S*\s+\S+)"
    r"\s+[\"']?(?:\w+://)?([A-Za-z0-9][\w.-]*)(?::(\d{2,5}))?"
)
_NOT_HTTP = re.compile(r"\b(?:fastcgi_pass|php_fastcgi|uwsgi_pass)\b")
_OUTPUTS = {
    "react-scripts": "build",
    "gatsby": "public",
    "@angular/cli": "dist",
    "astro": "dist",
    "@vue/cli-service": "dist",
    "vite": "dist",
}


@dataclass(frozen=True)
class Site:
    """Built files: the line that builds them and the folder in which they then are, as far as the files tell."""

    build: str | None
    output: str | None
    reason: str
    confidence: Confidence = "likely"


@dataclass(frozen=True)
class Front:
    """A service that is reached through a proxy of the Compose file: by HTTP or not, on which port."""

    proxy: str
    port: int | None
    http: bool


def site_of(scene: Scene, container: Container) -> Site | None:
    """The site that a service serves; None when it is none."""
    if is_web_server(container):
        return _mounted(scene, container)
    if container.build is None:
        return None
    base = scene.folder(container.name).ground.recipe.base or ""
    if WEB_SERVER_BASES.search(base.lower()):
        return _copied(scene, container)
    return _served(scene, container)


def serves(scene: Scene, container: Container) -> bool:
    """Whether it is a web server, from an image or built on one."""
    base = scene.folder(container.name).ground.recipe.base or ""
    return is_web_server(container) or (container.build is not None and bool(WEB_SERVER_BASES.search(base.lower())))


def fronted(scene: Scene) -> dict[str, Front]:
    """The services to which the proxies of the Compose file pass requests."""
    found: dict[str, Front] = {}
    names = {one.name for one in scene.containers}
    for container in scene.containers:
        text = _without_comments(scene.folder(container.name).proxy)
        for match in _PASSED.finditer(text) if serves(scene, container) or is_proxy(scene.below(container)) else ():
            if match[1] in names and match[1] != container.name:
                port = int(match[2]) if match[2] and 0 < int(match[2]) < 65536 else None
                found.setdefault(match[1], Front(container.name, port, not _NOT_HTTP.search(text)))
    return found


def _without_comments(text: str) -> str:
    return re.sub(r"(?m)^\s*#.*$", "", text)


def _mounted(scene: Scene, container: Container) -> Site | None:
    root = scene.compose.root
    for mount in container.mounts:
        source = Path(mount.source)
        inside = mount.kind == "bind" and source.is_relative_to(root) and source != root
        if inside and _HTML.search(mount.target) and not mount.target.endswith((".conf", "Caddyfile", ".template")):
            return Site(None, _inner(source.relative_to(root).as_posix()), "a web server with a folder of files in it")
    return None


def _copied(scene: Scene, container: Container) -> Site | None:
    """The files that the last COPY brings into the folder of the web server."""
    folder = scene.folder(container.name)
    copies = [match for match in _COPY.finditer(folder.dockerfile) if _HTML.search(match[3])]
    if not copies:
        return None
    flags, source = copies[-1][1], copies[-1][2]
    if "--from=" not in flags:
        return Site(None, _inner(source), "its Dockerfile copies files into a web server")
    roots = sorted((one.rstrip("/") for one in _WORKDIR.findall(folder.dockerfile)), key=len, reverse=True)
    below = next((source[len(root) + 1 :] for root in roots if source.startswith(f"{root}/")), source.lstrip("/"))
    if folder.cwd and below.startswith(f"{folder.cwd}/"):
        below = below[len(folder.cwd) + 1 :]
    return Site(build_line(folder), _inner(below), "its Dockerfile builds files and copies them into a web server")


def _served(scene: Scene, container: Container) -> Site | None:
    folder = scene.folder(container.name)
    package = next((name for name in _OUTPUTS if name in folder.packages), None)
    if package is None or "build" not in folder.scripts or not scene.line(container).serves_files:
        return None
    unsure: Confidence = "unsure" if package == "@angular/cli" else "likely"
    return Site(build_line(folder), _OUTPUTS[package], f"serves the files that {package} builds", unsure)


def _inner(path: str) -> str | None:
    """A path that may stand on the page; not the whole folder, of which the code is a part."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    good = bool(parts) and ".." not in parts and "$" not in path and "*" not in path and path.isprintable()
    return "/".join(parts) if good and len(path) < 240 else None
