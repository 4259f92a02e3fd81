"""What is left of a plan that broke off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from towline.core.errors import Refused

if TYPE_CHECKING:
    from towline.release.journal import Run, State
    from towline.steps.model import Plan, Stage


def resume(state: State) -> Plan:
    """The open run's plan from its first stage that is not wholly done; the stages keep their numbers.

    Every step in it is asked first whether it holds, so it carries no facts. It may have no stage at all, when only the
    end was not written down: it is run all the same. Raises Refused when nothing is open.
    """
    run = state.open
    if run is None:
        raise Refused("nothing is left to resume: the last run is done", hint="towline status")
    stages = run.plan.stages
    first = next((place for place, stage in enumerate(stages) if not _wholly_done(stage, run)), len(stages))
    return replace(run.plan, intent="resume", stages=stages[first:], facts={})


def _wholly_done(stage: Stage, run: Run) -> bool:
    done = {(begun.stage, begun.site, begun.index) for begun in run.begun if begun.last == "done"}
    return all((batch.stage, batch.site, index) in done for batch in stage.batches for index in range(len(batch.steps)))
