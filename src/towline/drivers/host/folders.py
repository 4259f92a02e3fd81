"""The step that unpacks a folder of the project on a host (pure)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from towline.core.errors import Defect
from towline.drivers.host.batch import StepProgram
from towline.drivers.host.programs import part, quote

if TYPE_CHECKING:
    from towline.steps.folders import PlaceFolder

_DIGITS = re.compile(r"[0-9a-f]{64}")


def place_folder(step: PlaceFolder) -> StepProgram:
    """The folder, of what was sent."""
    if not _DIGITS.fullmatch(step.part):
        raise Defect(f"{step.folder!r} is no name of a folder")
    body = part("folders.sh")
    return StepProgram(holds=f"{body}is_placed {quote(step.part)}\n", apply=f"{body}place_folder {quote(step.part)}\n")
