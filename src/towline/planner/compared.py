"""A comparison as plain data for `--json` and as lines for people. Amounts are texts, so that they stay exact."""

from __future__ import annotations

from math import isinf
from typing import TYPE_CHECKING

from towline.core.units import show_seconds
from towline.planner import estimate
from towline.planner.verdict import ALONE, machine_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from towline.planner.compare import Comparison, Verdict
    from towline.planner.cost import Bill
    from towline.planner.estimate import Way
    from towline.planner.sweep import Point, Tier

HEAD = ("", "shape", "a month", "request", "job begins", "jobs/h", "users", "headroom", "why not")


def money_text(bill: Bill | None) -> str:
    """`28.00 USD`, `at least 28.00 USD`, or `28.00 USD (27.00 to 30.00)` where copies of a price disagree."""
    if bill is None:
        return "-"
    if bill.lower_bound:
        return f"at least {bill.total}"
    high = bill.high
    if high is not None and (bill.low.amount, high.amount) != (bill.total.amount, bill.total.amount):
        return f"{bill.total} ({bill.low.amount} to {high.amount})"
    return str(bill.total)


def way_text(one: Verdict, name: str) -> str:
    """`12 ms (5 to 40)`, a band where there is no mid, `-` where the app has no such way."""
    way = one.estimate.way(name)
    if way is None:
        return "-"
    low, high = _span(way.low), _span(way.high)
    return f"{low} to {high}" if way.mid is None else f"{_span(way.mid)} ({low} to {high})"


def _p95(way: Way) -> str:
    p95 = way.p95
    return "" if p95 is None or way.low == way.high else f", p95 {_span(p95)}"


def _span(milliseconds: float) -> str:
    if isinf(milliseconds):
        return "never"
    return show_seconds(milliseconds / 1000) if milliseconds >= 1000 else f"{milliseconds:.0f} ms"


def rows(found: Comparison) -> list[tuple[str, ...]]:
    """The table, a row a shape."""
    return [_row(one, one is found.recommended) for one in found.verdicts]


def _row(one: Verdict, first: bool) -> tuple[str, ...]:
    held = one.carries
    worker = held.worker if held is not None else None
    return (
        "->" if first else "",
        one.shape.key,
        money_text(one.chosen.bill),
        way_text(one, "request"),
        way_text(one, "pickup"),
        f"{worker.at_target:.0f}" if worker is not None else "-",
        str(held.people.concurrent) if held is not None and held.people is not None else "-",
        times(held.least) if held is not None else "-",
        one.lost,
    )


def times(headroom: float) -> str:
    """`3.2x`, or `-` where nothing is used."""
    return "-" if isinf(headroom) else f"{headroom:.1f}x"


def detail_lines(one: Verdict, inputs: dict[str, str]) -> Iterator[str]:
    """One verdict in full: what is bought, each line of the bill, each link, and what it rests on."""
    yield f"{one.shape.key}: {one.shape.title}"
    bill, choice = one.chosen.bill, one.chosen.choice
    if bill is None or choice is None:
        yield from (f"  cannot be: {why}" for why in one.chosen.refused)
        return
    for bought in choice.purchases:
        yield f"  {', '.join(bought.holds)}: {machine_text(bought)}, {bought.place}"
    yield "bill a month"
    for line in bill.lines:
        amount = "unknown" if line.line.money is None else str(line.line.money)
        yield f"  {amount:>14}  {line.owner} {line.line.meter}: {line.line.how} [{line.line.evidence.read}]"
    yield f"  {money_text(bill):>14}  total, of which {bill.fixed} are due without any use"
    yield f"  {bill.vat!s:>14}  tax, on top of it"
    if one.in_stock is not None:
        yield f"  {one.in_stock!s:>14}  total, if the server is out of stock"
    crossing = [link for link in bill.links if link.paid]
    if crossing:
        yield "traffic that leaves a place, a month"
    for link in crossing:
        yield f"  {float(link.flow.gb):>10.3f} GB  {link.flow.start} to {link.flow.end}: {link.flow.what}, {link.why}"
    yield "rests on: " + "; ".join(f"{name} {value}" for name, value in inputs.items())
    yield from _held_lines(one)
    for name, sentences in (("loses", one.loses), ("risk", one.risks), ("misses", one.unmet)):
        yield from (f"{name}: {sentence}" for sentence in sentences)
    yield f"effort: {one.effort.sentence}"


def _held_lines(one: Verdict) -> Iterator[str]:
    for way in one.estimate.ways:
        yield f"{way.name}: {way_text(one, way.name)}{_p95(way)}"
        for hop in way.hops if way.name != "whole" else ():
            mid = "band" if hop.mid is None else _span(hop.mid)
            yield f"    {hop.what}: {mid}, {_span(hop.low)} to {_span(hop.high)} ({hop.how})"
        yield from (f"    not counted: {lost}" for lost in way.unknown if way.name != "whole")
    held = one.carries
    if held is None:
        return
    if held.worker is not None and held.people is not None:
        yield (
            f"jobs: at most {held.worker.highest:.0f} an hour, {held.worker.at_target:.0f} at the waiting target with "
            f"{held.copies} {'copy' if held.copies == 1 else 'copies'}; "
            f"ten times today's take {held.worker.copies_for_ten_times}"
        )
        yield f"users: {held.people.concurrent} at work at once ({held.people.assumption})"
    yield from (f"headroom of {name}: {times(value)}" for name, value in held.headroom.items())
    yield from (f"headroom of {name} alone: {times(one)} ({ALONE})" for name, one in held.alone.items())
    yield from ([held.idle] if held.idle else [])
    yield from (found.sentence for found in (held.memory, held.connections) if found is not None)


