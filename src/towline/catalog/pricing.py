"""What quantities of offers cost: lines in cents whose sum is the total, whatever is unknown said so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from towline.catalog.measures import plain
from towline.catalog.offers import METERS
from towline.core.errors import UsageError
from towline.core.units import Money
from towline.spec.nearest import did_you_mean, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from towline.catalog.offers import Evidence, Offer, Price, Rate

MONTH_HOURS = Decimal(730)
"""Hours of a month where a provider does not say: 365 days through 12, as Infracost counts."""

_ZERO = Decimal(0)
_RANK = {meter: rank for rank, meter in enumerate(METERS)}
_CLOCKS = {"second": Decimal(1) / 3600, "minute": Decimal(1) / 60, "hour": Decimal(1), "day": Decimal(24)}


@dataclass(frozen=True)
class Item:
    """So much of an offer, by meter, each in the own unit of its measure: months, GB, GB-months, a count."""

    offer: Offer
    quantities: Mapping[str, Decimal | int]


@dataclass(frozen=True)
class Line:
    """One line of a bill; `money` is None when nobody says the price.

    `low` and `high` span what other copies say of the price; `high` is None when there is no upper end. `how` is the
    sum that a reader can do again.
    """

    offer: str
    meter: str
    how: str
    money: Money | None
    low: Money
    high: Money | None
    fixed: bool
    evidence: Evidence
    rate: Rate | None = None

    @property
    def counted(self) -> Money:
        """What the line adds to its total: its price, or the least that it can be where that is unknown."""
        return self.low if self.money is None else self.money


@dataclass(frozen=True)
class Quote:
    """Lines of one currency, whose sum is the total: a lower bound where the price of one is unknown."""

    currency: str
    lines: tuple[Line, ...] = ()

    @property
    def total(self) -> Money:
        """The sum of the lines, each as its `counted`."""
        return _sum(self.currency, (one.counted for one in self.lines))

    @property
    def low(self) -> Money:
        """The least that the copies together allow."""
        return _sum(self.currency, (one.low for one in self.lines))

    @property
    def high(self) -> Money | None:
        """The most that the copies together allow; None where a price is unknown."""
        ends = [one.high for one in self.lines]
        return None if any(one is None for one in ends) else _sum(self.currency, ends)

    @property
    def lower_bound(self) -> bool:
        """Whether a price is missing, so that the total is only the least."""
        return any(one.money is None for one in self.lines)

    def __add__(self, other: Quote) -> Quote:
        if other.currency != self.currency and self.lines and other.lines:
            raise ValueError(f"{self.currency} and {other.currency} on one bill: convert one of them first")
        return Quote(self.currency if self.lines else other.currency, self.lines + other.lines)


def price(offer: Offer, quantities: Mapping[str, Decimal | int]) -> Quote:
    """What these quantities of one offer cost in a month, in the provider's own currency."""
    return price_account([Item(offer, quantities)])


def price_account(items: Sequence[Item]) -> Quote:
    """What the items of one account cost together: pooled quantities are shared, and its credits are taken off.

    Raises UsageError for a meter that an offer does not have, and for a quantity below 0.
    """
    quote = Quote(items[0].offer.currency if items else "USD")
    pools = _pools(items)
    for item in items:
        _refuse_strangers(item)
        quote += Quote(item.offer.currency, tuple(_lines(item, pools)))
    for item in items:
        quote += _credit(item, quote)
    return quote


def price_all(items: Iterable[Item], currency: str, rates: Iterable[Rate]) -> Quote:
    """One bill of several providers in one currency: what is of one provider is one account. Raises as its parts do."""
    accounts: dict[str, list[Item]] = {}
    for item in items:
        accounts.setdefault(item.offer.provider, []).append(item)
    known, bill = tuple(rates), Quote(currency)
    for account in accounts.values():
        bill += convert(price_account(account), currency, known)
    return bill


def billed_months(hours: Decimal | int, offer: Offer, clock: str) -> Decimal:
    """The part of a month that a machine is billed for when it ran so long: started units of the clock, at most 1."""
    unit = _CLOCKS.get(clock)
    if unit is None:
        return Decimal(1) if hours else _ZERO
    ran = (Decimal(hours) / unit).to_integral_value(ROUND_CEILING) * unit
    machine = offer.prices.get("instance")
    if machine is not None and machine.hourly is not None and machine.amount:
        return min(Decimal(1), ran * machine.hourly / machine.amount)
    return min(Decimal(1), ran / MONTH_HOURS)


