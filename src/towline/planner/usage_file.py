"""usage.yaml: read to a Usage or to everything that is wrong with it, and its schema and manual, made of its fields."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from towline.catalog.fields import Desk, Part
from towline.core.errors import Findings, UsageError, Where
from towline.core.units import byte_count, money, seconds
from towline.planner.usage import FIELDS, SECTIONS, Field, Jobs, Pages, Requests, Usage, Wishes
from towline.spec.nearest import did_you_mean, listed, shown
from towline.spec.source import read_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from towline.catalog.read import Catalog
    from towline.core.units import Money

USAGE_FILE = "usage.yaml"
_GB = Decimal(10**9)
_MOST = Decimal(10) ** 12
_MAPPINGS = {"sizes": "size", "wholes": "whole", "spans": "span", "names": "word"}


@dataclass(frozen=True)
class Known:
    """What the names in usage.yaml may be of."""

    services: tuple[str, ...]
    stores: tuple[str, ...]
    sites: tuple[str, ...] = ()


def read_usage(path: Path | None, known: Known, catalog: Catalog) -> Usage:
    """The usage in the file at `path`, every default without one; Findings for all that is wrong in it."""
    if path is None:
        return usage_of("", USAGE_FILE, known, catalog)
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no UTF-8 text"
        raise UsageError(f"{path} cannot be read: {reason}", where=Where(str(path))) from None
    return usage_of(text, path.name, known, catalog)


def usage_of(text: str, place: str, known: Known, catalog: Catalog) -> Usage:
    """The usage in `text`; Findings for all that is wrong in it."""
    source = read_source(text, place)
    desk = Desk(lambda path: source.where(*path))
    desk.findings += source.findings
    if not source.findings:
        root = Part({} if source.value is None else _exact(source.value), (), desk)
        values = _values(root, desk)
        _check_names(values, root, known, catalog)
        if not desk.findings:
            return _usage(values)
    raise _refusal(desk)


def _refusal(desk: Desk) -> Findings:
    refused = Findings(tuple(desk.findings))
    refused.hint = "towline compare --schema"
    return refused


def _exact(value: Any) -> Any:
    """Numbers with a point as the decimals that were written, not as the nearest binary fractions."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, dict):
        return {str(key): _exact(one) for key, one in value.items()}
    return [_exact(one) for one in value] if isinstance(value, list) else value


def _values(root: Part, desk: Desk) -> dict[str, Any]:
    sections = {}
    for name in SECTIONS:
        inner = root.get(name)
        sections[name] = Part({} if inner is None else inner, (name,), desk)
    found = {}
    for one in FIELDS:
        section, _, key = one.name.rpartition(".")
        found[one.name] = _value(one, sections.get(section, root), key)
    for part in (*sections.values(), root):
        part.end()
    return found


def _value(one: Field, part: Part, key: str) -> Any:
    raw = part.get(key)
    if one.kind in _MAPPINGS:
        return _mapping(part, key, raw, _READERS[_MAPPINGS[one.kind]])
    if raw is None:
        raw = _default(one)
    return _read(part, key, raw, _READERS[one.kind], one)


def _default(one: Field) -> Any:
    if one.kind == "words":
        return one.default.split()
    return {"true": True, "false": False}.get(one.default, one.default)


def _mapping(part: Part, key: str, raw: Any, reader: Callable[[Any], Any]) -> dict[str, Any]:
    if raw is None:
        return {}
    inner = Part(raw, (*part.path, key), part.desk)
    found = {name: _read(inner, name, inner.get(name), reader, None) for name in inner.value}
    return {name: one for name, one in found.items() if one is not None}


def _read(part: Part, key: str, raw: Any, reader: Callable[[Any], Any], one: Field | None) -> Any:
    try:
        value = reader(raw)
    except (ValueError, InvalidOperation, OverflowError) as error:
        part.refuse(str(error), key)
        return None
    for word in value if isinstance(value, tuple) else (value,):
        if one is not None and one.choices and word not in one.choices:
            close = did_you_mean(str(word), one.choices)
            part.refuse(f"{shown(str(word))} is not known{close}", key, f"write {listed(one.choices)}")
    return value


def _number(raw: Any) -> Decimal:
    if isinstance(raw, bool) or not isinstance(raw, (int, Decimal, str)):
        raise ValueError("a number that is not negative is wanted")  # noqa: TRY004 - the reader takes a ValueError
    if isinstance(raw, str) and not re.fullmatch(r"\d{1,15}(\.\d{1,9})?", raw.strip()):
        raise ValueError("a number that is not negative is wanted")
    number = Decimal(raw)
    if not 0 <= number < _MOST:
        raise ValueError("a number that is not negative is wanted")
    return number


