"""The units that prices and limits are written in, and what they measure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*(.*)")
_GIB = Decimal(2**30) / Decimal(10**9)


@dataclass(frozen=True)
class Unit:
    """A unit of a measure: one of it is `factor` of the measure's own unit, in which quantities are given."""

    name: str
    measure: str
    factor: Decimal = Decimal(1)


def _units(measure: str, **factors: Decimal | int) -> dict[str, Unit]:
    return {name: Unit(name, measure, Decimal(factor)) for name, factor in factors.items()}


_DATA = {"MB": Decimal("0.001"), "GB": Decimal(1), "TB": Decimal(1000), "GiB": _GIB, "TiB": _GIB * 1024}

UNITS: dict[str, Unit] = {
    **_units("month", month=1, year=12),
    **_units("hour", hour=1),
    **_units("minute", minute=1),
    **_units("GB", **_DATA, **{"100GB": 100}),
    **_units("GB-month", **{f"{name}-month": factor for name, factor in _DATA.items()}),
    **_units("GB-hour", **{"GB-hour": 1}),
    **_units("GB-minute", **{"GB-minute": 1}),
    **_units("vCPU-hour", **{"vCPU-hour": 1}),
    **_units("vCPU-month", **{"vCPU-month": 1}),
    **_units("CU-hour", **{"CU-hour": 1}),
    **_units("IOPS-month", **{"IOPS-month": 1}),
    **_units("day", day=1, week=7),
    **_units("count", **{"each": 1, "1k": 1_000, "10k": 10_000, "100k": 100_000, "1M": 1_000_000}),
    **_units("percent", **{"%": 1}),
}
"""Every unit by its name. Data is decimal gigabytes, as providers bill; GiB and TiB are binary."""


def quantity(text: str) -> tuple[Decimal, Unit]:
    """Number and unit of `5 GB`, `1M` or `30 day`; ValueError says which units there are.

    A bare number counts things.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a quantity: write for example 5 GB or 500000")
    number, name = Decimal(match[1]), match[2].strip()
    if name in {"k", "M"}:
        name = f"1{name}"
    unit = UNITS.get(name or "each")
    if unit is None:
        raise ValueError(f"{name!r} is no unit: {', '.join(UNITS)}")
    return number, unit


def amount_in(text: str, measure: str) -> Decimal:
    """The quantity `text` in the own unit of `measure`; ValueError when it measures something else."""
    number, unit = quantity(text)
    if unit.measure != measure:
        raise ValueError(f"{text!r} is measured in {unit.measure}, and {measure} is wanted")
    return number * unit.factor


def plain(number: Decimal) -> str:
    """A number without an exponent and without trailing zeros, thousands apart: `13,500,000`, `0.15`."""
    text = f"{number.normalize():,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
