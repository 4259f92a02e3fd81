"""The comparison over a range of users: what each shape costs, and where another one becomes right. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from towline.core.errors import UsageError
from towline.planner.compare import compare

if TYPE_CHECKING:
    from towline.planner.compare import Comparison, Scene
    from towline.planner.usage import Usage

POINTS = 8
_MOST_POINTS = 50
_RANGE = re.compile(r"users=(\d{1,9})\.\.(\d{1,9})(?::(\d{1,3}))?")


@dataclass(frozen=True)
class Point:
    """The comparison for so many users at work."""

    users: int
    comparison: Comparison


@dataclass(frozen=True)
class Tier:
    """The users from `first` to `last` for whom the same shape is right; None where nothing fits."""

    first: int
    last: int
    key: str | None


def users_of(text: str) -> tuple[int, ...]:
    """The numbers of users in `users=10..5000` or `users=10..5000:12`, evenly in their ratio; UsageError else."""
    match = _RANGE.fullmatch(text.strip())
    hint = "write for example --sweep users=10..5000, or users=10..5000:12 for 12 points"
    if match is None:
        raise UsageError(f"`{text}` is no range to sweep over", hint=hint)
    first, last, points = int(match[1]), int(match[2]), int(match[3] or POINTS)
    if not 1 <= first <= last or not 2 <= points <= _MOST_POINTS:
        raise UsageError(f"`{text}`: from at least 1 up, with 2 to {_MOST_POINTS} points", hint=hint)
    ratio = (last / first) ** (1 / (points - 1))
    found = [round(first * ratio**number) for number in range(points - 1)] + [last]
    return tuple(dict.fromkeys(found))


def around(usage: Usage) -> tuple[int, ...]:
    """A tenth to fifty times today's users."""
    today = max(1, int(usage.users))
    return users_of(f"users={max(1, today // 10)}..{today * 50}:{POINTS}")


def sweep(scene: Scene, usage: Usage, users: tuple[int, ...]) -> tuple[Point, ...]:
    """The comparison at each number of users."""
    return tuple(Point(count, compare(scene, usage.with_users(Decimal(count)))) for count in users)


def tiers(points: tuple[Point, ...]) -> tuple[Tier, ...]:
    """Neighbours with the same recommendation as one."""
    found: list[Tier] = []
    for one in points:
        best = one.comparison.recommended
        key = best.shape.key if best is not None else None
        if found and found[-1].key == key:
            found[-1] = Tier(found[-1].first, one.users, key)
        else:
            found.append(Tier(one.users, one.users, key))
    return tuple(found)
