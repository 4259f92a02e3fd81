"""Several data files as one: the built-in ones side by side, the user's own over them."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from towline.core.errors import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from towline.catalog.toml_lines import TomlFile

NAMED = ("providers", "sources", "regions", "prices", "offers")
"""The tables of a data file whose keys are names."""

_OWN = {"source": "own", "confidence": "own"}
_OF_THE_OLD = frozenset({"date", "note", "others"})


def merge(files: Sequence[TomlFile], own: TomlFile | None) -> tuple[dict[str, Any], list[Finding]]:
    """One document of all, and what stands in two of `files`. Whatever `own` says wins, and is marked as its own."""
    document: dict[str, Any] = {name: {} for name in NAMED}
    document["rates"] = []
    found: list[Finding] = []
    for file in files:
        for section in NAMED:
            for name, value in _table(file, section).items():
                if name in document[section]:
                    sentence = f"`{name}` is defined in two files"
                    found.append(Finding("defined-twice", sentence, file.where((section, name)), "keep one of them"))
                document[section][name] = value
        document["rates"] += _rates(file)
    found += [one for file in files for one in _strangers(file)]
    if own is not None:
        found += _strangers(own)
        if not own.findings and not isinstance(own.value.get("date"), date):
            hint = "add a line such as `date = 2026-11-01` at the top: the day that your figures are of"
            found.append(Finding("missing-key", "`date` is missing", own.where(()), hint))
        _lay_over(document, own)
    return document, found


def _lay_over(document: dict[str, Any], own: TomlFile) -> None:
    read = own.value.get("date")
    document["sources"]["own"] = {"url": own.place, "read": read if isinstance(read, date) else date.min}
    document["rates"] += _rates(own)
    for section in NAMED:
        for name, value in _table(own, section).items():
            below = document[section].get(name)
            signed = _signed(value, new=below is None) if section in {"offers", "prices"} else value
            document[section][name] = _over(below, signed)


def _signed(value: Any, *, new: bool) -> Any:
    """An entry whose numbers say that they are the user's own, unless they name another source."""
    if not isinstance(value, dict):
        return value
    signed = {**_OWN, **value} if new or "amount" in value else dict(value)
    for table in ("prices", "limits"):
        if isinstance(value.get(table), dict):
            signed[table] = {name: {**_OWN, **_as_table(one)} for name, one in value[table].items()}
    return signed


def _as_table(one: Any) -> dict[str, Any]:
    return one if isinstance(one, dict) else {"value": one}


def _over(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    # A number of the user's own does not keep the date and the doubts of the one that it replaces.
    kept = {key: one for key, one in below.items() if "source" not in above or key not in _OF_THE_OLD}
    return {**kept, **{key: _over(below.get(key), one) for key, one in above.items()}}


def _strangers(file: TomlFile) -> list[Finding]:
    """What stands at the top of a file and is none of its tables."""
    known = (*NAMED, "rates", "date")
    hint = f"possible here: {', '.join(known)}"
    found = [
        Finding("unknown-key", f"Unknown key `{key}`", file.where((key,)), hint)
        for key in file.value
        if key not in known
    ]
    for name, kind, example in [*((name, dict, f'[{name}."NAME"]') for name in NAMED), ("rates", list, "[[rates]]")]:
        if not isinstance(file.value.get(name, kind()), kind):
            sentence = f"`{name}`: a table is wanted"
            found.append(Finding("wrong-value", sentence, file.where((name,)), f"write `{example}`"))
    return found


def _table(file: TomlFile, section: str) -> dict[str, Any]:
    found = file.value.get(section, {})
    return found if isinstance(found, dict) else {}


def _rates(file: TomlFile) -> list[tuple[int, Any]]:
    """The rates of a file, each with its place in the list."""
    found = file.value.get("rates", [])
    return list(enumerate(found)) if isinstance(found, list) else []
