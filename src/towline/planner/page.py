"""The comparison as one self-contained page: what is recommended, two plots, every shape, the bill. Pure."""

from __future__ import annotations

from html import escape
from math import isinf
from typing import TYPE_CHECKING

from towline.planner.compared import money_text, times, way_text
from towline.planner.plots import SERIES, Axis, Curve, Mark, curves, scatter
from towline.planner.style import STYLE
from towline.planner.sweep import tiers
from towline.planner.verdict import machine_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from towline.planner.compare import Comparison, Verdict
    from towline.planner.sweep import Point

MOST_HEADROOM = 1000.0
"""Headroom above this is drawn at this: it is as good as endless."""


def page(app: str, today: date, found: Comparison, points: Sequence[Point]) -> str:
    """The page; it needs nothing from anywhere else, and runs no script."""
    currency = next((one.chosen.bill.currency for one in found.verdicts if one.chosen.bill is not None), "")
    parts = [
        _head(app, today, found),
        _recommended(found),
        _first_plot(found, currency),
        _second_plot(found, points, currency),
        _table(found),
        _bill(found),
        _inputs(found),
    ]
    title = f"Where {app} could run"
    start = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    view += '<meta name="color-scheme" content="light dark">'
    return f"{start}{view}<style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"


def _head(app: str, today: date, found: Comparison) -> str:
    feasible = sum(one.feasible for one in found.verdicts)
    counts = f"{len(found.verdicts)} placements compared, {feasible} of them possible"
    said = f"{counts}. Prices as of their own dates, judged on {today}."
    return f"<header><h1>Where {escape(app)} could run</h1><p>{said}</p></header>"


def _recommended(found: Comparison) -> str:
    best = found.recommended
    advice = "".join(f"<p>{escape(sentence)}</p>" for sentence in found.advice)
    if best is None or best.chosen.bill is None or best.chosen.choice is None:
        return f'<section class="card"><h2>Nothing fits every wish</h2>{advice}</section>'
    held = best.carries
    facts = [("a month", money_text(best.chosen.bill)), ("a request", _band(best))]
    if held is not None and held.worker is not None and held.people is not None:
        facts += [("jobs an hour", f"{held.worker.at_target:.0f}"), ("headroom", times(held.least))]
    figures = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    bought = "".join(
        f"<li><b>{escape(', '.join(one.holds))}</b> {escape(machine_text(one))}, {escape(one.place)}</li>"
        for one in best.chosen.choice.purchases
    )
    weak = "".join(f"<li>{escape(sentence)}</li>" for sentence in (*best.loses, *best.risks))
    return (
        f'<section class="card"><p class="over">Recommended</p><h2>{escape(best.shape.title)}</h2>'
        f'<dl class="facts">{figures}</dl><ul class="bought">{bought}</ul>'
        f"<details><summary>What it gives up, and what may go wrong</summary><ul>{weak}</ul></details>"
        f"{advice}</section>"
    )


def _band(one: Verdict) -> str:
    way = one.estimate.way("request")
    return "-" if way is None else f"{way.low:.0f} to {way.high:.0f} ms"


def _label(keys: Sequence[str]) -> str:
    """`vps`, or `vps +2` where three lie on one spot; the tooltip names them all."""
    return keys[0] if len(keys) == 1 else f"{keys[0]} +{len(keys) - 1}"


def _first_plot(found: Comparison, currency: str) -> str:
    known = [one for one in found.verdicts if one.chosen.bill is not None and not isinf(one.request_p95)]
    together: dict[tuple[str, int], list[Verdict]] = {}
    for one in known:
        together.setdefault((str(one.total), round(one.request_p95)), []).append(one)
    marks = [_mark(ones, found) for ones in together.values()]
    if not marks:
        return ""
    beaten = [m for m in marks if any(o.x <= m.x and o.y <= m.y and (o.x, o.y) != (m.x, m.y) for o in marks)]
    frontier = sorted((one for one in marks if one not in beaten), key=lambda one: one.x)
    axes = (Axis("a request, p95, in milliseconds", _plain), Axis(f"{currency} a month", _plain))
    drawn = scatter(marks, frontier, axes, "Cost against p95 latency of every placement")
    same = "; ".join(f"{_label(keys)} is {', '.join(keys)}" for keys in _keys(together.values()) if len(keys) > 1)
    text = "Lower left is better. p95: 95 in 100 estimates like this one stay under it. The line joins what nothing "
    text += "beats in both; hollow is what misses a wish."
    text += f" In one spot: {same}." if same else ""
    return _figure("Cost against p95 latency", text, drawn)


def _keys(groups: Iterable[Sequence[Verdict]]) -> list[list[str]]:
    return [[one.shape.key for one in ones] for ones in groups]


def _mark(ones: Sequence[Verdict], found: Comparison) -> Mark:
    first = ones[0]
    names = ", ".join(one.shape.key for one in ones)
    request = f"a request {way_text(first, 'request')}, p95 {first.request_p95:.0f} ms"
    title = f"{names}: {money_text(first.chosen.bill)}, {request}"
    strong = any(one is found.recommended for one in ones)
    return Mark(
        first.request_p95,
        float(first.total),
        _label([one.shape.key for one in ones]),
        title,
        strong,
        all(one.unmet for one in ones),
    )


