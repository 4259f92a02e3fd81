"""Files that the Compose file gives to a service: its `secrets:` and `configs:`, and files that it mounts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from towline.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.spec.container import Container

MOST = 1024 * 1024
"""Bytes of a file that travels with the environments; what is larger travels as folders do."""


@dataclass(frozen=True)
class Given:
    """A secret or config that is a file inside at `target`: from a file here, spelled out, or the value of a variable.

    Exactly one of `path`, `content` and `variable` is told.
    """

    kind: Literal["secret", "config"]
    target: str
    path: str | None = None
    content: Secret | None = field(default=None, repr=False)
    variable: str | None = None


def given_to(raw: Mapping[str, Any], whole: Mapping[str, Any]) -> Iterator[Given]:
    """The secrets and configs of a service; not those that only Compose's own platform has (`external`).

    `raw` is the service and `whole` the Compose file, both as Compose's JSON has them.
    """
    kinds: tuple[tuple[str, Literal["secret", "config"], str], ...] = (
        ("secrets", "secret", "/run/secrets/"),
        ("configs", "config", "/"),
    )
    for key, kind, below in kinds:
        known = whole.get(key) or {}
        for one in raw.get(key) or ():
            name = str(one["source"]) if isinstance(one, dict) else str(one)
            target = str(one.get("target") or name) if isinstance(one, dict) else name
            found = _given(kind, target if target.startswith("/") else f"{below}{target}", known.get(name) or {})
            if found is not None:
                yield found


def _given(kind: Literal["secret", "config"], target: str, source: Mapping[str, Any]) -> Given | None:
    if source.get("file"):
        return Given(kind, target, path=str(source["file"]))
    if source.get("content") is not None:
        return Given(kind, target, content=Secret(str(source["content"])))
    if source.get("environment"):
        return Given(kind, target, variable=str(source["environment"]))
    return None


def contents_of(container: Container, root: Path) -> dict[str, Secret]:
    """What is in the files that a service is given or mounts, by path; only what lies in the project, and is no folder.

    A secret may lie anywhere: the Compose file names it on purpose.
    """
    mounted = [one.source for one in container.mounts if one.kind == "bind"]
    inside = [path for path in mounted if Path(path).resolve().is_relative_to(root.resolve())]
    found = {}
    for path in (*inside, *(one.path for one in container.files if one.path is not None)):
        file = Path(path)
        if is_small(file) and os.access(file, os.R_OK):
            found[path] = Secret(file.read_bytes().decode("latin-1"))
    return found


def is_small(file: Path) -> bool:
    """Whether it is a file that travels with the environments."""
    return file.is_file() and file.stat().st_size <= MOST
