"""What a worker may do to jobs: take them under a lease, keep the lease, and write how each attempt ended.

Every write carries the token that the claim gave: a worker whose lease was given to another changes nothing. All times
are the database's clock, so that a machine whose clock steps neither loses nor steals a lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    import asyncpg

    from towline_runtime.database import Database


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt at one job, owned by one worker; `payload`, `remembered` are JSON text."""

    id: int
    kind: str
    version: int
    queue: str
    attempt: int
    attempts: int
    token: int
    payload: str
    remembered: str | None
    correlation_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat learned of one running job."""

    id: int
    held: bool
    cancel_asked: bool


@dataclass(frozen=True)
class Claims:
    """The claims of one worker process; `lease` is in seconds."""

    database: Database
    worker: str
    lease: float

    async def claim(self, wanted: Sequence[tuple[str, int]], kinds: Collection[str], most: int) -> list[Claim]:
        """Ready jobs of these (queue, priority) pairs, the first pair first; jobs that others look at are skipped.

        `kinds` may map each kind to the number of its jobs that there is room for.
        """
        queues, priorities = [queue for queue, _ in wanted], [priority for _, priority in wanted]
        rooms = dict(kinds.items()) if isinstance(kinds, Mapping) else dict.fromkeys(kinds, most)
        given = (queues, priorities, list(rooms), most, self.worker, self.lease)
        if min(rooms.values(), default=most) < most:
            return _claims(await self.database.fetch("claim_within", *given, list(rooms.values())))
        return _claims(await self.database.fetch("claim", *given))

    async def claim_rung(self, ids: Sequence[int], kinds: Collection[str]) -> list[Claim]:
        """Those of the rung jobs that are ready and of a known kind; the rings of the others were stale or doubled."""
        return _claims(await self.database.fetch("claim_rung", list(ids), list(kinds), self.worker, self.lease))

    async def finish(self, ended: Sequence[tuple[Claim, str | None]]) -> set[int]:
        """Done, with the result as JSON text; gives the ids that were still ours."""
        ended = sorted(ended, key=_by_id)
        ids, tokens = _ids_and_tokens([claim for claim, _ in ended])
        return _ids(await self.database.persist("finish", ids, tokens, [result for _, result in ended]))

    async def retry(self, failed: Sequence[tuple[Claim, str, float]]) -> set[int]:
        """Another attempt after so many seconds, with the reason of this one's failure."""
        failed = sorted(failed, key=_by_id)
        ids, tokens = _ids_and_tokens([claim for claim, _, _ in failed])
        reasons, delays = [reason for _, reason, _ in failed], [delay for _, _, delay in failed]
        return _ids(await self.database.persist("retry", ids, tokens, reasons, delays))

    async def bury(self, failed: Sequence[tuple[Claim, str]]) -> set[int]:
        """Dead letters, with the reason."""
        failed = sorted(failed, key=_by_id)
        ids, tokens = _ids_and_tokens([claim for claim, _ in failed])
        return _ids(await self.database.persist("bury", ids, tokens, [reason for _, reason in failed]))

    async def release(self, back: Sequence[tuple[Claim, float]]) -> set[int]:
        """Handed back, to be claimed by anybody after so many seconds; the attempt does not count."""
        back = sorted(back, key=_by_id)
        ids, tokens = _ids_and_tokens([claim for claim, _ in back])
        return _ids(await self.database.persist("release", ids, tokens, [delay for _, delay in back]))

    async def end_cancelled(self, stopped: Sequence[Claim]) -> set[int]:
        """Ended because somebody asked."""
        return _ids(
            await self.database.persist("end_cancelled", *_ids_and_tokens(sorted(stopped, key=lambda one: one.id)))
        )

    async def beat(self, running: Sequence[Claim]) -> list[Beat]:
        """Renew all leases at once, and learn which are lost and which are asked to stop."""
        rows = await self.database.fetch("heartbeat", *_ids_and_tokens(running), self.lease)
        return [Beat(row["id"], row["held"], row["cancel_asked"]) for row in rows]

    async def look(self, running: Sequence[Claim]) -> list[Beat]:
        """Learn the same without renewing: a read only, so it may be asked often."""
        rows = await self.database.fetch("look", *_ids_and_tokens(running))
        return [Beat(row["id"], row["held"], row["cancel_asked"]) for row in rows]

    async def remember(self, claim: Claim, value: str) -> bool:
        """Keep JSON text with the job for its next attempt; false when the lease is lost."""
        return bool(await self.database.persist("remember", claim.id, claim.token, value))

    async def report(self, progress: Sequence[tuple[Claim, str]]) -> None:
        """Write how far jobs have come, as JSON text."""
        progress = sorted(progress, key=_by_id)
        ids, tokens = _ids_and_tokens([claim for claim, _ in progress])
        await self.database.fetch("report_progress", ids, tokens, [text for _, text in progress])


def _claims(rows: Sequence[asyncpg.Record]) -> list[Claim]:
    return [Claim(*row) for row in rows]


def _by_id(ended: tuple[Claim, *tuple[object, ...]]) -> int:
    """One order for all batches, so that two over the same rows seldom block each other."""
    return ended[0].id


def _ids(rows: Sequence[Any]) -> set[int]:
    return {row["id"] for row in rows}


def _ids_and_tokens(claims: Sequence[Claim]) -> tuple[list[int], list[int]]:
    return [claim.id for claim in claims], [claim.token for claim in claims]
