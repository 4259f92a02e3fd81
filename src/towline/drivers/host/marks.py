"""What a program on a host says in place of an answer, as the errors that it means."""

from __future__ import annotations

import json

from towline.core.errors import Fenced, LockHeld, StepFailed
from towline.core.units import show_seconds


def refuse_marks(line: str, site: str) -> None:
    """Raise what a line with a mark (`!fenced`, `!held`, `!busy`, `!journal`) means; any other line is none."""
    mark, _, rest = line.partition(" ")
    first, _, owner = rest.partition(" ")
    match mark:
        case "!fenced":
            by = f" by {_name(owner)}" if _name(owner) else ""
            raise Fenced(f"`{site}` was taken over{by} (fence {first}): this run changes nothing more", hint=_LOOK)
        case "!held":
            left = show_seconds(int(first) / 100)
            raise LockHeld(f"{_name(owner)} holds the lock of `{site}` for another {left} unless renewed", hint=_LOOK)
        case "!busy":
            raise LockHeld(f"a step of an earlier run is still at work on `{site}`; it is the last one", hint=_LOOK)
        case "!journal":
            raise StepFailed(f"`{site}` cannot write its journal: {rest or 'no reason is known'}", hint="df -h, there")
        case _:
            return


_LOOK = "towline status"


def _name(owner: str) -> str | None:
    name: str | None = json.loads(owner or "null")
    return name
