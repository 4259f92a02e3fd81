"""An outlook as lines for people, and as plain data for `--json`. Amounts are texts, so that they stay exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.core.units import show_bytes
from towline.planner.compared import detail_lines, money_text, verdict_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.core.units import Money
    from towline.planner.changes import Copies
    from towline.planner.outlook import Outlook

ASSUMED = "no usage.yaml: the use is assumed, {users} people at work at once (`towline compare --schema` has all of it)"


def outlook_lines(found: Outlook, *, assumed: bool) -> Iterator[str]:
    """What changes, then bill, estimate and verdict; `assumed` says that nobody wrote a usage.yaml."""
    yield from _changes(found)
    if assumed:
        yield ASSUMED.format(users=found.inputs["users at work"])
    yield from detail_lines(found.verdict, found.inputs)
    yield f"verdict: {_word(found)}"


def _word(found: Outlook) -> str:
    misses = len(found.verdict.unmet)
    if not found.verdict.feasible:
        return "not feasible"
    return f"feasible, with {misses} {'miss' if misses == 1 else 'misses'}" if misses else "feasible"


def _changes(found: Outlook) -> Iterator[str]:
    release, moving = found.today.release, [one for one in found.changes if not one.stays]
    if not found.today.known:
        yield "what the release makes; what runs there today is not known"
    elif not found.today.copies:
        last = f"; the last finished release was {release}" if release else ""
        yield f"what changes: nothing runs today{last}"
    else:
        yield f"what changes against today, release {release}"
    yield from (f"  {one.name}: {one.sentence}" for one in moving)
    if left := len(found.changes) - len(moving):
        yield f"  {left} {'stays' if left == 1 else 'stay'} as {'it is' if left == 1 else 'they are'}"
    before, after = found.memory
    bill = money_text(found.verdict.chosen.bill)
    if not found.today.known:
        yield f"  memory: {show_bytes(after)}"
        yield f"  bill a month: {bill}"
        return
    yield f"  memory: {show_bytes(before)} to {show_bytes(after)}"
    yield f"  bill a month: {_amount(found.before)} to {bill}{_difference(found)}"


def _amount(money: Money | None) -> str:
    return "not known" if money is None else str(money)


def _difference(found: Outlook) -> str:
    more = found.more
    if more is None or not more.amount:
        return "" if more is None else ", the same"
    return f", {more} more" if more.amount > 0 else f", {more * -1} less"


def outlook_json(found: Outlook, usage_file: str | None) -> dict[str, object]:
    """Everything of an outlook; `usage` says in which file the use was, null where it is assumed."""
    plain, more = verdict_json(found.verdict), found.more
    before, after = found.memory
    return {
        "today": {
            "known": found.today.known,
            "release": found.today.release if found.today.known else None,
            "runs": bool(found.today.copies) if found.today.known else None,
        },
        "changes": {
            "parts": [
                {
                    "name": one.name,
                    "before": _copies_json(one.before),
                    "after": _copies_json(one.after),
                    "what": one.sentence,
                }
                for one in found.changes
            ],
            "memory": {"before": before if found.today.known else None, "after": after},
            "bill": {
                "before": None if found.before is None else str(found.before.amount),
                "after": None if found.after is None else str(found.after.amount),
                "more": None if more is None else str(more.amount),
            },
        },
        "usage": {"file": usage_file, "rests_on": found.inputs},
        "purchases": plain["purchases"],
        "bill": plain["bill"],
        "estimate": {"ways": plain["ways"], "carries": plain["carries"]},
        "verdict": {
            name: plain[name] for name in ("feasible", "refused", "unmet", "loses", "risks", "effort", "in_stock")
        },
    }


def _copies_json(one: Copies | None) -> dict[str, object] | None:
    return None if one is None else {"copies": one.count, "memory": one.memory, "revisions": list(one.revisions)}
