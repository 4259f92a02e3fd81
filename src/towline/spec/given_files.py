"""Files that the Compose file gives to a service: its `secrets:` and `configs:`, and files that it mounts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from towline.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from towline.spec.container import Container

MOST = 1024 * 1024
"""Bytes of a file that travels with the app; what is larger belongs into an image, or into a volume."""


def given_to(raw: Mapping[str, Any], whole: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(kind, path here, path inside) of each secret and config of a service that comes from a file.

    `raw` is the service and `whole` the Compose file, both as Compose's JSON has them.
    """
    for key, kind, below in (("secrets", "secret", "/run/secrets/"), ("configs", "config", "/")):
        known = whole.get(key) or {}
        for one in raw.get(key) or ():
            name = str(one["source"]) if isinstance(one, dict) else str(one)
            target = str(one.get("target") or name) if isinstance(one, dict) else name
            path = (known.get(name) or {}).get("file")
            if path:
                yield kind, str(path), target if target.startswith("/") else f"{below}{target}"


def contents_of(container: Container, root: Path) -> dict[str, Secret]:
    """What is in the files that a service is given or mounts, by path; only what lies in the project, and is no folder.

    A secret may lie anywhere: the Compose file names it on purpose.
    """
    mounted = [one.source for one in container.mounts if one.kind == "bind"]
    inside = [path for path in mounted if Path(path).resolve().is_relative_to(root.resolve())]
    found = {}
    for path in (*inside, *(one.source for one in container.files)):
        file = Path(path)
        if file.is_file() and file.stat().st_size <= MOST:
            found[path] = Secret(file.read_bytes().decode("latin-1"))
    return found
