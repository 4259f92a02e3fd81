"""Reading one table of a data file: every field typed, every mistake kept, nothing guessed."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from towline.catalog.measures import UNITS, amount_in
from towline.core.errors import Finding
from towline.core.units import seconds
from towline.spec.nearest import did_you_mean, listed, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from towline.catalog.measures import Unit
    from towline.catalog.toml_lines import Steps
    from towline.core.errors import Where

UNKNOWN = "unknown"
UNLIMITED = Decimal("Infinity")
_DAY = 86400
_MOST = Decimal(10) ** 15


class Desk:
    """Where the findings of a reading are laid down."""

    def __init__(self, where: Callable[[Steps], Where]) -> None:
        self.where = where
        self.findings: list[Finding] = []

    def complain(self, code: str, sentence: str, path: Steps, hint: str | None = None) -> None:
        """Keep one mistake at `path`."""
        self.findings.append(Finding(code, sentence, self.where(path), hint))


class Part:
    """One table: asked for each key once; `end` complains of keys that nobody asked for.

    A value that cannot be used is complained of, and a harmless one stands in for it.
    """

    def __init__(self, value: object, path: Steps, desk: Desk) -> None:
        self.path, self.desk = path, desk
        self.value: dict[str, Any] = value if isinstance(value, dict) else {}
        self._asked: set[str] = set()
        if not isinstance(value, dict):
            self.refuse("a table of `name = value` is wanted")

    def refuse(self, wanted: str, key: str | None = None, hint: str | None = None) -> None:
        """Complain of the value of `key`, or of the whole table."""
        path = self.path if key is None else (*self.path, key)
        self.desk.complain("wrong-value", f"{_subject(path)}: {wanted}", path, hint)

    def get(self, key: str, *, required: bool = False) -> Any:
        """The raw value of `key`; None when it is not there."""
        self._asked.add(key)
        found = self.value.get(key)
        if found is None and required:
            path = (*self.path, key)
            self.desk.complain("missing-key", f"`{key}` is missing{_of(path, ' in')}", self.path, f"add `{key} = ...`")
        return found

    def text(self, key: str, default: str = "", *, required: bool = False) -> str:
        """A text."""
        found = self.get(key, required=required)
        if found is None or isinstance(found, str):
            return found if found is not None else default
        self.refuse("a text in quotes is wanted", key)
        return default

    def choice(self, key: str, known: Iterable[str], default: str = "", *, required: bool = False) -> str:
        """One of the words `known`."""
        words = list(known)
        found = self.text(key, default, required=required)
        if not found or found in words or not isinstance(self.value.get(key), str):
            return found or default
        self.refuse(f"{shown(found)} is not known{did_you_mean(found, words)}", key, f"write {listed(words)}")
        return default

    def words(self, key: str, known: Iterable[str] | None = None) -> tuple[str, ...]:
        """A list of texts, each one of `known` when that is given."""
        found = self.get(key)
        if found is None:
            return ()
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self.refuse("a list of texts is wanted", key, f'write for example `{key} = ["a", "b"]`')
            return ()
        names = None if known is None else list(known)
        for one in found:
            if names is not None and one not in names:
                self.refuse(f"{shown(one)} is not known{did_you_mean(one, names)}", key)
        return tuple(found)

    def flag(self, key: str) -> bool:
        """`true` or `false`; false when not written."""
        found = self.get(key)
        if found is not None and not isinstance(found, bool):
            self.refuse("`true` or `false` is wanted", key)
        return found is True

    def day(self, key: str, default: date | None = None, *, required: bool = False) -> date | None:
        """A date such as 2026-09-05, without quotes."""
        found = self.get(key, required=required)
        if found is None:
            return default
        if isinstance(found, date) and not isinstance(found, datetime):
            return found
        self.refuse("a date is wanted", key, f"write for example `{key} = 2026-09-05`, without quotes")
        return default

    def number(self, key: str, *, required: bool = False, negative: bool = False) -> Decimal | None:
        """An exact number; None when it is not there or the word `unknown` stands for it."""
        found = self.get(key, required=required)
        if found is None or found == UNKNOWN:
            return None
        number = _number(found)
        if number is None or (number < 0 and not negative):
            wanted = "a number that is not negative" if not negative else "a number"
            self.refuse(
                f"{wanted} is wanted", key, "without quotes; write the word `unknown`, in quotes, for no figure"
            )
            return None
        return number

    def unit(self, key: str) -> Unit:
        """One of the known units; `each` stands in for an unknown one."""
        found = self.text(key, required=True)
        if found and found not in UNITS:
            close = did_you_mean(found, UNITS)
            path = (*self.path, key)
            self.desk.complain("unknown-unit", f"{shown(found)} is no unit{close}", path, f"write {listed(UNITS)}")
        return UNITS.get(found, UNITS["each"])

    def measured(self, key: str, measure: str, default: Decimal | None = Decimal(0)) -> Decimal | None:
        """A quantity of `measure`, in its own unit; None for `unknown`, infinite for `unlimited`."""
        found = self.get(key)
        if found is None:
            return default
        if found in {UNKNOWN, "unlimited"}:
            return None if found == UNKNOWN else UNLIMITED
        try:
            return _measured(found, measure)
        except (ValueError, ArithmeticError) as error:
            self.refuse(str(error), key, "the words `unknown` and `unlimited` are possible too")
            return default

    def end(self) -> None:
        """Complain of every key that is not known here."""
        for key in self.value:
            if key not in self._asked:
                path = (*self.path, key)
                known = sorted(self._asked)
                sentence = f"Unknown key {shown(key)}{_of(path)}{did_you_mean(key, known)}"
                self.desk.complain("unknown-key", sentence, path, f"possible here: {listed(known)}")


def _measured(found: object, measure: str) -> Decimal:
    if measure in {"second", "day"}:
        if isinstance(found, str):
            span = Decimal(str(seconds(found)))
            return span if measure == "second" else span / _DAY
        raise ValueError("a span of time is wanted: write for example 15m or 7d, in quotes")
    if isinstance(found, str):
        return amount_in(found, measure)
    number = _number(found)
    if number is None or number < 0 or measure != "count":
        raise ValueError(f"a quantity of {measure} is wanted: write for example 5 GB, in quotes")
    return number


def _number(found: object) -> Decimal | None:
    if isinstance(found, bool) or not isinstance(found, (int, Decimal)):
        return None
    number = Decimal(found)
    return number if number.is_finite() and abs(number) < _MOST else None


def _subject(path: Steps) -> str:
    return f"{shown(str(path[-1]))}{_of(path)}" if path else "The file"


def _of(path: Steps, word: str = " of") -> str:
    around = ".".join(str(part) for part in path[:-1])
    return f"{word} `{around}`" if around else ""
