"""A program of the previous runtime: adds jobs, and takes every job through all that a worker may do to it.

Called with the address of a migrated database; prints what it saw as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import towline_runtime
from towline_runtime.claims import Claim, Claims
from towline_runtime.database import Database
from towline_runtime.jobs import Jobs
from towline_runtime.migrations import migrate
from towline_runtime.outbox import enqueue_many

jobs = Jobs()


@jobs.kind("resize", queue="images", attempts=3)
async def resize(job: Any, photo: str, width: int = 800) -> str:
    """Never run here: the program stands for its worker."""
    raise NotImplementedError


async def main(url: str) -> dict[str, Any]:
    """All that a process of that version does, in one go."""
    applied = await migrate(url)
    async with Database.open(url) as database:
        async with database.transaction() as connection:
            (one,) = await connection.fetch(*resize.with_(key="k", lane="l").enqueue("a.jpg", width=3).asyncpg())
            (again,) = await connection.fetch(*resize.with_(key="k").enqueue("a.jpg").asyncpg())
            many = [resize.enqueue(f"{n}.jpg") for n in range(5)]
            added = await connection.fetch(*enqueue_many(many).asyncpg())
        claims = Claims(database, "old", 60)
        taken = await claims.claim([("images", 1), ("images", 0)], ["resize"], 100)
        beats = await claims.beat(taken)
        ends = await end(claims, taken)
        views = await database.fetch("view", [claim.id for claim in taken])
        drained = await database.fetch("drain_outbox", ["images"], 500)
        return {
            "from": towline_runtime.__file__,
            "applied": applied,
            "added": 1 + len(added),
            "key": [one["id"] == again["id"], again["added"]],
            "payloads": [resize.unpack(claim.payload) for claim in taken],
            "held": all(beat.held for beat in beats),
            "ends": ends,
            "states": sorted({(row["id"], row["state"]) for row in views}),
            "drained": len(drained) >= len(taken),
            "depth": [dict(row) | {"oldest_seconds": 0} for row in await database.fetch("depth")],
        }


async def end(claims: Claims, taken: list[Claim]) -> list[int]:
    """Each claim to another end; gives how many rows each write changed."""
    done, later, dead, back, stopped, *rest = sorted(taken, key=lambda claim: claim.id)
    await claims.report([(done, '{"done": 0.5}')])
    return [
        int(await claims.remember(done, '{"request": 1}')),
        len(await claims.finish([(done, '"ok"'), *((claim, None) for claim in rest)])),
        len(await claims.retry([(later, "no luck", 0.0)])),
        len(await claims.bury([(dead, "no hope")])),
        len(await claims.release([(back, 0.0)])),
        len(await claims.end_cancelled([stopped])),
        len(await claims.database.fetch("expire", 10)),
    ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(sys.argv[1]))))