def _second_plot(found: Comparison, points: Sequence[Point], currency: str) -> str:
    costs, heads = _curves(found, points)
    if not costs or len(points) < 2:
        return ""
    users = Axis("users at work at once", _plain)
    first = curves(costs, (users, Axis(f"{currency} a month", _plain)), "Cost against users")
    second = curves(heads, (users, Axis("headroom, times the load", _plain)), "Headroom against users", "full at 1")
    words = [f"{one.first:,} to {one.last:,} users: {one.key or 'nothing fits'}" for one in tiers(tuple(points))]
    text = f"At each point every placement is sized anew. Recommended: {'; '.join(words)}."
    return _figure("Cost and headroom against users", text, f"{first}{second}" if heads else first)


def _curves(found: Comparison, points: Sequence[Point]) -> tuple[list[Curve], list[Curve]]:
    """A curve for each shape, those that cost the same all along as one; at most as many as there are colours."""
    # A panel costs nothing but memory: its curve would lie on that of the server without one.
    plain = (one.shape for one in found.verdicts if one.shape.panel is None and not one.shape.exposed)
    keys = [shape.key for shape in plain if shape.name != "laptop"]
    by_cost: dict[tuple[tuple[float, float], ...], list[str]] = {}
    by_head: dict[str, tuple[tuple[float, float], ...]] = {}
    for key in keys:
        at = [(point.users, next(v for v in point.comparison.verdicts if v.shape.key == key)) for point in points]
        line = tuple((float(users), float(one.total)) for users, one in at if one.feasible)
        if len(line) > 1:
            by_cost.setdefault(line, []).append(key)
            by_head[key] = tuple(
                (float(users), min(one.carries.least, MOST_HEADROOM)) for users, one in at if one.carries is not None
            )
    best = found.recommended.shape.key if found.recommended is not None else ""
    kept = list(by_cost.items())[:SERIES]
    costs = [Curve(_label(names), line, ", ".join(names), best in names) for line, names in kept]
    heads = [Curve(_label(names), by_head[names[0]], ", ".join(names), best in names) for _, names in kept]
    return costs, heads


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def _figure(title: str, text: str, drawn: str) -> str:
    return (
        f'<section><h2>{escape(title)}</h2><p class="say">{escape(text)}</p><div class="plot">{drawn}</div></section>'
    )


def _table(found: Comparison) -> str:
    head = "".join(
        f"<th>{name}</th>" for name in ("placement", "a month", "a request", "headroom", "effort", "why not")
    )
    rows = "".join(_row(one, one is found.recommended) for one in found.verdicts)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<section><h2>Every placement</h2><div class="wide">{table}</div></section>'


def _row(one: Verdict, best: bool) -> str:
    why = "recommended" if best else one.lost
    headroom = times(one.carries.least) if one.carries is not None else "-"
    cells = (
        money_text(one.chosen.bill),
        way_text(one, "request"),
        headroom,
        one.effort.sentence if one.feasible else "-",
    )
    body = "".join(f'<td class="n">{escape(cell)}</td>' for cell in cells[:3]) + f"<td>{escape(cells[3])}</td>"
    name = f"<td><b>{escape(one.shape.key)}</b><br><small>{escape(one.shape.title)}</small></td>"
    return f'<tr class="{"best" if best else ""}">{name}{body}<td>{escape(why)}</td></tr>'


def _bought(found: Comparison) -> list[Verdict]:
    return [one for one in found.verdicts if one.feasible and one.shape.name != "laptop"]


def _bill(found: Comparison) -> str:
    best = found.recommended or min(_bought(found), key=lambda one: (len(one.unmet), one.total), default=None)
    if best is None or best.chosen.bill is None:
        return ""
    bill = best.chosen.bill
    rows = "".join(
        f'<tr><td>{escape(one.owner)}</td><td>{escape(one.line.meter)}</td><td class="n">'
        f"{escape('unknown' if one.line.money is None else str(one.line.money))}</td>"
        f"<td>{escape(one.line.how)}</td><td>{one.line.evidence.read}</td></tr>"
        for one in bill.lines
    )
    foot = (
        f'<tr><th colspan="2">total</th><td class="n"><b>{escape(money_text(bill))}</b></td>'
        f'<td colspan="2">of which {bill.fixed} are due without any use; {bill.vat} tax come on top</td></tr>'
    )
    head = "".join(f"<th>{name}</th>" for name in ("for", "meter", "amount", "sum", "as of"))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody><tfoot>{foot}</tfoot></table>"
    return f'<section><h2>The bill of {escape(best.shape.key)}</h2><div class="wide">{table}</div></section>'


def _inputs(found: Comparison) -> str:
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in found.inputs.items()
    )
    note = (
        "Latency is estimated without the users\u2019 own access line. Its high end is a 90th percentile, and p95 "
        "a 95th, over places like these and not over time: nobody publishes the latter."
    )
    body = f'<dl class="facts small">{rows}</dl><p class="say">{note}</p>'
    return f"<section><h2>What all this rests on</h2>{body}</section>"
