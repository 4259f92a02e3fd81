"""The data of stores on the disk: which kind and major version wrote a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_MARK = "towline-store"
"""Beside the data of servers that do not write their version themselves: "redis 9"."""


class Written(NamedTuple):
    """The kind of a store, and the major version of the server that wrote its data."""

    kind: str
    major: str


def folder(data: Path, store: str) -> Path:
    """Where a store keeps its data."""
    return data / store


def written(data: Path, store: str) -> Written | None:
    """What wrote the data of a store; None when there is none."""
    place = folder(data, store)
    try:
        return Written("postgres", (place / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        pass
    try:
        kind, _, major = (place / _MARK).read_text().strip().partition(" ")
    except FileNotFoundError:
        return None
    return Written(kind, major)


def mark(place: Path, kind: str, major: str) -> None:
    """Note what writes the data in a folder."""
    (place / _MARK).write_text(f"{kind} {major}\n")


def stores(data: Path) -> dict[str, Written]:
    """All stores that have data, by name."""
    if not data.is_dir():
        return {}
    names = sorted(path.name for path in data.iterdir() if path.is_dir() and not path.name.startswith("."))
    return {name: found for name in names if (found := written(data, name)) is not None}
