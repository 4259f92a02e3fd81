"""The command that compares: what each way to place the app costs, how fast it is, what it carries, where it breaks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from towline.cli.options import HERE, AsJson, Day, OwnOffers, Project, UsageFile
from towline.cli.show import Screen

if TYPE_CHECKING:
    from towline.ops.compare import Asked
    from towline.planner.compare import Comparison
    from towline.planner.sweep import Point

Shown = Annotated[list[str] | None, typer.Option("--show", help="A shape to show in full.")]
Sweep = Annotated[str | None, typer.Option("--sweep", help="Over a range of users: users=10..5000.")]
Page = Annotated[Path | None, typer.Option("--html", help="Write it as one self-contained page.")]
Schema = Annotated[bool, typer.Option("--schema", help="Print the JSON schema of usage.yaml.")]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(compare)


def compare(  # noqa: PLR0913 - a command has the options that it has
    *,
    usage: UsageFile = None,
    offers: OwnOffers = None,
    show: Shown = None,
    sweep: Sweep = None,
    html: Page = None,
    on: Day = None,
    schema: Schema = False,
    project: Project = HERE,
    as_json: AsJson = False,
) -> None:
    """Compare every way to place the app: cost, latency, capacity, losses, risks, and which one fits. Buys nothing.

    Exit status 0: one is recommended. 10: nothing fits the wishes; what the cheapest is, is said.
    """
    from towline.ops import compare as ops
    from towline.planner.compare import compare as look
    from towline.planner.usage_file import usage_schema

    screen = Screen(as_json)
    if schema:
        screen.json(usage_schema())
        return
    asked = ops.asked(project, usage, offers, on.date() if on is not None else _today())
    found = look(asked.scene, asked.usage)
    ops.wanted(show or [], [one.shape.key for one in found.verdicts])
    points = _points(asked, sweep, wanted=html is not None)
    if html is not None:
        _write(html, asked, found, points)
    if as_json:
        _json(screen, found, points if sweep else ())
    else:
        _print(screen, found, show or [], points if sweep else ())
    if found.recommended is None:
        raise typer.Exit(10)


def _today() -> date:
    return datetime.now(UTC).date()


def _points(asked: Asked, text: str | None, *, wanted: bool) -> tuple[Point, ...]:
    from towline.planner.sweep import around, sweep, users_of

    if text is not None:
        return sweep(asked.scene, asked.usage, users_of(text))
    return sweep(asked.scene, asked.usage, around(asked.usage)) if wanted else ()


def _write(path: Path, asked: Asked, found: Comparison, points: tuple[Point, ...]) -> None:
    from towline.core.files import write_atomic
    from towline.planner.page import page

    write_atomic(path, page(asked.scene.app.name, asked.scene.today, found, points), mode=0o644)


def _json(screen: Screen, found: Comparison, points: tuple[Point, ...]) -> None:
    from towline.planner.compared import comparison_json, sweep_json
    from towline.planner.sweep import tiers

    document = comparison_json(found)
    if points:
        document["sweep"] = sweep_json(points, tiers(points))
    screen.json(document)


def _print(screen: Screen, found: Comparison, show: list[str], points: tuple[Point, ...]) -> None:
    from towline.planner.compared import HEAD, detail_lines, rows, sweep_rows
    from towline.planner.sweep import tiers

    screen.table(HEAD, rows(found))
    for one in found.verdicts:
        if one.shape.key in show or (not show and one is found.recommended):
            screen.answer.print()
            for line in detail_lines(one, found.inputs):
                screen.answer.print(escape(line))
    if points:
        screen.answer.print()
        screen.table(*sweep_rows(points))
        for tier in tiers(points):
            screen.answer.print(escape(f"{tier.first} to {tier.last} users: {tier.key or 'nothing fits'}"))
    for sentence in found.advice:
        screen.talk.print(escape(f"note: {sentence}"))
