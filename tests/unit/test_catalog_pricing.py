"""Prices: tiers, rounding, pools, percentages, credits and currencies, against sums done another way."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towline.catalog.measures import UNITS
from towline.catalog.offers import Credit, Evidence, Offer, Price, Rate, Source, Tier
from towline.catalog.pricing import Item, Quote, billed_months, convert, price, price_account, vat
from towline.core.errors import UsageError
from towline.core.units import Money

PROOF = Evidence(Source("page", "https://example.com", date(2026, 9, 1)), "official", date(2026, 9, 1))
CENT = Decimal("0.01")

amounts = st.decimals(0, 100, places=4)
quantities = st.decimals(0, 100_000, places=3)
unknown_or_amount = st.one_of(st.none(), amounts)


def made(meter: str, unit: str = "each", amount: Decimal | None = Decimal(1), **more: object) -> Price:
    """A price of one tier."""
    return replace(Price(meter, UNITS[unit], (Tier(Decimal(0), amount),), PROOF), **more)  # type: ignore[arg-type]


def offer(*prices: Price, name: str = "acme/thing", **more: object) -> Offer:
    """An offer with these prices."""
    plain = Offer(name, "acme", ("server",), PROOF, prices={one.meter: one for one in prices})
    return replace(plain, **more)  # type: ignore[arg-type]


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """Any price: units, tiers, included quantities, rounding, least amounts, other copies."""
    starts = sorted(draw(st.sets(st.integers(1, 1000), max_size=3)))
    tiers = tuple(Tier(Decimal(start), draw(unknown_or_amount)) for start in [0, *starts])
    return Price(
        meter=draw(st.sampled_from(["storage", "egress", "requests", "commands"])),
        unit=UNITS[draw(st.sampled_from(["GB", "GiB", "1k", "each", "100GB"]))],
        tiers=tiers,
        evidence=PROOF,
        included=draw(st.one_of(st.none(), quantities)),
        round_up=draw(st.booleans()),
        minimum=draw(st.one_of(st.none(), amounts)),
        pooled=draw(st.sampled_from([None, "sum", "once"])),
        others=tuple(draw(st.lists(amounts, max_size=2))),
    )


@st.composite
def items(draw: st.DrawFn) -> Item:
    """Any offer of one account, and any quantities of it."""
    found = {one.meter: one for one in draw(st.lists(prices(), max_size=4))}
    found["instance"] = made("instance", "month", draw(unknown_or_amount))
    if draw(st.booleans()):
        found["backup"] = made("backup", "%", draw(amounts), percent_of="instance")
    credit = Credit(draw(amounts), tuple(draw(st.sets(st.sampled_from(sorted(found))))), PROOF)
    thing = offer(*found.values(), credit=draw(st.sampled_from([None, credit])))
    return Item(thing, {meter: draw(quantities) for meter in found if draw(st.booleans())})


@settings(max_examples=50, deadline=None)
@given(st.lists(items(), max_size=3))
def test_lines_sum_to_the_total(bought: list[Item]) -> None:
    """The lines of every bill sum to its total and to its ends, to the cent, and no line has more digits than two."""
    quote = price_account(bought)
    assert quote.total.amount == sum((line.counted.amount for line in quote.lines), Decimal(0))
    assert quote.low.amount == sum((line.low.amount for line in quote.lines), Decimal(0))
    assert all(line.counted.amount == line.counted.amount.quantize(CENT) for line in quote.lines)
    assert quote.low <= quote.total
    assert quote.high is None or quote.total <= quote.high
    assert quote.lower_bound == any(line.money is None for line in quote.lines)


@settings(max_examples=30, deadline=None)
@given(st.lists(items(), max_size=2), st.decimals("0.5", 2, places=4))
def test_a_converted_bill_still_sums(bought: list[Item], rate: Decimal) -> None:
    """In another currency the lines still sum to the total, each says the rate and its day, and nothing gets lost."""
    before = price_account(bought)
    after = convert(before, "EUR", [Rate("EUR", "USD", rate, date(2026, 10, 28), "https://example.com")])
    assert after.total.amount == sum((line.counted.amount for line in after.lines), Decimal(0))
    assert [line.money is None for line in after.lines] == [line.money is None for line in before.lines]
    assert all("2026-10-28" in line.how and line.rate is not None for line in after.lines)
    assert abs(after.total.amount * rate - before.total.amount) <= CENT * (len(after.lines) + 1) * 2


@given(
    st.lists(st.tuples(st.integers(1, 40), amounts), max_size=3, unique_by=lambda one: one[0]),
    amounts,
    st.integers(0, 120),
)
def test_tiers_are_walked_unit_by_unit(steps: list[tuple[int, Decimal]], first: Decimal, wanted: int) -> None:
    """The walk over the tiers costs what each single unit costs in the tier that it falls in."""
    tiers = [(0, first), *sorted(steps)]
    each = [max(tier for tier in tiers if tier[0] <= unit)[1] for unit in range(wanted)]
    tiered = replace(made("requests"), tiers=tuple(Tier(Decimal(start), amount) for start, amount in tiers))
    assert price(offer(tiered), {"requests": wanted}).total == Money(sum(each, Decimal(0)), "USD").cents()


@given(prices(), quantities, quantities)
def test_more_never_costs_less(one: Price, first: Decimal, more: Decimal) -> None:
    """The least that a bill can be never falls when the quantity grows."""
    less, greater = (price(offer(one), {one.meter: amount}).low for amount in (first, first + more))
    assert less <= greater


@given(quantities, quantities, amounts)
def test_rounding_up_bills_whole_units(wanted: Decimal, included: Decimal, amount: Decimal) -> None:
    """What is above the included quantity is billed in whole units, the last one begun counted."""
    rounded = made("storage", "GB-month", amount, included=included, round_up=True)
    whole = max(Decimal(0), (wanted - included).to_integral_value(ROUND_CEILING))
    assert price(offer(rounded), {"storage": wanted}).total == Money(whole * amount, "USD").cents()


@given(st.integers(1, 5), quantities, quantities)
def test_a_pool_is_shared(copies: int, each: Decimal, wanted: Decimal) -> None:
    """Machines of one account share what they include; an allowance of the account is there once."""
    machine = offer(made("instance", "month", Decimal(0)), made("egress", "GB", included=each, pooled="sum"))
    assert price(machine, {"instance": copies, "egress": wanted}).total.amount == max(
        Decimal(0), (wanted - copies * each)
    ).quantize(CENT, "ROUND_HALF_UP")
    once = offer(made("egress", "GB", included=each, pooled="once"))
    both = price_account([Item(once, {"egress": wanted}), Item(replace(once, name="acme/other"), {"egress": wanted})])
    assert abs(both.total.amount - max(Decimal(0), 2 * wanted - each)) <= CENT


def test_a_percentage_follows_its_line() -> None:
    """A backup at 20 % is 20 % of the machines' line, whichever is named first; of an unknown line it is unknown."""
    machine = made("instance", "month", Decimal("8.49"))
    backup = made("backup", "%", Decimal(20), percent_of="instance")
    assert price(offer(backup, machine), {"backup": 1, "instance": 2}).total == Money(Decimal("20.38"), "USD")
    unknown = price(offer(made("instance", "month", None), backup), {"backup": 1, "instance": 1})
    assert [line.money for line in unknown.lines] == [None, None]
    assert price(offer(machine, backup), {"backup": 1}).total.amount == 0


