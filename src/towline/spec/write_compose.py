"""A compose.yaml from another platform's file: plain, valid, and as text with its reasons."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from towline.spec.compose import config_of
from towline.spec.guess.page_text import scalar
from towline.spec.source import read_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from towline.core.errors import Finding
    from towline.spec.compose import ComposeConfig
    from towline.spec.guess.model import Guess

_DEFAULTED = re.compile(r"\$\$|\$\{(\w+)(?::-([^{}]*))?\}")


@dataclass(frozen=True)
class Translated:
    """Another platform's file as Compose services. `told` are lines of the page that it states, `otherwise` those that
    hold when nothing else is found, `notes` comments by the place of what they speak of."""

    source: str
    services: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    told: tuple[Guess, ...] = ()
    otherwise: tuple[Guess, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: dict[tuple[str, ...], str] = field(default_factory=dict)


def literal(text: str) -> str:
    """A text as Compose reads it back: a dollar sign is written twice."""
    return text.replace("$", "$$")


def compose_text(translated: Translated, name: str) -> str:
    """The compose.yaml."""
    lines = [
        f"# Written by `towline init` from {translated.source}. `docker compose up` runs it too.",
        f"name: {scalar(name)}",
        "services:",
    ]
    for service, body in translated.services.items():
        note = translated.notes.get((service,))
        lines += [
            *([""] if lines[-1] != "services:" else []),
            *([f"  # {note}"] if note else []),
            f"  {json.dumps(service) if service.isdigit() else service}:",
        ]
        lines += _mapping(body, "    ", (service,), translated.notes)
    volumes = sorted(
        {mount.partition(":")[0] for body in translated.services.values() for mount in body.get("volumes", ())}
    )
    lines += ["", "volumes:", *(f"  {volume}: {{}}" for volume in volumes)] if volumes else []
    return "\n".join(lines) + "\n"


def _mapping(
    body: Mapping[str, Any], indent: str, path: tuple[str, ...], notes: Mapping[tuple[str, ...], str]
) -> Iterator[str]:
    for key, value in body.items():
        at = (*path, key)
        note = f" # {notes[at]}" if at in notes else ""
        name = key if re.fullmatch(r"[A-Za-z_][\w-]*", key) else json.dumps(key, ensure_ascii=False)
        if isinstance(value, dict):
            yield f"{indent}{name}:{note}"
            yield from _mapping(value, f"{indent}  ", at, notes)
        elif isinstance(value, list):
            yield f"{indent}{name}: {json.dumps(value, ensure_ascii=False)}{note}"
        elif isinstance(value, str) and "\n" in value:
            yield f"{indent}{name}: |{note}"
            yield from (f"{indent}  {line}" if line else "" for line in value.splitlines())
        else:
            yield f"{indent}{name}: {json.dumps(value, ensure_ascii=False)}{note}"


def config(translated: Translated, root: Path, name: str) -> ComposeConfig:
    """What Compose makes of that file, without asking it."""
    services = {service: _normal(body, root) for service, body in translated.services.items()}
    source = read_source(compose_text(translated, name), "compose.yaml", strict=False)
    return config_of({"name": name, "services": services}, root, (source,))


def _normal(body: Mapping[str, Any], root: Path) -> dict[str, Any]:
    found = dict(body)
    build = found.get("build")
    if isinstance(build, dict):
        context = str((root / build["context"]).resolve())
        inline = {"dockerfile_inline": _given(build["dockerfile_inline"])} if "dockerfile_inline" in build else {}
        found["build"] = {**build, "context": context, **inline}
    found["environment"] = {key: _given(text) for key, text in body.get("environment", {}).items()}
    found["ports"] = [_port(one) for one in body.get("ports", ())]
    found["depends_on"] = {one: {"condition": "service_started"} for one in body.get("depends_on", ())}
    found["volumes"] = [_volume(one) for one in body.get("volumes", ())]
    if "command" in body:
        found["command"] = [_given(word) for word in body["command"]]
    return found


def _given(text: str) -> str:
    """The text as Compose fills it where no variable is set."""
    return _DEFAULTED.sub(lambda match: "$" if match[0] == "$$" else (match[2] or ""), text)


def _port(text: str) -> dict[str, Any]:
    published, _, target = text.partition(":")
    return {"target": int(target), "published": published, "protocol": "tcp"}


def _volume(text: str) -> dict[str, Any]:
    source, _, target = text.partition(":")
    return {"type": "volume", "source": source, "target": target}
