"""Reads one table (from TOML or JSON) key by key and collects every mistake with its path."""

from __future__ import annotations

import math
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|KIB|MIB|GIB)?$", re.IGNORECASE)
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


class Table:
    """One table being read; a getter takes a key off it, `finish` reports the keys nobody took."""

    def __init__(self, values: Mapping[str, object], where: str, mistakes: list[tuple[str, str]]) -> None:
        self._left = dict(values)
        self._known: list[str] = []
        self._where = where
        self.mistakes = mistakes

    def path(self, key: str) -> str:
        """The path of a key as a reader would write it."""
        return f"{self._where}.{key}" if self._where else key

    def wrong(self, key: str, sentence: str) -> None:
        """Note a mistake at a key."""
        self.mistakes.append((self.path(key), sentence))

    def has(self, key: str) -> bool:
        """Whether the key is given and not yet taken."""
        return self._left.get(key) is not None

    def take(self, key: str) -> object:
        """The raw value, None when absent."""
        self._known.append(key)
        return self._left.pop(key, None)

    def text(self, key: str, default: str | None = None) -> str | None:
        """A string that is not empty."""
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, str) and value and "\0" not in value:
            return value
        self.wrong(key, "must be text that is not empty")
        return default

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        """One of a few words."""
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, str) and value in choices:
            return value
        self.wrong(key, f"must be one of {', '.join(choices)}")
        return default

    def seconds(self, key: str, default: float, least: float = 0.0) -> float:
        """A finite number of seconds."""
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, int | float) and not isinstance(value, bool) and _is_usable(value, least):
            return float(value)
        self.wrong(key, f"must be a number, at least {least:g}")
        return default

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number between two bounds."""
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.wrong(key, f"must be a whole number from {least} to {most}")
        return default

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.take(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        self.wrong(key, "must be true or false")
        return default

    def texts(self, key: str, *, filled: bool = False) -> tuple[str, ...]:
        """A list of strings; `filled` asks for at least one, the first not empty."""
        value = self.take(key)
        if value is None and not filled:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
            self.wrong(key, "must be a list of texts")
            return ()
        if filled and (not value or not value[0]):
            self.wrong(key, "must name a program")
        return tuple(value)

    def size(self, key: str) -> int | None:
        """Bytes, given as a whole number or as text such as "512MB" (10^6) or "512MiB" (2^20)."""
        value = self.take(key)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        match = _SIZE.match(value.strip()) if isinstance(value, str) else None
        if match and float(match[1]) > 0:
            return int(float(match[1]) * _UNITS[(match[2] or "B").lower()])
        self.wrong(key, 'must be bytes or a size such as "512MB"')
        return None

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """A table of texts, sorted by name; mistakes never repeat a value."""
        value = self.take(key)
        if value is None:
            return ()
        if isinstance(value, dict) and all(_is_pair(name, text) for name, text in value.items()):
            return tuple(sorted(value.items()))
        self.wrong(key, "must be a table of names and texts")
        return ()

    def table(self, key: str) -> Table | None:
        """A table inside this one."""
        value = self.take(key)
        if value is None:
            return None
        if isinstance(value, dict) and all(isinstance(name, str) for name in value):
            return Table(value, self.path(key), self.mistakes)
        self.wrong(key, "must be a table")
        return None

    def finish(self) -> None:
        """Report every key that is left, with the nearest known one."""
        for key in self._left:
            self.wrong(key, f"is not known{_nearest(key, self._known)}")


def _is_usable(value: float, least: float) -> bool:
    return math.isfinite(value) and value >= least


def _is_pair(name: object, text: object) -> bool:
    if not isinstance(name, str) or not isinstance(text, str):
        return False
    return bool(name) and "=" not in name and "\0" not in name + text


def _nearest(key: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, known, 1)
    return f"; did you mean {near[0]}?" if near else ""
