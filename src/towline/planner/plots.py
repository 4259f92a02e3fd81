"""Plots as inline SVG: scales, ticks, labels that do not lie on each other. Pure text; colours come from the page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 168, 18, 48
"""Margins of the plot; at the right is room for the names of lines."""

LINE_HEIGHT = 15
SERIES = 7
"""Colours that the page has."""


@dataclass(frozen=True)
class Scale:
    """A logarithmic axis from `low` to `high` over pixels `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value; what is outside lies on the edge."""
        inside = min(max(value, self.low), self.high)
        part = (log10(inside) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return self.start + part * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values inside the axis: more of each power of ten where the axis spans few of them."""
        powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        decades = log10(self.high / self.low)
        steps = (1, 1.5, 2, 3, 4, 5, 7) if decades < 0.9 else (1, 2, 5) if decades <= 3 else (1,)
        values = [step * 10.0**power for power in powers for step in steps]
        return [one for one in values if self.low <= one <= self.high]


def scale(values: Iterable[float], start: float, end: float) -> Scale:
    """An axis around the values, a little wider than they are."""
    known = [max(one, 0.01) for one in values] or [1.0]
    low, high = min(known) / 1.25, max(known) * 1.25
    return Scale(low, max(low * 4, high), start, end)


@dataclass(frozen=True)
class Mark:
    """A point with its name; `strong` for the one that is recommended, `faint` for one that cannot be."""

    x: float
    y: float
    name: str
    title: str
    strong: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Curve:
    """A line with its name: points in rising order of x."""

    name: str
    points: tuple[tuple[float, float], ...]
    title: str
    strong: bool = False


@dataclass(frozen=True)
class Axis:
    """What an axis says, and how its ticks are written."""

    title: str
    text: Callable[[float], str]


def scatter(marks: Sequence[Mark], frontier: Sequence[Mark], axes: tuple[Axis, Axis], name: str) -> str:
    """Points over two axes, and the frontier: those that nothing beats in both at once."""
    across = scale((one.x for one in marks), LEFT, WIDTH - RIGHT)
    up = scale((one.y for one in marks), HEIGHT - BOTTOM, TOP)
    steps = [f"{across.at(one.x):.1f},{up.at(one.y):.1f}" for one in frontier]
    body = [f'<polyline class="frontier" points="{" ".join(steps)}"/>'] if len(steps) > 1 else []
    heights = _spread([(up.at(one.y), one.name) for one in marks], TOP + 6, HEIGHT - BOTTOM - 4)
    for one in marks:
        kind = "strong" if one.strong else "faint" if one.faint else "plain"
        x, y, label = across.at(one.x), up.at(one.y), heights[one.name]
        edge = WIDTH - RIGHT + 14
        body.append(f'<path class="leader" d="M{x + 7:.1f},{y:.1f}L{edge - 4},{label:.1f}"/>')
        shape = f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{7 if one.strong else 5}"/>'
        body.append(f"<g>{shape}<title>{escape(one.title)}</title></g>")
        body.append(f'<text class="label {kind}" x="{edge}" y="{label + 4:.1f}">{escape(one.name)}</text>')
    return _svg(name, [*_axes(across, up, axes, HEIGHT), *body], HEIGHT)


def curves(lines: Sequence[Curve], axes: tuple[Axis, Axis], name: str, at_one: str = "") -> str:
    """Lines over two axes, each with its name at its end; `at_one` names a rule across at 1."""
    points = [point for one in lines for point in one.points]
    across = scale((x for x, _ in points), LEFT, WIDTH - RIGHT)
    up = scale([*(y for _, y in points), *([1.0] if at_one else [])], HEIGHT - BOTTOM, TOP)
    body = []
    if at_one:
        y = up.at(1.0)
        body.append(f'<path class="rule" d="M{LEFT},{y:.1f}H{WIDTH - RIGHT}"/>')
        body.append(f'<text class="note" x="{LEFT + 6}" y="{y - 5:.1f}">{escape(at_one)}</text>')
    ends = _spread([(up.at(one.points[-1][1]), one.name) for one in lines], TOP + 6, HEIGHT - BOTTOM - 4)
    for number, one in enumerate(lines):
        steps = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in one.points)
        look = f"s{number % SERIES}{' strong' if one.strong else ''}"
        body.append(f'<polyline class="curve {look}" points="{steps}"><title>{escape(one.title)}</title></polyline>')
        last, label = one.points[-1], ends[one.name]
        x, y, edge = across.at(last[0]), up.at(last[1]), WIDTH - RIGHT + 14
        body.append(f'<path class="leader" d="M{x + 2:.1f},{y:.1f}L{edge - 4},{label:.1f}"/>')
        body.append(f'<text class="label {look}" x="{edge}" y="{label + 4:.1f}">{escape(one.name)}</text>')
    return _svg(name, [*_axes(across, up, axes, HEIGHT), *body], HEIGHT)


def _spread(wanted: Sequence[tuple[float, str]], low: float, high: float) -> dict[str, float]:
    """Heights of labels near those wanted, at least a line apart, between `low` and `high`."""
    ordered = sorted(wanted)
    found: list[float] = []
    for height, _ in ordered:
        found.append(max(height, found[-1] + LINE_HEIGHT if found else low))
    limit = high
    for index in range(len(found) - 1, -1, -1):
        found[index] = min(found[index], limit)
        limit = found[index] - LINE_HEIGHT
    return {name: height for (_, name), height in zip(ordered, found, strict=True)}


def _axes(across: Scale, up: Scale, axes: tuple[Axis, Axis], height: int) -> list[str]:
    right, bottom = WIDTH - RIGHT, height - BOTTOM
    body = []
    for value in up.ticks():
        y = up.at(value)
        body.append(f'<path class="grid" d="M{LEFT},{y:.1f}H{right}"/>')
        where = f'x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end"'
        body.append(f'<text class="tick" {where}>{axes[1].text(value)}</text>')
    for value in across.ticks():
        x = across.at(value)
        body.append(f'<path class="grid" d="M{x:.1f},{bottom}v4"/>')
        body.append(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{axes[0].text(value)}</text>'
        )
    body.append(f'<path class="axis" d="M{LEFT},{bottom}H{right}"/>')
    middle = (LEFT + right) / 2
    body.append(
        f'<text class="title" x="{middle}" y="{height - 8}" text-anchor="middle">{escape(axes[0].title)}</text>'
    )
    turned = f'transform="translate(14,{(TOP + bottom) / 2:.0f}) rotate(-90)"'
    body.append(f'<text class="title" {turned} text-anchor="middle">{escape(axes[1].title)}</text>')
    return body


def _svg(name: str, body: Sequence[str], height: int) -> str:
    label = f'role="img" aria-label="{escape(name)}"'
    head = f'<svg {label} viewBox="0 0 {WIDTH} {height}" xmlns="http://www.w3.org/2000/svg">'
    return f"{head}{''.join(body)}</svg>"
