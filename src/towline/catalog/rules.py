"""What the rules of an offer mean for a use of it: when it would sleep, end, pause or refuse, and on which day."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from towline.catalog.measures import plain
from towline.core.units import show_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from towline.catalog.offers import Offer, Rule

LONGEST_MONTH_HOURS = Decimal(744)
"""Hours of a month of 31 days: the month in which an allowance of hours is spent first."""


@dataclass(frozen=True)
class Use:
    """How an offer would be used. `month` holds quantities by meter, in the own unit of each price's measure.

    `background` says that work is done without a request from outside; `quiet` the longest time without a request, in
    seconds; `idle` the longest time without any use, in days; `began` the day on which it was, or would be, taken.
    """

    commercial: bool = True
    background: bool = False
    quiet: float = 0.0
    idle: float = 0.0
    keeps_data: bool = False
    reached_privately: bool = False
    began: date | None = None
    month: Mapping[str, Decimal | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Breach:
    """A rule that the use would meet: a sentence, and the day of it where there is one."""

    offer: str
    rule: Rule
    sentence: str
    on: date | None = None


def breaches(offer: Offer, use: Use) -> tuple[Breach, ...]:
    """Every rule of `offer` that `use` meets, in the order of the offer."""
    judged = ((rule, _judge(rule, use)) for rule in offer.rules)
    return tuple(Breach(offer.name, rule, f"{what}: {rule.then}", on) for rule, (what, on) in judged if what)


def _judge(rule: Rule, use: Use) -> tuple[str, date | None]:
    """What the rule says of the use, empty when it is not met, and the day of it."""
    if rule.kind == "expires":
        return _expires(rule, use)
    return _JUDGES[rule.kind](rule, use), None


def _sleeps(rule: Rule, use: Use) -> str:
    after = show_seconds(float(rule.after or 0))
    if use.background:
        return f"work without requests stops after {after}: jobs wait until a request comes"
    return f"sleeps after {after} without a request" if use.quiet >= float(rule.after or 0) else ""


def _scales(rule: Rule, use: Use) -> str:
    after = show_seconds(float(rule.after or 0))
    return f"scales to zero after {after}" if use.quiet >= float(rule.after or 0) else ""


def _expires(rule: Rule, use: Use) -> tuple[str, date | None]:
    days = rule.after or Decimal(0)
    if use.began is None:
        return f"ends after {plain(days)} days", None
    ends = use.began + timedelta(days=int(days))
    if rule.grace is None:
        return f"ends on {ends}", ends
    gone = ends + timedelta(days=int(rule.grace))
    return f"ends on {ends}, and its data is gone on {gone}", gone


def _pauses(rule: Rule, use: Use) -> str:
    days = rule.after or Decimal(0)
    if use.idle < float(days):
        return ""
    day = f", for the first time on {use.began + timedelta(days=int(days))} at the earliest" if use.began else ""
    return f"paused after {plain(days)} days without use{day}"


def _quota(rule: Rule, use: Use) -> str:
    used = Decimal(use.month.get(rule.meter or "", 0))
    if rule.measure == "hour" and rule.meter == "instance":
        used *= LONGEST_MONTH_HOURS
    if rule.most is None or used <= rule.most:
        return ""
    unit = "" if rule.measure == "count" else f" {rule.measure}"
    day = _day_spent(rule.most, used)
    return f"{plain(used)}{unit} of {rule.meter} a month, and {plain(rule.most)} are allowed (spent on day {day})"


def _day_spent(most: Decimal, used: Decimal) -> int:
    """The day of a month of 31 days on which an even use has spent the allowance."""
    return min(31, int(most / used * 31) + 1)


_JUDGES: dict[str, Callable[[Rule, Use], str]] = {
    "sleeps": _sleeps,
    "scales-to-zero": _scales,
    "pauses": _pauses,
    "quota": _quota,
    "non-commercial": lambda _, use: "not for commercial use" if use.commercial else "",
    "no-backups": lambda _, use: "no backups" if use.keeps_data else "",
    "no-private-network": lambda _, use: "not reachable by other services" if use.reached_privately else "",
}
"""What each kind of rule asks of a use; `expires` has a day and is asked apart."""
