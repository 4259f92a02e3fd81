"""What platforms that build by themselves amount to in a Compose file: images, Dockerfiles, names."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_IMAGES = {
    "node": ("node", "22", "-slim"),
    "python": ("python", "3.13", "-slim"),
    "ruby": ("ruby", "3.4", "-slim"),
    "go": ("golang", "1.25", ""),
    "rust": ("rust", "1.90", ""),
    "elixir": ("elixir", "1.18", ""),
    "php": ("php", "8.4", "-cli"),
    "java": ("eclipse-temurin", "21", ""),
}
"""The official image of each runtime, and the version where nobody names one."""

_MOVE = re.compile(r"^cd\s+([\w./-]+)\s*(?:&&|;)\s*(.+)$", re.DOTALL)


@dataclass(frozen=True)
class Runtime:
    """A language, and the version that the platform's file names, if any."""

    name: str
    version: str = ""

    @property
    def known(self) -> bool:
        """Whether an image of it is known."""
        return self.name in _IMAGES

    @property
    def image(self) -> str:
        """The image that has it."""
        name, version, tail = _IMAGES.get(self.name, ("debian", "12", "-slim"))
        good = re.fullmatch(r"\d{1,3}(\.\d{1,3}){0,2}", self.version)
        return f"{name}:{self.version if good else version}{tail}"


@dataclass
class Names:
    """Names that Compose accepts, each given once."""

    given: set[str] = field(default_factory=set)

    def free(self, wanted: str) -> str:
        """`wanted` as a service's name, with a number when it is taken."""
        plain = re.sub(r"[^a-z0-9_-]+", "-", wanted.lower()).strip("-_")[:40] or "service"
        plain = plain if plain[0].isalpha() else f"s-{plain}"
        name, number = plain, 2
        while name in self.given:
            name, number = f"{plain}-{number}", number + 1
        self.given.add(name)
        return name


def text_at(raw: Any, key: str) -> str:
    """A text or number of a section, as one line; empty when there is none."""
    value = raw.get(key) if isinstance(raw, dict) else None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    lines = [line.strip() for line in str(value).splitlines() if line.strip()]
    text = " && ".join(line.removesuffix("&&").rstrip() for line in lines)
    return text if text.isprintable() else ""


def moved(line: str) -> tuple[str, str]:
    """A shell line without the `cd` that it begins with, and the folder to which that leads."""
    match = _MOVE.match(line)
    parts = [part for part in match[1].split("/") if part not in {"", "."}] if match else []
    if match is None or not parts or ".." in parts or match[1].startswith("/"):
        return line, ""
    return match[2].strip(), "/".join(parts)


def dockerfile(runtime: Runtime, build: str, start: str, folder: str) -> str:
    """The Dockerfile of code that a platform builds and starts by a line each."""
    lines = [f"FROM {runtime.image}", "WORKDIR /app", "COPY . ."]
    lines += [f"WORKDIR /app/{folder}"] if folder else []
    lines += [f"RUN {build}"] if build else []
    lines += [f"CMD {json.dumps(['/bin/sh', '-c', start], ensure_ascii=False)}"] if start else []
    return "\n".join(lines) + "\n"


def site_dockerfile(build: str, folder: str, published: str) -> str:
    """The Dockerfile of a static site: built, then served by nginx."""
    lines = [f"FROM {Runtime('node').image} AS build", "WORKDIR /app", "COPY . ."]
    lines += [f"WORKDIR /app/{folder}"] if folder else []
    lines += [f"RUN {build}"] if build else []
    lines += ["FROM nginx:1.28-alpine", f"COPY --from=build /app/{published} /usr/share/nginx/html"]
    return "\n".join(lines) + "\n"
