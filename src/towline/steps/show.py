"""A plan and its steps as text and as JSON, without colour: what a person reads before saying yes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from towline.core.units import show_seconds
from towline.steps.model import to_json

if TYPE_CHECKING:
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Plan


def plan_lines(plan: Plan) -> tuple[str, ...]:
    """A heading, then each stage with its steps by site, then the notes; one line says that there is nothing to do."""
    lines = [heading(plan)]
    if plan.empty:
        lines = [f"{lines[0]}: nothing to change"]
    several = len({batch.site for stage in plan.stages for batch in stage.batches}) > 1
    for number, stage in enumerate(plan.stages, start=1):
        lines.append(f"{number:3}. {stage.name}")
        for batch in stage.batches:
            site = f"{batch.site}: " if several else ""
            lines += [f"     {site}{step_line(step)}" for step in batch.steps]
    return (*lines, *(f"note: {note}" for note in plan.notes))


def heading(plan: Plan) -> str:
    """What a plan is, in one line without its steps."""
    of = f"{plan.app} on {plan.target}"
    match plan.intent:
        case "deploy":
            return f"release {plan.release} of {of}"
        case "resume":
            return f"what is left to do for {of}"
        case "rollback":
            return f"{of} back to release {plan.release}" if plan.release else f"{of} back to where it began"
        case "down":
            return f"{of} down"
        case "purge":
            return f"the data of {of} DELETED"
        case "scale" | "restart" | "maintenance" | "backup" | "restore":
            return f"{plan.intent} of {of}"


def step_line(step: AnyStep) -> str:
    """A step with the limits that its title leaves out."""
    match step.kind:
        case "wait-ready":
            return f"{step.title} (at most {show_seconds(step.within)})"
        case "stop-instance":
            return f"{step.title} (at most {show_seconds(step.within)})"
        case "run-task" | "migrate":
            return f"{step.title} (at most {show_seconds(step.within)})"
        case _:
            return step.title


def plan_json(plan: Plan) -> dict[str, Any]:
    """The JSON of a plan for `--json`: as it is kept, with its digest, and the title of every step."""
    plain = to_json(plan)
    for stage, plain_stage in zip(plan.stages, plain["stages"], strict=True):
        for batch, plain_batch in zip(stage.batches, plain_stage["batches"], strict=True):
            for step, plain_step in zip(batch.steps, plain_batch["steps"], strict=True):
                plain_step["title"] = step.title
    return {**plain, "digest": plan.digest, "empty": plan.empty}
