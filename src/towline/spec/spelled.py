"""How the variables of the Compose file are written there: spelled out, or filled from outside of it. Never a value."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from towline.spec.source import Source

_ASKED = re.compile(r"\$\$|\$(?:\{(?P<braced>[^{}]*)\}|(?P<bare>[A-Za-z_]\w*))")
_BRACED = re.compile(r"(?P<name>[A-Za-z_]\w*)(?P<how>:?[-?+])?(?P<rest>.*)", re.DOTALL)
_ANCESTORS = 8


@dataclass(frozen=True)
class Written:
    """One variable as it stands in the Compose file.

    `literal`: nothing from outside goes into it. `asks` are the variables of the shell or of `.env` that do; `alone`:
    it is nothing but one of them. `fallback` is what stands in that one's place when it is not set: the `2` of
    `${SECONDS:-2}`.
    """

    literal: bool
    asks: tuple[str, ...] = ()
    alone: bool = False
    fallback: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Spelled:
    """What the Compose file says of variables itself, by service and name; the rest comes from environment files.

    `arguments` are those of builds.
    """

    environment: Mapping[str, Mapping[str, Written]] = field(default_factory=dict)
    arguments: Mapping[str, Mapping[str, Written]] = field(default_factory=dict)


def spelled_in(sources: Iterable[Source], services: Iterable[str]) -> Spelled:
    """What the Compose files `sources` say of these services; a later file goes before an earlier one."""
    known, names = tuple(sources), tuple(services)
    return Spelled(
        {name: _merged(known, name, ("environment",)) for name in names},
        {name: _merged(known, name, ("build", "args")) for name in names},
    )


def written(value: Any) -> Written:
    """How one value is written; anything but a text is literal."""
    if not isinstance(value, str):
        return Written(literal=True)
    asked = [match for match in _ASKED.finditer(value) if match[0] != "$$"]
    if not asked:
        return Written(literal=True)
    names = tuple(dict.fromkeys(_name(match) for match in asked))
    alone = len(asked) == 1 and asked[0][0] == value
    return Written(literal=False, asks=names, alone=alone, fallback=_fallback(asked[0]) if alone else None)


def _name(match: re.Match[str]) -> str:
    parts = _BRACED.fullmatch(match["braced"] or match["bare"] or "")
    return parts["name"] if parts else ""


def _fallback(match: re.Match[str]) -> str | None:
    parts = _BRACED.fullmatch(match["braced"] or "")
    if parts is None or parts["how"] not in (":-", "-") or "$" in parts["rest"]:
        return None
    return str(parts["rest"])


def _merged(sources: tuple[Source, ...], service: str, section: tuple[str, ...]) -> dict[str, Written]:
    found: dict[str, Written] = {}
    for source in sources:
        found |= {name: written(value) for name, value in _of_service(source, service, section).items()}
    return found


def _of_service(source: Source, service: str, section: tuple[str, ...], left: int = _ANCESTORS) -> dict[str, Any]:
    """The variables of one section, over those of the service in the same file that it extends."""
    parent = source.at("services", service, "extends")
    if isinstance(parent, dict):
        parent = parent.get("service") if "file" not in parent else None
    below = _of_service(source, parent, section, left - 1) if isinstance(parent, str) and left else {}
    return {**below, **_pairs(source.at("services", service, *section))}


def _pairs(value: Any) -> dict[str, Any]:
    """A mapping, or a list of `NAME=value`; a name alone takes its value from the shell, and is left out."""
    if isinstance(value, dict):
        return {name: one for name, one in value.items() if one is not None}
    if isinstance(value, list):
        split = [str(one).partition("=") for one in value if isinstance(one, str) and "=" in one]
        return {name: text for name, _, text in split}
    return {}
