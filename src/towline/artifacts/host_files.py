"""The files that a service on a host is given: they travel with the stashed contents, and are mounted read-only."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from towline.core.errors import Finding, Findings, Where
from towline.core.secret import Secret
from towline.steps.container import Mount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from towline.spec.container import Container

ENCODED = "base64:"
"""How a content begins that is no text of its own: so its lines are not masked in what people read."""


def files_of(
    written: Container | None, contents: Mapping[str, Secret], stash: Callable[[Secret], str]
) -> Iterator[Mount]:
    """The mounts of what the Compose file gives a service: its secrets and configs, and single files that it mounts.

    `contents` are those files by path, one character a byte. Raises Findings for a secret or config that is not there.
    """
    if written is None:
        return
    missing = tuple(_missing(written.name, one.kind, one.source) for one in written.files if one.source not in contents)
    if missing:
        raise Findings(missing)
    for one in (*written.files, *written.mounts):
        if one.kind in ("secret", "config", "bind") and one.source in contents:
            # The lines of a secret are masked wherever they are printed; a configuration stays readable.
            kept = contents[one.source] if one.kind == "secret" and _is_text(contents[one.source]) else None
            yield Mount("file", stash(kept or _encoded(contents[one.source])), one.target, read_only=True)


def _missing(service: str, kind: str, path: str) -> Finding:
    sentence = f"`{service}` is given the {kind} `{path}`, and there is no such file of at most 1 MiB here"
    return Finding("file-missing", sentence, Where("compose.yaml"), f"ls -l {path}")


def _is_text(content: Secret) -> bool:
    text = content.reveal()
    return text.isascii() and not text.lstrip().startswith(("{", ENCODED))


def _encoded(content: Secret) -> Secret:
    return Secret(ENCODED + base64.b64encode(content.reveal().encode("latin-1")).decode())
