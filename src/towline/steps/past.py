"""What the lines of a journal say of the past, the same on every site."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from towline.steps.model import Line


def releases(lines: tuple[Line, ...]) -> tuple[tuple[int, ...], int]:
    """The finished deploys that no rollback has taken back, oldest first, and the highest number ever begun.

    A run such as "7" or "7.rollback.1" ended as the last of its passes did ("7.resume.1" is a pass of "7").
    """
    plans: dict[str, dict[str, Any]] = {}
    outcomes: dict[str, str] = {}
    for line in lines:
        run = line.run.split(".resume.", 1)[0]
        if line.event == "plan" and line.plan is not None:
            plans.setdefault(run, line.plan)
            outcomes[run] = ""
        elif line.event == "ended":
            outcomes[run] = line.outcome
    finished: list[int] = []
    for run, plan in plans.items():
        number = int(plan["release"])
        if outcomes[run] == "done" and plan["intent"] == "rollback":
            finished = [one for one in finished if one <= number]
        elif outcomes[run] == "done" and plan["intent"] == "deploy":
            finished.append(number)
    return tuple(finished), max((int(run.split(".", 1)[0]) for run in plans), default=0)


def breaks_off(error: ValueError, text: str) -> bool:
    """Whether JSON ends too early, as opposed to being wrong in the middle."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or error.pos >= len(text) - len("false")
