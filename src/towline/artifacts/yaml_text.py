"""YAML as text, in the order given and with comments: a small pure writer, the same bytes for the same value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 118
"""How wide a line of a comment may get."""

_PLAIN = re.compile(r"^[A-Za-z_/.$<=+(~][^\n\t]*$")
_WORDS_OF_YAML = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~", "=", "<<"})
_NUMBER = re.compile(r"^[-+]?(\d[\d_]*)?\.?\d+([eE][-+]?\d+)?$|^\.(inf|nan)$|^0[xo]", re.IGNORECASE)
_KEY = re.compile(r"^[A-Za-z_][\w.-]*$|^[A-Za-z_/][\w./-]*$")


@dataclass(frozen=True)
class Noted:
    """A value with a comment: above its key or item, or behind it on the same line."""

    value: object
    above: str = ""
    behind: str = ""


@dataclass(frozen=True)
class Inline:
    """A list on one line: `[main, next]`."""

    values: tuple[object, ...]


@dataclass(frozen=True)
class Anchored:
    """A mapping that is said once, under a name, and merged in elsewhere: `{"<<": Alias(name)}`."""

    name: str
    value: Mapping[str, object]


@dataclass(frozen=True)
class Alias:
    """What an `Anchored` of this name holds."""

    name: str


@dataclass(frozen=True)
class Quoted:
    """A text that stands in quotes on one line, whatever is in it: a block of lines would end with one newline."""

    text: str


def yaml_text(value: object) -> str:
    """The document: mappings in their own order, text quoted only where YAML would read it as something else."""
    return "\n".join(_block(value, "")) + "\n"


def spaced(text: str, pattern: str) -> str:
    """The text with an empty line before each line that begins like `pattern`, and before the comments above it."""
    lines: list[str] = []
    begins = re.compile(pattern)
    for line in text.split("\n"):
        if begins.match(line) and lines:
            at = len(lines)
            while at > 0 and lines[at - 1].lstrip().startswith("#"):
                at -= 1
            opens = at > 0 and lines[at - 1].endswith(":")
            if at > 0 and lines[at - 1] and not opens:
                lines.insert(at, "")
        lines.append(line)
    return "\n".join(lines)


def comment(text: str, indent: str = "") -> list[str]:
    """A comment as lines that begin with `#`, broken between words."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            if line and len(indent) + len(line) + len(word) + 3 > WIDTH:
                lines.append(line)
                line = ""
            line = f"{line} {word}" if line else word
        lines.append(line)
    return [f"{indent}# {line}".rstrip() for line in lines]


def scalar(value: object) -> str:
    """A value that is no mapping and no list, as one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value)
    return text if _is_plain(text) else _quoted(text)


def _quoted(text: str) -> str:
    """In double quotes, with everything escaped that nobody could see; YAML refuses some of that as it is."""
    shown = json.dumps(text, ensure_ascii=False)
    # By its number, in the eight digits that YAML knows: JSON would need two halves for what lies beyond four.
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in shown)


def _is_plain(text: str) -> bool:
    if not _PLAIN.match(text) and not re.match(r"^\d[\w.*/ :-]*$", text):
        return False
    if text.lower() in _WORDS_OF_YAML or _NUMBER.match(text) or re.match(r"^\d[\d_:. TZ-]*$", text):
        return False
    printable = all(letter.isprintable() for letter in text)
    return printable and text == text.strip() and ": " not in text and " #" not in text and not text.endswith(":")


def _block(value: object, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _entry(_key(str(key)), one, indent)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            yield from _item(one, indent)
    else:
        yield f"{indent}{scalar(value)}"


def _key(name: str) -> str:
    # `on` is a key of every workflow, and YAML 1.2, which its reader speaks, has no such word for true.
    plain = name == "<<" or (_KEY.match(name) and (name == "on" or name.lower() not in _WORDS_OF_YAML))
    return name if plain else _quoted(name)


def _opened(value: object, indent: str) -> tuple[object, str, list[str]]:
    """A value without its comment or name, what stands behind it, and the lines above it."""
    if isinstance(value, Anchored):
        return value.value, f" &{value.name}", []
    if not isinstance(value, Noted):
        return value, "", []
    above = comment(value.above, indent) if value.above else []
    if isinstance(value.value, Anchored):
        return value.value.value, f" &{value.value.name}", above
    return value.value, f" # {value.behind}" if value.behind else "", above


def _entry(key: str, written: object, indent: str) -> Iterator[str]:
    value, behind, above = _opened(written, indent)
    yield from above
    one_line = _one_line(value)
    if one_line is not None:
        yield f"{indent}{key}:{' ' if one_line else ''}{one_line}{behind}"
    elif isinstance(value, str):
        yield f"{indent}{key}: |{behind}"
        yield from _literal(value, indent + "  ")
    else:
        yield f"{indent}{key}:{behind}"
        yield from _block(value, indent + "  ")


def _item(written: object, indent: str) -> Iterator[str]:
    value, behind, above = _opened(written, indent)
    yield from above
    one_line = _one_line(value)
    if one_line is not None:
        yield f"{indent}- {one_line}{behind}"
        return
    if isinstance(value, str):
        yield f"{indent}- |{behind}"
        yield from _literal(value, indent + "  ")
        return
    inner = indent + "  "
    lines = list(_block(value, inner))
    first = next(number for number, line in enumerate(lines) if not line.lstrip().startswith("#"))
    # Comments of the first key stand above the dash, where they belong to the whole item.
    yield from (line.removeprefix("  ") for line in lines[:first])
    yield f"{indent}- {lines[first].removeprefix(inner)}{behind}"
    yield from lines[first + 1 :]


def _one_line(value: object) -> str | None:
    if isinstance(value, Alias | Quoted):
        return f"*{value.name}" if isinstance(value, Alias) else _quoted(value.text)
    if isinstance(value, Inline):
        return f"[{', '.join(_in_brackets(one) for one in value.values)}]"
    if isinstance(value, Mapping):
        return None if value else "{}"
    if isinstance(value, str):
        return None if "\n" in value else scalar(value)
    if isinstance(value, Sequence):
        return None if value else "[]"
    return scalar(value)


def _in_brackets(value: object) -> str:
    text = scalar(value)
    return text if re.fullmatch(r"[\w./*@+-]+|\".*\"", text) else _quoted(str(value))


def _literal(text: str, indent: str) -> Iterator[str]:
    for line in text.rstrip("\n").split("\n"):
        yield f"{indent}{line}" if line else ""