def _whole(raw: Any) -> Decimal:
    number = _number(raw)
    if number != number.to_integral_value() or number > 100_000:
        raise ValueError("a whole number is wanted")
    return number


def _percent(raw: Any) -> Decimal:
    number = _number(raw.strip().removesuffix("%").strip() if isinstance(raw, str) else raw)
    if number > 100:
        raise ValueError("a number of percent is wanted, from 0 to 100")
    return number


def _size(raw: Any) -> Decimal:
    if isinstance(raw, bool) or not isinstance(raw, (int, str)) or raw == "":
        raise ValueError("a size is wanted, for example 512MB or 1GiB")
    size = byte_count(raw)
    if not 0 <= size < 10**18:
        raise ValueError("a size that is not negative is wanted, for example 512MB")
    return size / _GB


def _span(raw: Any) -> Decimal:
    if isinstance(raw, bool) or not isinstance(raw, (int, Decimal, str)) or raw == "":
        raise ValueError("a span of time is wanted, for example 200ms, 30s or 2h")
    span = seconds(str(raw)) if isinstance(raw, str) else float(raw)
    if not 0 <= span < 10**9:
        raise ValueError("a span of time that is not negative is wanted, for example 30s")
    return Decimal(str(span))


def _flag(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise ValueError("`true` or `false` is wanted")  # noqa: TRY004 - the reader takes a ValueError
    return raw


def _word(raw: Any) -> str:
    if not isinstance(raw, str):
        raise ValueError("a word is wanted")  # noqa: TRY004 - the reader takes a ValueError
    return raw


def _words(raw: Any) -> tuple[str, ...]:
    many = [raw] if isinstance(raw, str) else raw
    if not isinstance(many, list) or not all(isinstance(one, str) for one in many):
        raise ValueError("a list of words is wanted, for example [sleeps, quota]")
    return tuple(many)


def _money(raw: Any) -> Money | None:
    if raw == "":
        return None
    if not isinstance(raw, str):
        raise ValueError("an amount of money is wanted, for example $40 or 40 EUR")  # noqa: TRY004 - as above
    return money(raw)


_READERS: dict[str, Callable[[Any], Any]] = {
    "number": _number,
    "whole": _whole,
    "percent": _percent,
    "size": _size,
    "span": _span,
    "flag": _flag,
    "word": _word,
    "words": _words,
    "money": _money,
}


def _check_names(values: dict[str, Any], root: Part, known: Known, catalog: Catalog) -> None:
    """Complain of names that nothing has, and of numbers that cannot be together."""
    parts = (*known.services, *known.stores)
    _strangers(root, "storage", values["storage"], known.stores)
    _strangers(root, "memory", values["memory"], parts)
    _strangers(root, "pool", values["pool"], known.services)
    _strangers(root, "copies", values["copies"], known.services)
    _strangers(root, "offers", values["offers"], (*parts, *known.sites, "server", "container"))
    for name, offer in values["offers"].items():
        if offer not in catalog.offers:
            close, path = did_you_mean(offer, catalog.offers), ("offers", name)
            root.desk.complain(
                "unknown-offer", f"There is no offer {shown(offer)}{close}", path, "towline catalog list"
            )
    if values["jobs.worker"] and values["jobs.worker"] not in known.services:
        _strange(root, ("jobs", "worker"), values["jobs.worker"], known.services)
    _check_places(values, root, catalog)
    _check_money(values, root, catalog)
    if values["jobs.slots"] is not None and not 1 <= values["jobs.slots"] <= 10_000:
        root.refuse("`slots` is at least 1 and at most 10,000", "jobs", "write for example `slots: 5`")
    if values["jobs.seconds"] == 0:
        root.refuse("a job takes more than no time", "jobs", "write for example `seconds: 10s`")
    if values["jobs.part"] is not None and not 0 < values["jobs.part"] < 100:
        root.refuse("`part` is more than 0 and less than 100 percent", "jobs", "write for example `part: 95`")


def _check_places(values: dict[str, Any], root: Part, catalog: Catalog) -> None:
    if values["near"] is not None and values["near"] not in catalog.regions:
        close = did_you_mean(values["near"], catalog.regions)
        hint = "towline catalog list --json shows every region"
        root.desk.complain("unknown-region", f"There is no region {shown(values['near'])}{close}", ("near",), hint)
    areas = sorted({one.area for one in catalog.regions.values()})
    if values["wishes.area"] and values["wishes.area"] not in areas:
        close = did_you_mean(values["wishes.area"], areas)
        sentence = f"There is no area {shown(values['wishes.area'])}{close}"
        root.desk.complain("unknown-region", sentence, ("wishes", "area"), f"write {listed(areas)}")
    for ends in values["measured"]:
        if len(ends.split()) != 2 or not set(ends.split()) <= set(catalog.regions):
            hint = "write for example `render/frankfurt hetzner/nbg1: 5ms`"
            root.desk.complain("unknown-region", "Two regions with a blank between them", ("measured", ends), hint)


def _check_money(values: dict[str, Any], root: Part, catalog: Catalog) -> None:
    known = {one.base for one in catalog.rates} | {one.quote for one in catalog.rates} | {"USD"}
    if values["currency"] is not None and values["currency"] not in known:
        sentence = f"{shown(values['currency'])} is no currency that there is a rate for"
        root.refuse(sentence, "currency", f"write {listed(sorted(known))}")
    budget = values["wishes.budget"]
    if budget is not None and budget.currency != values["currency"]:
        sentence = f"the budget is in {budget.currency} and the bill in {values['currency']}"
        root.refuse(sentence, "wishes", f"write both alike: `currency: {budget.currency}`")


def _strangers(root: Part, key: str, named: dict[str, Any], known: tuple[str, ...]) -> None:
    for name in named:
        if name not in known:
            _strange(root, (key, name), name, known)


def _strange(root: Part, path: tuple[str, ...], name: str, known: Iterable[str]) -> None:
    names = list(known)
    sentence = f"There is no {shown(name)} in the app{did_you_mean(name, names)}"
    root.desk.complain("unknown-key", sentence, path, f"possible here: {listed(names)}")


def _usage(values: dict[str, Any]) -> Usage:
    def section(name: str) -> dict[str, Any]:
        renamed = {"in": "size_in", "out": "size_out"}
        inside = {key.partition(".")[2]: one for key, one in values.items() if key.startswith(f"{name}.")}
        return {renamed.get(key, key): one for key, one in inside.items()}

    top = {key: one for key, one in values.items() if "." not in key}
    jobs, wishes = section("jobs"), section("wishes")
    jobs |= {"slots": int(jobs["slots"]), "part": jobs["part"] / 100}
    wishes |= {"availability": wishes["availability"] / 100}
    return Usage(
        **{**top, "seats": int(top["seats"])},
        requests=Requests(**section("requests")),
        pages=Pages(**section("pages")),
        jobs=Jobs(**jobs),
        query=values["statement.query"],
        reply=values["statement.reply"],
        wishes=Wishes(**wishes),
    )


_SCHEMAS: dict[str, dict[str, Any]] = {
    "number": {"type": "number", "minimum": 0},
    "whole": {"type": "integer", "minimum": 0},
    "percent": {"type": ["number", "string"]},
    "size": {"type": ["integer", "string"], "examples": ["512MB"]},
    "span": {"type": ["number", "string"], "examples": ["30s"]},
    "flag": {"type": "boolean"},
    "word": {"type": "string"},
    "money": {"type": "string", "examples": ["$40"]},
    "words": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
}


def usage_schema() -> dict[str, Any]:
    """The JSON schema of usage.yaml, for editors."""
    root = _object("How much an app is used, and what its owner wishes.")
    for name in SECTIONS:
        root["properties"][name] = _object(f"The section `{name}`.")
    for one in FIELDS:
        section, _, key = one.name.rpartition(".")
        place = root["properties"][section]["properties"] if section else root["properties"]
        place[key] = _field_schema(one)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root}


def _object(meaning: str) -> dict[str, Any]:
    return {"type": "object", "description": meaning, "additionalProperties": False, "properties": {}}


def _field_schema(one: Field) -> dict[str, Any]:
    if one.kind in _MAPPINGS:
        inner = _SCHEMAS[_MAPPINGS[one.kind]]
        return {"type": "object", "description": one.meaning, "additionalProperties": inner}
    schema = {**_SCHEMAS[one.kind], "description": one.meaning}
    if one.choices:
        words = {"type": "string", "enum": list(one.choices)}
        schema |= {"anyOf": [words, {"type": "array", "items": words}]} if one.kind == "words" else words
    if one.default:
        schema["default"] = _default(one)
    return schema


def usage_manual() -> str:
    """The fields as a Markdown table."""
    rows = [f"| `{one.name}` | {f'`{one.default}`' if one.default else '-'} | {one.meaning} |" for one in FIELDS]
    return "\n".join(["| field | default | meaning |", "|---|---|---|", *rows])
