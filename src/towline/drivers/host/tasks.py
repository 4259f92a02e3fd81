"""A program that runs to its end on a host, as the programs of its step; and the end of those that are left."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from towline.core.units import show_seconds
from towline.drivers.host.batch import StepProgram
from towline.drivers.host.programs import part, quote, settings

if TYPE_CHECKING:
    from towline.steps.kinds import EndSite, RunTask


def run_task(step: RunTask) -> StepProgram:
    """The step as a plain command of the host, with nothing but its stashed environment."""
    name = file_name(step.name)
    marker = "" if step.marker is None else json.dumps({"name": step.name, "marker": step.marker})
    given = settings(
        task=name,
        title=step.name,
        marker=marker,
        within=f"{step.within:g}",
        within_shown=show_seconds(step.within),
        folder=step.cwd,
        env=step.env or "",
        output=step.output or "",
        kept="" if step.output is None else f"{step.service}/{step.marker}",
        service=step.service,
    )
    body = given + part("task.sh")
    return StepProgram(holds=f"{body}has_run\n", apply=f"{body}run {' '.join(map(quote, step.command))}\n")


def end_site(_step: EndSite) -> StepProgram:
    """The end of every task that an earlier run has left behind."""
    body = part("task.sh")
    return StepProgram(holds=f"{body}nothing_runs\n", apply=f"{body}end_all\n")


def file_name(name: str) -> str:
    """A file name for any name: a readable part, and a digest so that no two are the same."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{plain or 'task'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
