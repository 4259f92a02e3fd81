"""From rings to claims, the same for every transport whose messages are job ids."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from towline_runtime.database import AWAY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Sequence

    from towline_runtime.claims import Claim, Claims

HAND_BACK = 5.0  # seconds that a cancelled call may take to give back what it has claimed


async def claim_rings(claims: Claims, jobs: Sequence[int], kinds: Collection[str]) -> list[Claim]:
    """Claim the rung jobs, in the order of their rings; those that must not be claimed here are rung again later.

    When this returns all rings may be forgotten: what is neither claimed nor passed on was stale or doubled.
    """
    return await kept_whole(claims, _claim_rings(claims, jobs, kinds))


async def kept_whole(claims: Claims, claiming: Awaitable[list[Claim]]) -> list[Claim]:
    """Await a claim so that, when cancelled meanwhile, nothing stays claimed that nobody knows of."""
    work = asyncio.ensure_future(claiming)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        with contextlib.suppress(*AWAY):
            async with asyncio.timeout(HAND_BACK):
                claimed = await work
                await claims.release([(claim, 0.0) for claim in claimed])
        raise


async def _claim_rings(claims: Claims, jobs: Sequence[int], kinds: Collection[str]) -> list[Claim]:
    place = {job: number for number, job in reversed(list(enumerate(jobs)))}
    if not place:
        return []
    kinds = list(kinds)  # what there is room for may change while this waits
    claimed = await claims.claim_rung(list(place), kinds)
    left = place.keys() - {claim.id for claim in claimed}
    if left:
        await _pass_on(claims, left, kinds)
    return sorted(claimed, key=lambda claim: place[claim.id])


async def _pass_on(claims: Claims, jobs: Collection[int], kinds: Collection[str]) -> None:
    # What was claimed a moment ago must reach the caller: a ring lost here is rung again by the sweeper.
    with contextlib.suppress(*AWAY):
        await claims.database.fetch("pass_on", sorted(jobs), list(kinds))