def test_what_other_copies_say_is_a_range() -> None:
    """Contested prices give a total and its two ends."""
    quote = price(offer(made("fee", "month", Decimal(29), others=(Decimal(33), Decimal(28)))), {"fee": 2})
    assert [str(end) for end in (quote.low, quote.total, quote.high)] == ["56.00 USD", "58.00 USD", "66.00 USD"]


def test_unknown_is_never_zero() -> None:
    """A price that nobody says has no amount, and its total says that it is a lower bound."""
    quote = price(offer(made("fee", "month", None), made("storage", "GB-month")), {"fee": 1, "storage": 3})
    assert quote.lines[0].money is None
    assert quote.lower_bound
    assert quote.total.amount == 3
    assert quote.high is None
    included = price(offer(made("egress", "GB", included=None)), {"egress": 10})
    assert included.lower_bound
    assert included.total.amount == 0


def test_a_share_of_another_meter_is_free() -> None:
    """Three times the stored amount goes out for nothing."""
    bucket = offer(made("storage", "GB-month", Decimal(0)), made("egress", "GB", share_of=("storage", Decimal(3))))
    assert price(bucket, {"storage": 10, "egress": 31}).total.amount == 1
    assert price(bucket, {"egress": 31}).total.amount == 31


def test_credits_pay_for_their_meters_and_no_more() -> None:
    """Two plans of one account with a credit each take off at most what there is to pay."""
    plan = offer(
        made("fee", "month", Decimal(5)), made("memory", "GB-month"), credit=Credit(Decimal(5), ("memory",), PROOF)
    )
    other = replace(plan, name="acme/other")
    quote = price_account([Item(plan, {"fee": 1, "memory": 6}), Item(other, {"fee": 1, "memory": 1})])
    assert quote.total.amount == 10
    assert sum(line.meter == "credit" for line in quote.lines) == 2
    assert price(plan, {}).lines == ()


