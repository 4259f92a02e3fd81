"""A YAML file as plain values, with the line of everything in it.

Values are built from the node graph, never by constructors: whatever tag a file carries, nothing of it is executed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from towline.core.errors import Finding, Where
from towline.spec.nearest import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Steps = tuple["str | int", ...]

# No page of people comes near these; a document of nested aliases does.
MOST_NODES = 50_000
DEEPEST = 60

_CORE = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(f"{_CORE}{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp"))
_WRITTEN_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_WRITTEN_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")


@dataclass(frozen=True)
class Source:
    """A file as read: `value` is None and `broken` holds the reason when it is no YAML. Lines are 1-based."""

    place: str
    value: Any = field(default=None, repr=False)
    lines: dict[Steps, int] = field(default_factory=dict, repr=False)
    findings: tuple[Finding, ...] = ()
    text: str = field(default="", repr=False)

    @property
    def broken(self) -> bool:
        """Whether the file could not be read as YAML at all."""
        return any(finding.code == "yaml-syntax" for finding in self.findings)

    def line(self, *path: str | int) -> int | None:
        """The line of the key or item at `path`, else of the nearest thing around it that is in this file."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def at(self, *path: str | int) -> Any:
        """The value at `path` as written; None when there is none."""
        value = self.value
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def line_with(self, pattern: str) -> int | None:
        """The first line of the text in which `pattern`, a regular expression, is found."""
        match = re.search(pattern, self.text)
        return None if match is None else self.text.count("\n", 0, match.start()) + 1

    def where(self, *path: str | int) -> Where:
        """The place of `path` in this file, for a finding."""
        return Where(self.place, self.line(*path))


def where_in(sources: Iterable[Source], path: tuple[str, ...]) -> Where:
    """The place of `path` in the first of `sources` that has the longest part of it."""
    known = list(sources)
    for length in range(len(path), 0, -1):
        for source in known:
            if path[:length] in source.lines:
                return Where(source.place, source.lines[path[:length]])
    return Where(known[0].place if known else "compose.yaml")


def read_source(text: str, place: str, *, strict: bool = True) -> Source:
    """The file `place` with content `text`; never raises for what is written in it.

    `strict` reports duplicate keys and tags too; without it (a Compose file, which Compose judges itself) they pass.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # Not the round-trip loader: it carries comments along, and stumbles over some that are quite legal.
        root = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        return Source(place, findings=(_syntax(place, error),))
    except (RecursionError, ValueError, TypeError, AttributeError, LookupError, NotImplementedError) as error:
        # The parser lets some of its own slips through on malformed input; to a reader they are all one thing.
        return Source(place, findings=(_syntax(place, error),))
    return _Reader(place, strict).read(root, text)


def _syntax(place: str, error: Exception) -> Finding:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or "")
    if r"'\t'" in problem:
        reason, hint = "a tab cannot indent YAML", "indent with spaces"
    elif "another document" in problem:
        reason, hint = "it holds more than one document", "remove the line `---`"
    elif problem.startswith("expected <block end>"):
        reason, hint = "the indentation does not fit the lines above", "indent the lines of one section alike"
    elif problem.startswith(("expected ','", "expected the node content")):
        reason, hint = "a bracket is not closed, or a comma is missing", "check the brackets on and above this line"
    else:
        # The parser's own words may quote what stands there, which may be a value; only its fixed part is kept.
        reason = re.sub(r"""(['"`]).*""", "", problem).strip(" ,:") or "it cannot be read"
        hint = "check the indentation and the brackets around this line"
    line = None if mark is None else mark.line + 1
    return Finding("yaml-syntax", f"This is no YAML: {reason}", Where(place, line), hint)


class _TooMuch(Exception):
    """The document has more nodes or more depth than anybody writes."""


class _Reader:
    """Walks a node graph once; keeps lines and findings as it goes."""

    def __init__(self, place: str, strict: bool) -> None:
        self._place, self._strict = place, strict
        self._lines: dict[Steps, int] = {}
        self._findings: list[Finding] = []
        self._seen = 0

    def read(self, root: Any, text: str) -> Source:
        try:
            value = None if root is None else self._value(root, ())
        except _TooMuch:
            sentence = "The document is too large or too deep, or its aliases grow without end"
            finding = Finding("yaml-syntax", sentence, Where(self._place), "write the values out, without `&` and `*`")
            return Source(self._place, findings=(finding,))
        return Source(self._place, value, self._lines, tuple(self._findings), text)

    def _value(self, node: Any, path: Steps) -> Any:
        self._seen += 1
        if self._seen > MOST_NODES or len(path) > DEEPEST:
            raise _TooMuch
        tag = str(node.tag or "")
        if self._strict and tag and tag not in _PLAIN_TAGS:
            self._find("yaml-tag", "Tags such as `!name` mean nothing here", node, "remove the tag")
        if node.id == "mapping":
            return self._mapping(node, path)
        if node.id == "sequence":
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        return _scalar(node, tag)

    def _item(self, node: Any, path: Steps) -> Any:
        self._lines[path] = node.start_mark.line + 1
        return self._value(node, path)

    def _mapping(self, node: Any, path: Steps) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for name, key, value in _entries(node, merged=False):
            if name is None:
                self._find("yaml-syntax", "A key must be a plain word", key, "write `name: value`")
            elif name in built:
                self._find("duplicate-key", f"{shown(name)} is written twice", key, "keep one of the two")
            else:
                self._add(built, (*path, name), key, value)
        for name, key, value in _entries(node, merged=True):
            if name is not None and name not in built:
                self._add(built, (*path, name), key, value)
        return built

    def _add(self, built: dict[str, Any], path: Steps, key: Any, value: Any) -> None:
        self._lines[path] = key.start_mark.line + 1
        built[str(path[-1])] = self._value(value, path)

    def _find(self, code: str, sentence: str, node: Any, hint: str) -> None:
        if self._strict:
            self._findings.append(Finding(code, sentence, Where(self._place, node.start_mark.line + 1), hint))


def _entries(node: Any, *, merged: bool) -> Iterator[tuple[str | None, Any, Any]]:
    """Name, key node and value node of a mapping: its own ones, or those that it merges in with `<<`."""
    for key, value in node.value:
        is_merge = key.id == "scalar" and str(key.tag) == f"{_CORE}merge"
        if is_merge and merged:
            for part in value.value if value.id == "sequence" else [value]:
                if part.id == "mapping" and part is not node:
                    yield from _entries(part, merged=False)
        elif not is_merge and not merged:
            yield (str(key.value) if key.id == "scalar" else None), key, value


def _scalar(node: Any, tag: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2; quoted ones and everything else are text."""
    text = str(node.value)
    if node.style in {"'", '"', "|", ">"}:
        return text
    if tag == f"{_CORE}null":
        return None
    if tag == f"{_CORE}bool" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if tag == f"{_CORE}int" and _WRITTEN_INTEGER.fullmatch(text):
        return int(text)
    if tag == f"{_CORE}float" and _WRITTEN_FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text
