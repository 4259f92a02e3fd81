"""Sizes, spans of time and money: parse what people write, print what people read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

_SPANS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZES |= {f"{letter}b": 10**power for letter, power in (("k", 3), ("m", 6), ("g", 9), ("t", 12))}
_SIZES |= {f"{letter}ib": 2**power for letter, power in (("k", 10), ("m", 20), ("g", 30), ("t", 40))}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")

_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP"}
_MONEY = re.compile(r"([$€£]|[A-Z]{3}\s)?\s*(\d{1,12}(?:\.\d{1,6})?)\s*([$€£]|[A-Z]{3})?\s*(?:(?:/|a |per )\s*month)?")
_CENT = Decimal("0.01")


def seconds(text: str | float) -> float:
    """Seconds in `120s`, `2m`, `1h30m`, `500ms` or a bare number; ValueError says what is accepted."""
    if isinstance(text, (int, float)):
        return float(text)
    total, rest = 0.0, text.strip()
    alone = _NUMBER.fullmatch(rest)
    if alone is not None and not alone[2]:
        return float(alone[1])
    while rest or not text.strip():
        match = _NUMBER.match(rest)
        if match is None or match[2] not in _SPANS:
            raise ValueError(f"{text!r} is not a span of time: write for example 90s, 2m or 1h30m")
        total += float(match[1]) * _SPANS[match[2]]
        rest = rest[match.end() :].strip()
    return total


def byte_count(text: str | int) -> int:
    """Bytes in `512MB` (decimal), `512MiB` (binary) or a bare number; ValueError says what is accepted."""
    if isinstance(text, int):
        return text
    match = _NUMBER.fullmatch(text.strip())
    if match is None or match[2].lower() not in _SIZES:
        raise ValueError(f"{text!r} is not a size: write for example 512MB or 1GiB")
    return round(float(match[1]) * _SIZES[match[2].lower()])


def show_seconds(span: float) -> str:
    """`0.4 s`, `12 s` or `2 min 5 s`."""
    if round(span, 1) < 10:
        return f"{span:.1f} s"
    whole = round(span)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60} s"


def show_bytes(count: int) -> str:
    """`900 B`, `1.5 kB`, `36 MB`, `4.2 GB`: decimal, as disks and bills count."""
    amount, units = float(count), ("B", "kB", "MB", "GB", "TB")
    for unit in units:
        # Asked of the rounded figure: 999,960 bytes are 1.0 MB and not 1000 kB.
        if round(amount) < 1000 or unit == units[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" or round(amount, 1) >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable: the last unit always returns")


@dataclass(frozen=True)
class Money:
    """An exact amount of one currency; sums of two currencies are refused with ValueError."""

    amount: Decimal
    currency: str

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def __mul__(self, factor: Decimal | int) -> Money:
        return Money(self.amount * factor, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount < other.amount

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.amount <= other.amount

    def __str__(self) -> str:
        return f"{self.cents().amount:,.2f} {self.currency}"

    def cents(self) -> Money:
        """The amount as a bill prints it: two digits, half a cent rounded away from zero."""
        return Money(self.amount.quantize(_CENT, ROUND_HALF_UP), self.currency)

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise ValueError(f"{self} and {other} are two currencies: convert one of them first")


def money(text: str) -> Money:
    """Money in `$40`, `40 USD`, `EUR 7.50` or `$40/month`; ValueError says what is accepted."""
    match = _MONEY.fullmatch(text.strip())
    mark = None if match is None else match[1] or match[3]
    if match is None or mark is None or (match[1] and match[3]):
        raise ValueError(f"{text!r} is not an amount of money: write for example $40, 40 USD or 7.50 EUR")
    sign = mark.strip()
    return Money(Decimal(match[2]), _SIGNS.get(sign, sign))


def many(count: int, noun: str) -> str:
    """A number and its noun, which takes an s: `1 mistake`, `2 mistakes`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
