"""The Compose file as its author wrote it, where Compose's own answer no longer shows it; nothing in it is trusted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.spec.compose import ComposeConfig
    from towline.spec.container import Container

_LOOPBACK = ("127.", "localhost:", "[::1]:")


def written(compose: ComposeConfig, service: str, key: str) -> Any:
    """What the last Compose file that has the key says of a service; None when none has it."""
    found = [source.at("services", service, key) for source in compose.sources]
    return next((value for value in reversed(found) if value is not None), None)


def words(value: Any) -> tuple[str, ...]:
    """The texts of a list, or one text; everything else is passed over."""
    listed = value if isinstance(value, list) else [value]
    return tuple(str(one) for one in listed if isinstance(one, (str, int, float)) and not isinstance(one, bool))


def pairs(value: Any) -> dict[str, str]:
    """Names and values written as a section or as a list of `name=value`."""
    if isinstance(value, dict):
        return {str(name): str(text) for name, text in value.items() if isinstance(text, (str, int, float))}
    return {name: text for name, mark, text in (one.partition("=") for one in words(value)) if mark}


def labels(compose: ComposeConfig, service: str) -> dict[str, str]:
    """The labels of a service that hold no variable of the Compose file, by their names in small letters."""
    deploy = written(compose, service, "deploy")
    nested = deploy.get("labels") if isinstance(deploy, dict) else None
    known = {**pairs(nested), **pairs(written(compose, service, "labels"))}
    return {name.lower(): text for name, text in known.items() if "$" not in text}


def other_names(compose: ComposeConfig, service: str) -> dict[str, str]:
    """The names that `links:` of a service gives others: alias to service."""
    found = {}
    for one in words(written(compose, service, "links")):
        target, mark, alias = one.partition(":")
        if mark and alias and alias != target:
            found[alias] = target
    return found


def opened(compose: ComposeConfig, container: Container) -> bool:
    """Whether the service is published on more than this machine's own address."""
    if not container.published:
        return False
    listed = written(compose, container.name, "ports")
    entries = listed if isinstance(listed, list) else []
    return not entries or any(_on_all_addresses(entry) for entry in entries)


def _on_all_addresses(entry: Any) -> bool:
    if isinstance(entry, dict):
        return entry.get("published") is not None and not str(entry.get("host_ip") or "0").startswith(("127.", "::1"))
    text = str(entry)
    return ":" in text and not text.startswith(_LOOPBACK)


def in_order(compose: ComposeConfig) -> tuple[Container, ...]:
    """The services in the order of the file; Compose answers by name."""
    return tuple(sorted(compose.containers, key=lambda one: (one.line is None, one.line or 0, one.name)))


def copyable(compose: ComposeConfig, container: Container) -> bool:
    """Whether its command may be repeated on the page: it holds no value that comes from elsewhere, and no secret."""
    for key in ("command", "entrypoint"):
        if "$" in str(written(compose, container.name, key) or ""):
            return False
    text = " ".join((*(container.entrypoint or ()), *(container.command or ())))
    return text.isprintable() and not re.search(r"passw|secret|token|key|credential|://[^/\s]*@", text, re.IGNORECASE)


def spans(text: str) -> Iterator[int]:
    """The ports that a text names, as `:8000`."""
    for found in re.findall(r":(\d{2,5})\b", text):
        if 0 < int(found) < 65536:
            yield int(found)
