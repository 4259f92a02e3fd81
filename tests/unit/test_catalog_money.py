"""Money: what people write is read exactly, two currencies never mix, cents are rounded as bills are."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.core.units import Money, money


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$40", Money(Decimal(40), "USD")),
        ("$40/month", Money(Decimal(40), "USD")),
        ("40 USD", Money(Decimal(40), "USD")),
        ("EUR 7.50", Money(Decimal("7.50"), "EUR")),
        ("7.50€", Money(Decimal("7.50"), "EUR")),
        ("£5 a month", Money(Decimal(5), "GBP")),
        (" 12 CHF per month ", Money(Decimal(12), "CHF")),
    ],
)
def test_read(text: str, found: Money) -> None:
    """A sign or three letters, before or after, with or without `a month`."""
    assert money(text) == found


@pytest.mark.parametrize("text", ["", "40", "$", "-3 USD", "$4 USD", "40 usd", "4,5 EUR", "1e9 USD", "$40/week"])
def test_refused(text: str) -> None:
    """A bare number, a mistyped currency and a negative amount are refused with an example."""
    with pytest.raises(ValueError, match=r"write for example \$40"):
        money(text)


@given(st.text(max_size=30))
def test_never_anything_but_a_value_error(text: str) -> None:
    """Whatever is written is money or a ValueError."""
    with suppress(ValueError):
        assert money(text).amount >= 0


def test_arithmetic() -> None:
    """Sums, differences and multiples are exact; half a cent is rounded away from zero; the sign is kept."""
    tenth, fifth = Money(Decimal("0.1"), "EUR"), Money(Decimal("0.2"), "EUR")
    assert tenth + fifth == Money(Decimal("0.3"), "EUR")
    assert fifth - tenth == tenth
    assert tenth * 3 == Money(Decimal("0.3"), "EUR")
    assert tenth < fifth
    assert tenth <= Money(Decimal("0.10"), "EUR")
    assert str(Money(Decimal("1234.565"), "EUR")) == "1,234.57 EUR"
    assert str(Money(Decimal("-0.005"), "EUR")) == "-0.01 EUR"


@pytest.mark.parametrize("act", ["__add__", "__sub__", "__lt__", "__le__"])
def test_two_currencies_never_mix(act: str) -> None:
    """Adding or comparing euros and dollars is refused."""
    with pytest.raises(ValueError, match="two currencies"):
        getattr(Money(Decimal(1), "EUR"), act)(Money(Decimal(1), "USD"))