def comparison_json(found: Comparison) -> dict[str, object]:
    """Everything of a comparison."""
    return {
        "recommended": found.recommended.shape.key if found.recommended is not None else None,
        "advice": list(found.advice),
        "inputs": found.inputs,
        "shapes": [verdict_json(one) for one in found.verdicts],
    }


def verdict_json(one: Verdict) -> dict[str, object]:
    """Everything of one verdict."""
    bought = one.chosen.choice.purchases if one.chosen.choice is not None else ()
    return {
        "shape": one.shape.key,
        "title": one.shape.title,
        "feasible": one.feasible,
        "refused": list(one.chosen.refused),
        "lost": one.lost,
        "unmet": list(one.unmet),
        "purchases": [
            {
                "name": each.name,
                "offer": each.offer.name if each.offer is not None else None,
                "place": each.place,
                "copies": each.copies,
                "holds": list(each.holds),
            }
            for each in bought
        ],
        "bill": _bill_json(one.chosen.bill),
        "in_stock": str(one.in_stock.amount) if one.in_stock is not None else None,
        "ways": estimate.as_json(one.estimate),
        "carries": _held_json(one),
        "loses": list(one.loses),
        "risks": list(one.risks),
        "effort": {"accounts": one.effort.accounts, "servers": one.effort.servers, "links": one.effort.links},
    }


def _bill_json(bill: Bill | None) -> dict[str, object] | None:
    if bill is None:
        return None
    return {
        "currency": bill.currency,
        "total": str(bill.total.amount),
        "lower_bound": bill.lower_bound,
        "low": str(bill.low.amount),
        "high": None if bill.high is None else str(bill.high.amount),
        "fixed": str(bill.fixed.amount),
        "vat": str(bill.vat.amount),
        "lines": [
            {
                "for": one.owner,
                "offer": one.line.offer,
                "meter": one.line.meter,
                "amount": None if one.line.money is None else str(one.line.money.amount),
                "counted": str(one.line.counted.amount),
                "how": one.line.how,
                "as_of": str(one.line.evidence.read),
                "source": one.line.evidence.source.url,
                "confidence": one.line.evidence.confidence,
            }
            for one in bill.lines
        ],
        "links": [
            {
                "from": one.flow.start,
                "to": one.flow.end,
                "what": one.flow.what,
                "gb": f"{one.flow.gb:f}",
                "paid_by": one.paid,
                "why": one.why,
            }
            for one in bill.links
        ],
    }


def _held_json(one: Verdict) -> dict[str, object] | None:
    held = one.carries
    if held is None:
        return None
    worker = held.worker
    return {
        "copies": held.copies,
        "jobs_an_hour_highest": round(worker.highest, 1) if worker is not None else None,
        "jobs_an_hour_at_target": round(worker.at_target, 1) if worker is not None else None,
        "wait_s": None if worker is None or isinf(worker.target_wait) else round(worker.target_wait, 3),
        "copies_for_ten_times": worker.copies_for_ten_times if worker is not None else None,
        "users": held.people.concurrent if held.people is not None else None,
        "assumption": held.people.assumption if held.people is not None else None,
        "headroom": {name: None if isinf(value) else round(value, 2) for name, value in held.headroom.items()},
        "headroom_alone": {name: round(value, 2) for name, value in held.alone.items()},
        "memory": held.memory.sentence if held.memory is not None else None,
        "idle": held.idle or None,
        "connections": held.connections.sentence if held.connections is not None else None,
    }


def sweep_json(points: Sequence[Point], found: Sequence[Tier]) -> dict[str, object]:
    """The sweep: each point's totals by shape, and the tiers."""
    return {
        "tiers": [{"from": one.first, "to": one.last, "shape": one.key} for one in found],
        "points": [
            {
                "users": point.users,
                "recommended": point.comparison.recommended.shape.key if point.comparison.recommended else None,
                "totals": {
                    one.shape.key: str(one.total) if one.feasible else None
                    for one in sorted(point.comparison.verdicts, key=lambda one: one.shape.key)
                },
            }
            for point in points
        ],
    }


def sweep_rows(points: Sequence[Point]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The sweep as a table: users down, shapes across, and the recommended one."""
    keys = sorted({one.shape.key for point in points for one in point.comparison.verdicts} - {"laptop"})
    table = []
    for point in points:
        by_key = {one.shape.key: one for one in point.comparison.verdicts}
        best = point.comparison.recommended
        totals = (str(by_key[key].total) if by_key[key].feasible else "-" for key in keys)
        table.append((str(point.users), *totals, best.shape.key if best is not None else "none"))
    return ("users", *keys, "recommended"), table
