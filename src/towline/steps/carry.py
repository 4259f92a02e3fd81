"""Carry out batches through an Actor: ask, write down how to go back, act, write down what was seen."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from towline.core.errors import StepFailed
from towline.steps.model import Line, as_stretch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from towline.steps.driver import Actor
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Batch, Lease, Stretch


@dataclass(frozen=True)
class Desk:
    """What carrying out needs of a site besides the Actor.

    `write` appends a line to the journal and syncs it; `permitted` raises Fenced once a newer lease has been seen.
    """

    write: Callable[[Line], None]
    permitted: Callable[[Lease], None]


def carry_out(work: Batch | Stretch, actor: Actor, desk: Desk, *, lease: Lease, run: str) -> Iterator[Line]:
    """The lines of a batch or a stretch, each yielded after it was written; ends after the first `failed`."""
    stretch = as_stretch(work)
    yield from _own(stretch.opening, desk, lease)
    for place, step in _places(stretch, lease, run):
        for line in _carry_step(step, actor, desk, lease=lease, place=place):
            yield line
            if line.event == "failed":
                return
    yield from _own(stretch.closing, desk, lease)


def _own(line: Line | None, desk: Desk, lease: Lease) -> Iterator[Line]:
    """A line of the engine's own."""
    if line is not None:
        desk.permitted(lease)
        yield _written(line, desk)


def _places(stretch: Stretch, lease: Lease, run: str) -> Iterator[tuple[Line, AnyStep]]:
    """What all lines of each step have in common, and the step."""
    for batch in stretch.batches:
        for index, step in enumerate(batch.steps):
            place = Line("", run, "began", lease.fence, site=batch.site, stage=batch.stage, index=index, step=step)
            yield place, step


def _written(line: Line, desk: Desk) -> Line:
    stamped = replace(line, at=datetime.now(UTC).isoformat(timespec="milliseconds"))
    desk.write(stamped)
    return stamped


def _carry_step(step: AnyStep, actor: Actor, desk: Desk, *, lease: Lease, place: Line) -> Iterator[Line]:
    def written(line: Line) -> Line:
        return _written(line, desk)

    start = time.monotonic()
    try:
        desk.permitted(lease)
        held = actor.holds(step)
        before = actor.before(step)
        yield written(replace(place, before=before))
        desk.permitted(lease)
        saw = actor.apply(step) if held is None else held
    except StepFailed as error:
        spent = round(time.monotonic() - start, 3)
        yield written(
            replace(
                place,
                event="failed",
                sentence=error.sentence,
                hint=error.hint or "",
                evidence=error.evidence,
                seconds=spent,
            )
        )
        return
    spent = round(time.monotonic() - start, 3)
    yield written(replace(place, event="done", already=held is not None, saw=saw, seconds=spent))