def convert(quote: Quote, currency: str, rates: Iterable[Rate]) -> Quote:
    """The quote in another currency at the newest rate, which each line then carries; UsageError without a rate."""
    if quote.currency == currency:
        return quote
    newest, factor = _newest(quote.currency, currency, rates)
    return Quote(currency, tuple(_converted(one, currency, factor, newest) for one in quote.lines))


def exchange(money: Money, currency: str, rates: Iterable[Rate]) -> Money:
    """An amount in another currency at the newest rate, in cents; UsageError without a rate."""
    if money.currency == currency:
        return money
    return Money(money.amount * _newest(money.currency, currency, rates)[1], currency).cents()


def _newest(start: str, end: str, rates: Iterable[Rate]) -> tuple[Rate, Decimal]:
    """The newest rate between two currencies, and what an amount is multiplied with."""
    known = [one for one in rates if {one.base, one.quote} == {start, end}]
    if not known:
        raise UsageError(
            f"There is no rate between {start} and {end}",
            hint="add [[rates]] with base, quote, rate, read and url to towline-offers.toml",
        )
    newest = max(known, key=lambda one: one.read)
    return newest, newest.rate if newest.base == start else 1 / newest.rate


def vat(quote: Quote, percent: Decimal | int) -> Money:
    """The tax on a net quote, shown apart from it."""
    return Money(quote.total.amount * Decimal(percent) / 100, quote.currency).cents()


def _converted(line: Line, currency: str, factor: Decimal, rate: Rate) -> Line:
    def over(money: Money) -> Money:
        return Money(money.amount * factor, currency).cents()

    return replace(
        line,
        money=None if line.money is None else over(line.money),
        low=over(line.low),
        high=None if line.high is None else over(line.high),
        how=f"{line.how}, at {plain(rate.rate)} {rate.quote} for a {rate.base} ({rate.read})",
        rate=rate,
    )


def _refuse_strangers(item: Item) -> None:
    offer = item.offer
    for meter, amount in item.quantities.items():
        if meter not in offer.prices:
            close = did_you_mean(meter, offer.prices)
            known = listed(offer.prices, "and")
            hint = f"it has {known}: towline catalog show {offer.name}"
            raise UsageError(f"`{offer.name}` has no price for `{meter}`{close}", hint=hint)
        if amount < 0:
            raise UsageError(f"{amount} of `{meter}`: a quantity is not negative", hint="correct the usage")


def _pools(items: Sequence[Item]) -> dict[str, Decimal | None]:
    """What is included over the whole account, by meter; None where a part of it is unknown."""
    pools: dict[str, Decimal | None] = {}
    for item in items:
        copies = Decimal(item.quantities.get("instance", 1))
        for meter, one in item.offer.prices.items():
            if one.pooled:
                own = one.included if one.pooled == "once" or one.included is None else one.included * copies
                pools[meter] = _joined(pools.get(meter, _ZERO), own, one.pooled == "sum")
    return pools


def _joined(before: Decimal | None, own: Decimal | None, add: bool) -> Decimal | None:
    if before is None or own is None:
        return None
    return before + own if add else max(before, own)


def _lines(item: Item, pools: dict[str, Decimal | None]) -> Iterable[Line]:
    """A line for each meter with a quantity; percentages come after the line that they are of."""
    made: dict[str, Line] = {}
    ordered = sorted(item.offer.prices.values(), key=lambda one: (one.percent_of is not None, _RANK[one.meter]))
    for one in ordered:
        wanted = Decimal(item.quantities.get(one.meter, 0))
        if wanted:
            made[one.meter] = (
                _percent(item, one, wanted, made) if one.percent_of else _metered(item, one, wanted, pools)
            )
    return made.values()


def _metered(item: Item, one: Price, wanted: Decimal, pools: dict[str, Decimal | None]) -> Line:
    free = pools.get(one.meter) if one.pooled else one.included
    if free is None:
        return _unknown(item, one, f"{plain(wanted)} {one.unit.measure}, and what is included is unknown")
    if one.share_of is not None:
        free += Decimal(item.quantities.get(one.share_of[0], 0)) * one.share_of[1]
    taken = min(wanted, free)
    if one.pooled:
        pools[one.meter] = free - taken
    units = (wanted - taken) / one.unit.factor
    if one.round_up:
        units = units.to_integral_value(ROUND_CEILING)
    cost = _walk(one, units)
    if cost is None:
        floor = max(_floor(one, units), one.minimum or _ZERO)
        known = f", of which at least {Money(floor, item.offer.currency)} is known" if floor else ""
        return _unknown(item, one, f"{_how(one, wanted, taken, units)}{known}", floor)
    how = _how(one, wanted, taken, units)
    if one.minimum is not None and cost < one.minimum:
        cost, how = one.minimum, f"{how}, and at least {plain(one.minimum)}"
    return _line(item, one, how, cost, [_at(one, units, other) for other in one.others])


