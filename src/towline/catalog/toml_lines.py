"""A TOML file as plain values, with the line of every table, key and item of a list."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from towline.core.errors import Finding, Where

Steps = tuple["str | int", ...]

_BARE = r'(?:[\w-]+|"[^"\n]*")'
_KEY = re.compile(rf"\s*({_BARE}(?:\s*\.\s*{_BARE})*)\s*=\s*(.*)")
_TABLE = re.compile(rf"\s*\[({_BARE}(?:\s*\.\s*{_BARE})*)\]\s*(?:#.*)?")
_ITEM_TABLE = re.compile(rf"\s*\[\[({_BARE}(?:\s*\.\s*{_BARE})*)\]\]\s*(?:#.*)?")
_PART = re.compile(_BARE)
_AT_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)|\s*\(at end of document\)")


@dataclass(frozen=True)
class TomlFile:
    """A file as read; `value` is empty and `findings` holds the reason when it is no TOML. Lines are 1-based."""

    place: str
    value: dict[str, Any] = field(default_factory=dict, repr=False)
    lines: dict[Steps, int] = field(default_factory=dict, repr=False)
    findings: tuple[Finding, ...] = ()

    def depth(self, path: Steps) -> int:
        """How many steps of `path` are in this file."""
        return next((length for length in range(len(path), 0, -1) if path[:length] in self.lines), 0)

    def where(self, path: Steps) -> Where:
        """The place of `path`, or of the nearest thing around it."""
        return Where(self.place, self.lines.get(path[: self.depth(path)]))


def read_toml(text: str, place: str) -> TomlFile:
    """The file `place` with content `text`; never raises for what is written in it. Numbers stay exact."""
    try:
        value = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        match = _AT_LINE.search(str(error))
        line = int(match[1]) if match and match[1] else text.count("\n") + 1
        reason = _AT_LINE.sub("", str(error))
        sentence = f"This is no TOML: {reason[:1].lower()}{reason[1:]}"
        return TomlFile(place, findings=(Finding("toml-syntax", sentence, Where(place, line), "correct this line"),))
    except (RecursionError, ValueError, ArithmeticError):
        finding = Finding("toml-syntax", "This cannot be read as TOML", Where(place), "keep tables flat, numbers short")
        return TomlFile(place, findings=(finding,))
    return TomlFile(place, value, _lines(text))


def _lines(text: str) -> dict[Steps, int]:
    found: dict[Steps, int] = {}
    table: Steps = ()
    inside: Steps | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if inside is not None:
            inside = _in_list(line, number, inside, found)
        elif match := _ITEM_TABLE.fullmatch(line):
            table = _next_item(_path(match[1]), found)
            found.setdefault(table, number)
        elif match := _TABLE.fullmatch(line):
            table = _path(match[1])
            found.setdefault(table, number)
        elif match := _KEY.match(line):
            path = (*table, *_path(match[1]))
            for length in range(len(table) + 1, len(path) + 1):
                found.setdefault(path[:length], number)
            opens = match[2].strip()
            inside = path if opens.startswith("[") and "]" not in opens else None
    return found


def _in_list(line: str, number: int, inside: Steps, found: dict[Steps, int]) -> Steps | None:
    """Count an item of a list that is written over several lines; None when the list ends."""
    if line.strip().startswith("]"):
        return None
    if line.strip() and not line.strip().startswith("#"):
        found.setdefault(_next_item(inside, found), number)
    return inside


def _next_item(path: Steps, found: dict[Steps, int]) -> Steps:
    return (*path, next(index for index in range(len(found) + 1) if (*path, index) not in found))


def _path(written: str) -> Steps:
    return tuple(part.strip('"') for part in _PART.findall(written))
