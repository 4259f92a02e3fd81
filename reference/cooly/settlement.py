"""How a picture ends, on the side of the workers: statements for the transaction that also ends the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg

    Transaction = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

BEGIN = """
update generation set state = 'working' where id = $1 and state in ('queued', 'working')
returning account_id, prompt
"""

MADE = """
update generation
set state = 'done', object_key = $2, small_key = $3, width = $4, height = $5, error = null, finished_at = now()
where id = $1 and state in ('queued', 'working')
"""

FAILED = """
update generation set state = 'failed', error = $2, finished_at = now()
where id = $1 and state in ('queued', 'working')
"""

LOCK = """
select a.id from account a join generation g on g.account_id = a.id where g.id = $1 for update of a
"""

# A statement of its own after LOCK: only then does it see what the holder before has written.
SETTLE = """
insert into ledger (account_id, kind, amount, balance, generation_id)
select g.account_id, ended.kind, ended.amount, latest.balance + ended.amount, g.id
from generation g
cross join lateral (
    select case g.state when 'done' then 'capture' else 'release' end as kind,
           case g.state when 'done' then 0 else g.cost end as amount
) ended
cross join lateral (
    select l.balance from ledger l where l.account_id = g.account_id order by l.id desc limit 1
) latest
where g.id = $1 and g.state in ('done', 'failed')
on conflict (generation_id) where kind in ('capture', 'release') do nothing
"""

# Jobs whose workers died at every attempt, or that somebody cancelled, never came to say so themselves.
LOST = """
select g.id, j.state::text as job_state from generation g left join towline.job j on j.id = g.job_id
where g.state in ('queued', 'working') and g.job_id is not null
  and (j.id is null or j.state in ('dead', 'cancelled', 'done'))
order by g.job_id limit $1
for update of g skip locked
"""


async def settle(transaction: Transaction, generation: UUID) -> None:
    """Capture the credits of a picture that was made, release those of one that was not; once, however often called."""
    await transaction.execute(LOCK, generation)
    await transaction.execute(SETTLE, generation)


async def fail(transaction: Transaction, generation: UUID, reason: str, capture: tuple[Any, ...]) -> None:
    """Write down why there is no picture, and queue the release of its credits."""
    await transaction.execute(FAILED, generation, reason)
    await transaction.execute(*capture)
