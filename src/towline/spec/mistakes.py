"""What is wrong with a page, in plain words: pydantic's errors as findings, and the page that remains without them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from towline.core.errors import Finding
from towline.spec.model import ServiceKind, ShapeName, SiteKind, StoreKind
from towline.spec.nearest import did_you_mean, listed, nearest, shown
from towline.spec.page import (
    Entry,
    HooksEntry,
    JobEntry,
    NoticeEntry,
    Page,
    ReadyEntry,
    ReleaseEntry,
    ScaleEntry,
    SeedEntry,
    ServiceEntry,
    SiteEntry,
    StoreEntry,
    TargetEntry,
    UploadEntry,
    VerifyEntry,
)

if TYPE_CHECKING:
    from towline.spec.source import Source, Steps

# Each round takes out every part that was refused; a page that is still refused after so many is given up.
_ROUNDS = 8

_MODELS: tuple[tuple[tuple[str, ...], type[Entry]], ...] = (
    ((), Page),
    (("services", "*"), ServiceEntry),
    (("services", "*", "ready"), ReadyEntry),
    (("services", "*", "scale"), ScaleEntry),
    (("stores", "*"), StoreEntry),
    (("release",), ReleaseEntry),
    (("seed",), SeedEntry),
    (("hooks",), HooksEntry),
    (("notify", "*"), NoticeEntry),
    (("verify",), VerifyEntry),
    (("verify", "job"), JobEntry),
    (("verify", "job", "file"), UploadEntry),
    (("targets", "*"), TargetEntry),
    (("targets", "*", "sites", "*"), SiteEntry),
)
"""Which model stands where on the page; `*` is any name."""

_CLOSED: dict[tuple[str, str], tuple[str, ...]] = {
    ("services", "kind"): get_args(ServiceKind),
    ("stores", "kind"): get_args(StoreKind),
    ("stores", "use"): ("queue", "cache"),
    ("targets", "kind"): get_args(SiteKind),
    ("targets", "shape"): get_args(ShapeName),
    ("verify", "method"): ("POST", "PUT", "GET"),
    ("notify", "form"): ("json", "slack", "discord"),
    ("notify", "on"): ("always", "failed"),
}

_STAND_INS: dict[tuple[str, ...], str] = {
    ("release", "run"): "true",
    ("seed", "run"): "true",
    ("verify", "job", "path"): "/",
    ("verify", "job", "follow"): "/",
    ("verify", "job", "file", "field"): "file",
}
"""What stands for a required value that was refused, so that the rest of its section is still looked at."""

_SECTION = ("a section of `name: value` lines is wanted", "write its fields on the lines below it, indented")
_SWITCH = ("`true` or `false` is wanted", "write `true`")
_NUMBER = ("a whole number is wanted", "write for example `8000`")
_SHORT_FORMS = {
    "ready": ("a path that begins with `/` is wanted", "write for example `ready: /health`"),
    "scale": ("a number of copies is wanted", "write for example `scale: 2`"),
}

_TYPES: dict[str, tuple[str, str]] = {
    "model_type": _SECTION,
    "dict_type": _SECTION,
    "string_type": ("a text is wanted", "write a word or a text in quotes"),
    "bool_type": _SWITCH,
    "bool_parsing": _SWITCH,
    "int_type": _NUMBER,
    "int_parsing": _NUMBER,
    "int_parsing_size": _NUMBER,
    "int_from_float": _NUMBER,
    "tuple_type": ("a name or a list of names is wanted", "write for example `[api, worker]`"),
}
"""What pydantic's error types say to a person, and what to write instead."""

_PATTERNS = {
    "app": ("small letters, digits and dashes with a letter first, at most 41,", "postcards"),
    "domain": ("a domain without `https://`", "app.example.com"),
    "hostname": ("one part of a host name, of small letters, digits and dashes,", "api"),
    "ready": ("a path that begins with `/`", "/health"),
    "path": ("a path that begins with `/`", "/health"),
    "follow": ("a path that begins with `/`", "/api/cards/{id}"),
    "bind": ("a reference to a store or a service, never a value", "db.url"),
    "stores": ("small letters, digits, `-` and `_` with a letter first", "db"),
    "targets": ("small letters, digits, `-` and `_` with a letter first", "production"),
    "sites": ("small letters, digits, `-` and `_` with a letter first", "box"),
    "place": ("the name of a site", "box"),
    "port_variable": ("the name of a variable", "PORT"),
    "service": ("the name of a service", "api"),
    "in": ("the name of a service", "api"),
    "after": ("the name of a service", "api"),
    "notify": ("the name of a secret", "SLACK_URL"),
}


@dataclass(frozen=True)
class ReadPage:
    """The page without its refused parts, the findings about them, and their places.

    A check that depends on a refused part would only repeat the first mistake in other words: it asks `stands` first.
    """

    page: Page
    source: Source
    findings: tuple[Finding, ...] = ()
    refused: frozenset[tuple[str, ...]] = frozenset()

    def stands(self, *path: str) -> bool:
        """Whether nothing was refused at `path`, in it or around it."""
        return not any(_along(place, path) for place in self.refused)


ALL = frozenset({()})
"""The places of a page of which nothing could be used."""