def test_strange_quantities_are_refused() -> None:
    """A meter that the offer does not have, or less than nothing, is told with what there is."""
    thing = offer(made("storage", "GB-month"))
    with pytest.raises(UsageError, match="no price for `storrage`; did you mean `storage`"):
        price(thing, {"storrage": 1})
    with pytest.raises(UsageError, match="not negative"):
        price(thing, {"storage": -1})


def test_currencies_meet_only_at_a_rate() -> None:
    """The newest rate is used, in either direction; without one a conversion is refused, and so is a mixed sum."""
    rates = [
        Rate("EUR", "USD", Decimal("1.2"), date(2026, 1, 1), "old"),
        Rate("EUR", "USD", Decimal("1.1"), date(2026, 10, 1), "new"),
    ]
    dollars = price(offer(made("fee", "month", Decimal(11))), {"fee": 1})
    euros = convert(dollars, "EUR", rates)
    assert euros.total == Money(Decimal("10.00"), "EUR")
    assert convert(euros, "USD", rates).total.amount == 11
    with pytest.raises(UsageError, match="no rate between USD and GBP"):
        convert(dollars, "GBP", rates)
    with pytest.raises(ValueError, match="convert one of them first"):
        dollars + euros
    assert Quote("EUR") + dollars == dollars
    assert vat(euros, 19) == Money(Decimal("1.90"), "EUR")


@pytest.mark.parametrize(
    ("hours", "clock", "part"),
    [
        (Decimal(1), "hour", Decimal(1) / 730),
        (Decimal("1.01"), "hour", Decimal(2) / 730),
        (Decimal("0.5"), "second", Decimal("0.5") / 730),
        (Decimal(800), "hour", Decimal(1)),
        (Decimal(3), "month", Decimal(1)),
        (Decimal(0), "month", Decimal(0)),
        (Decimal(25), "day", Decimal(48) / 730),
    ],
)
def test_started_time_is_billed_up_to_a_month(hours: Decimal, clock: str, part: Decimal) -> None:
    """Started units of the provider's clock, and never more than the month's price."""
    assert billed_months(hours, offer(made("instance", "month", Decimal(5))), clock) == part


def test_an_hourly_price_reaches_its_cap_early() -> None:
    """Where the hour has a price of its own, the month is full when that reaches the month's price."""
    machine = offer(made("instance", "month", Decimal(5), hourly=Decimal("0.0075")))
    assert billed_months(100, machine, "hour") * 5 == Decimal("0.75")
    assert billed_months(667, machine, "hour") == 1
