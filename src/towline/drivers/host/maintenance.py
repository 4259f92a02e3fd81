"""The step about maintenance, as the program of a batch (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.drivers.host.batch import StepProgram
from towline.drivers.host.programs import part, quote

if TYPE_CHECKING:
    from towline.steps.maintenance import SetMaintenance


def set_maintenance(step: SetMaintenance) -> StepProgram:
    """A file that the front door looks for at each request: no reload, no dropped connection."""
    body = part("files.sh") + part("maintenance.sh")
    if step.page is None:
        return StepProgram(holds=f"{body}is_open\n", apply=f"{body}reopen\n")
    words = f"{quote(step.page)} {step.retry_after}"
    return StepProgram(holds=f"{body}shows_page {words}\n", apply=f"{body}show_page {words}\n")