def _along(place: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether one of the two begins with the other."""
    return all(one == other for one, other in zip(place, path, strict=False))


def page_of(source: Source) -> ReadPage:
    """The page that `source` holds; never raises for what is written in it."""
    if source.broken:
        return ReadPage(Page(), source, source.findings, ALL)
    value = {} if source.value is None else source.value
    if not isinstance(value, dict):
        sentence = "The page must be a section of `name: value` lines"
        finding = Finding("wrong-type", sentence, source.where(), "begin with `app: NAME`")
        return ReadPage(Page(), source, (*source.findings, finding), ALL)
    return _without_mistakes(source, copy.deepcopy(value))


def _without_mistakes(source: Source, value: dict[str, Any]) -> ReadPage:
    findings: list[Finding] = list(source.findings)
    refused_at: set[tuple[str, ...]] = set()
    for round_ in range(_ROUNDS):
        try:
            return ReadPage(Page.model_validate(value), source, tuple(findings), frozenset(refused_at))
        except ValidationError as refused:
            for error in refused.errors(include_url=False, include_input=False):
                # What is missing only since the round before took it out was reported then.
                if round_ == 0 or error["type"] != "missing":
                    findings.append(_finding(source, error))
                refused_at.add(_meant(error))
                _take_out(value, error)
    return ReadPage(Page(), source, tuple(findings), frozenset(refused_at))


def _meant(error: Any) -> tuple[str, ...]:
    """The place of what was refused; of an unknown key that of the known one that is most likely meant."""
    path = _place_of(error)
    around, last = tuple(str(part) for part in path[:-1]), str(path[-1]) if path else ""
    if error["type"] == "extra_forbidden":
        last = nearest(last, _known_keys(path)) or last
    return (*around, last) if path else ()


def _place_of(error: Any) -> Steps:
    return tuple(part for part in error["loc"] if part != "[key]")


def _take_out(value: Any, error: Any) -> None:
    """Remove the refused part, or stand in for it; for a missing key without a stand-in, the section that lacks it."""
    path = _place_of(error)
    stand_in = _STAND_INS.get(tuple(str(part) for part in path))
    if error["type"] == "missing" and stand_in is None:
        path = path[:-1]
    whole = len(path)
    for part in path[:-1]:
        inner = value.get(part) if isinstance(value, dict) else None
        if not isinstance(inner, dict):
            path = path[: path.index(part) + 1]
            break
        value = inner
    if path and isinstance(value, dict):
        value.pop(path[-1], None)
        if stand_in is not None and len(path) == whole:
            value[path[-1]] = stand_in


def _finding(source: Source, error: Any) -> Finding:
    path, kind = _place_of(error), str(error["type"])
    where = source.where(*path)
    if kind == "string_pattern_mismatch":
        return _no_match(error, path, source)
    code, sentence, hint = _explained(error, kind, path, source)
    return Finding(code, sentence, where, hint)


def _explained(error: Any, kind: str, path: Steps, source: Source) -> tuple[str, str, str | None]:
    """Code, sentence and hint of an error of pydantic's type `kind`."""
    last = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        known = _known_keys(path)
        sentence = f"Unknown key {shown(last)}{_of(path)}{did_you_mean(last, known)}"
        return "unknown-key", sentence, f"possible here: {listed(known)}"
    if kind == "literal_error":
        known = list(_CLOSED.get((str(path[0]), last), ()))
        written = str(source.at(*path))
        sentence = f"{_subject(path)}: {shown(written)} is not known{did_you_mean(written, known)}"
        return "wrong-value", sentence, f"write {listed(known)}"
    if kind == "missing":
        return "missing-key", f"`{last}` is missing{_of(path)}", f"add `{last}: ...`"
    if kind in _TYPES:
        wanted, hint = _SHORT_FORMS[last] if kind == "model_type" and last in _SHORT_FORMS else _TYPES[kind]
        return "wrong-type", f"{_subject(path)}: {wanted}", hint
    reason = str(error["ctx"]["error"]) if kind == "value_error" else _limits(error)
    wanted, _, example = reason.partition(", for example ")
    hint = f"for example {example}" if example else "correct it, or drop this line"
    return "wrong-value", f"{_subject(path)}: {wanted}", hint


def _no_match(error: Any, path: Steps, source: Source) -> Finding:
    is_name = "[key]" in error["loc"]
    wanted, example = _PATTERNS.get(_pattern_key(path, is_name), ("another form", "..."))
    if is_name and path[0] == "bind" and len(path) == 3:
        wanted, example = "the name of a variable", "DATABASE_URL"
    verb = "are" if wanted.startswith("small") else "is"
    sentence = f"{_subject(path)}: {wanted} {verb} wanted"
    return Finding("wrong-value", sentence, source.where(*path), f"for example `{example}`")


def _pattern_key(path: Steps, is_name: bool) -> str:
    if path[0] == "bind":
        return "bind"
    words = [str(part) for part in path if isinstance(part, str)]
    if is_name or words[-1] not in _PATTERNS:
        return next((word for word in reversed(words[:-1]) if word in _PATTERNS), words[0])
    return words[-1]


def _known_keys(path: Steps) -> list[str]:
    around = tuple(str(part) for part in path[:-1])
    for pattern, model in _MODELS:
        if len(pattern) == len(around) and all(a in {"*", b} for a, b in zip(pattern, around, strict=True)):
            return [field.alias or name for name, field in model.model_fields.items()]
    return []


def _subject(path: Steps) -> str:
    """`kind` of `services.api`: every part is a key that the user wrote."""
    if not path:
        return "The page"
    if isinstance(path[-1], int):
        return f"Item {path[-1] + 1}{_of(path)}"
    return f"{shown(str(path[-1]))}{_of(path)}"


def _of(path: Steps) -> str:
    around = ".".join(str(part) for part in path[:-1])
    return f" of {shown(around)}" if around else ""


def _limits(error: Any) -> str:
    context = error.get("ctx") or {}
    for key, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if key in context:
            return f"{words} {context[key]} is wanted, for example `{context[key]}`"
    if "max_length" in context:
        return f"at most {context['max_length']} characters are wanted"
    return "this cannot be used here"
