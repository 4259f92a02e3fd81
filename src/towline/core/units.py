"""Sizes and spans of time: parse what people write, print what people read."""

from __future__ import annotations

import re

_SPANS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZES |= {f"{letter}b": 10**power for letter, power in (("k", 3), ("m", 6), ("g", 9), ("t", 12))}
_SIZES |= {f"{letter}ib": 2**power for letter, power in (("k", 10), ("m", 20), ("g", 30), ("t", 40))}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")


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