def _walk(one: Price, units: Decimal) -> Decimal | None:
    """The price of `units` over all tiers; None when it reaches one whose price is unknown."""
    cost = _ZERO
    ends = [*(tier.above for tier in one.tiers[1:]), units]
    for tier, end in zip(one.tiers, ends, strict=True):
        inside = min(units, end) - tier.above
        if inside > 0 and tier.amount is None:
            return None
        cost += max(inside, _ZERO) * (tier.amount or _ZERO)
    return cost


def _floor(one: Price, units: Decimal) -> Decimal:
    """What the known tiers of a price come to: the least that `units` cost."""
    unknown = next(tier.above for tier in one.tiers if tier.amount is None)
    known = [tier for tier in one.tiers if tier.above < unknown]
    return _walk(replace(one, tiers=tuple(known)), min(units, unknown)) or _ZERO if known else _ZERO


def _at(one: Price, units: Decimal, amount: Decimal) -> Decimal:
    cost = units * amount
    return cost if one.minimum is None else max(cost, one.minimum)


def _percent(item: Item, one: Price, times: Decimal, made: Mapping[str, Line]) -> Line:
    of = made.get(one.percent_of or "")
    how = f"{plain(one.amount or _ZERO)} % of {one.percent_of}"
    if of is None:
        return _line(item, one, f"{how}, of which there is none", _ZERO, [])
    if of.money is None or one.amount is None:
        return _unknown(item, one, f"{how}, which is unknown")
    share = times * one.amount / 100
    others = [share * end.amount for end in (of.low, of.high) if end is not None]
    return _line(item, one, f"{how} {of.money}", share * of.money.amount, others)


def _line(item: Item, one: Price, how: str, cost: Decimal, others: Sequence[Decimal]) -> Line:
    ends = [Money(amount, item.offer.currency).cents() for amount in (cost, *others)]
    low, high = min(ends, key=_amount), max(ends, key=_amount)
    return Line(item.offer.name, one.meter, how, ends[0], low, high, one.fixed, one.evidence)


def _unknown(item: Item, one: Price, how: str, least: Decimal = _ZERO) -> Line:
    low = Money(least, item.offer.currency).cents()
    return Line(item.offer.name, one.meter, how, None, low, None, one.fixed, one.evidence)


def _credit(item: Item, quote: Quote) -> Quote:
    """The credit of one item as a line of its own: at most what its meters cost."""
    credit = item.offer.credit
    if credit is None or not any(item.quantities.values()):
        return Quote(quote.currency)
    covered = [one for one in quote.lines if one.meter in credit.meters and one.meter != "credit"]
    spent = max(_sum(quote.currency, (one.money for one in covered)).amount, _ZERO)
    taken_before = -_sum(quote.currency, (one.money for one in quote.lines if one.meter == "credit")).amount
    off = Money(-max(min(credit.amount, spent - taken_before), _ZERO), quote.currency).cents()
    most = Money(-credit.amount, quote.currency).cents()
    unknown = any(one.money is None for one in covered)
    how = f"at most {Money(credit.amount, quote.currency)} for {', '.join(credit.meters)}"
    line = Line(
        item.offer.name, "credit", how, off, most if unknown else off, off, fixed=False, evidence=credit.evidence
    )
    return Quote(quote.currency, (line,) if off.amount or unknown else ())


def _how(one: Price, wanted: Decimal, taken: Decimal, units: Decimal) -> str:
    measure = "" if one.unit.measure == "count" else f" {one.unit.measure}"
    parts = [f"{plain(wanted)}{measure}"]
    if taken:
        parts.append(f"less {plain(_short(taken))} included")
    each = "an unknown price" if one.amount is None else plain(one.amount)
    for tier in one.tiers[1:]:
        each += f", above {plain(tier.above)} x {'an unknown price' if tier.amount is None else plain(tier.amount)}"
    text = f"{' '.join(parts)}: {plain(_short(units))} x {each}"
    return f"{text}, rounded up" if one.round_up else text


def _short(number: Decimal) -> Decimal:
    """A quantity as a line shows it: six digits after the point are enough to do the sum again."""
    return number.quantize(Decimal("0.000001")) if number.as_tuple().exponent < -6 else number  # type: ignore[operator]


def _sum(currency: str, amounts: Iterable[Money | None]) -> Money:
    return Money(sum((one.amount for one in amounts if one is not None), _ZERO), currency)


def _amount(money: Money) -> Decimal:
    return money.amount
