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
    from towline.spec.given_files import Given

ENCODED = "base64:"
"""How a content begins that is no text of its own: so its lines are not masked in what people read."""


def files_of(
    written: Container | None,
    contents: Mapping[str, Secret],
    values: Mapping[str, Secret],
    stash: Callable[[Secret], str],
) -> Iterator[Mount]:
    """The mounts of what the Compose file gives a service: its secrets and configs, and single files that it mounts.

    `contents` are those files by path, one character a byte; `values` are the settings by name. Raises Findings for a
    secret or config that is not there.
    """
    if written is None:
        return
    missing = tuple(_missing(written.name, one) for one in written.files if _content(one, contents, values) is None)
    if missing:
        raise Findings(missing)
    for given in written.files:
        content = _content(given, contents, values)
        if content is not None:
            # The lines of a secret are masked wherever they are printed; a configuration stays readable.
            kept = content if given.kind == "secret" and _is_text(content) else encoded(content)
            yield Mount("file", stash(kept), given.target, read_only=True)
    for one in written.mounts:
        if one.kind == "bind" and one.source in contents:
            yield Mount("file", stash(encoded(contents[one.source])), one.target, read_only=True)


def _content(given: Given, contents: Mapping[str, Secret], values: Mapping[str, Secret]) -> Secret | None:
    """What is in it, one character a byte."""
    if given.path is not None:
        return contents.get(given.path)
    told = values.get(given.variable) if given.variable is not None else given.content
    return Secret(told.reveal().encode().decode("latin-1")) if told is not None else None


def _missing(service: str, given: Given) -> Finding:
    where = Where("compose.yaml")
    if given.variable is not None:
        sentence = f"`{service}` is given the {given.kind} `{given.target}`, and {given.variable} has no value"
        return Finding("secret-missing", sentence, where, f"towline secrets set {given.variable} -t TARGET")
    sentence = f"`{service}` is given the {given.kind} `{given.path}`, and there is no such file of at most 1 MiB here"
    return Finding("file-missing", sentence, where, f"ls -l {given.path}")


def _is_text(content: Secret) -> bool:
    text = content.reveal()
    return text.isascii() and not text.lstrip().startswith(("{", ENCODED))


def encoded(content: Secret) -> Secret:
    """A content, one character a byte, in the form in which its lines are not masked."""
    return Secret(ENCODED + base64.b64encode(content.reveal().encode("latin-1")).decode())
