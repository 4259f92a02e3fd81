"""Credits on the side of the request: what is left, and reserving some, in the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from cooly.models import Account, Entry, Generation

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncSession


class NotEnoughCredits(Exception):
    """The account has fewer credits than the picture costs."""

    def __init__(self, balance: int, cost: int) -> None:
        super().__init__(f"{balance} credits left, {cost} wanted")
        self.balance = balance
        self.cost = cost


async def balance(session: AsyncSession, account_id: UUID) -> int:
    """Credits that can be spent."""
    latest = select(Entry.balance).where(Entry.account_id == account_id).order_by(Entry.id.desc()).limit(1)
    return await session.scalar(latest) or 0


async def reserved(session: AsyncSession, account_id: UUID) -> int:
    """Credits set aside for pictures that are not finished."""
    open_ones = select(func.coalesce(func.sum(Generation.cost), 0)).where(
        Generation.account_id == account_id, Generation.state.in_(("queued", "working"))
    )
    return await session.scalar(open_ones) or 0


async def lock(session: AsyncSession, account_id: UUID) -> None:
    """Let nobody else write this account's ledger until the transaction ends: the next line needs the latest one."""
    await session.execute(select(Account.id).where(Account.id == account_id).with_for_update())


async def grant(session: AsyncSession, account_id: UUID, amount: int) -> int:
    """Add credits; the account is locked. Gives the new balance."""
    after = await balance(session, account_id) + amount
    session.add(Entry(account_id=account_id, kind="grant", amount=amount, balance=after))
    await session.flush()
    return after


async def reserve(session: AsyncSession, generation: Generation) -> int:
    """Set aside what a new picture costs; the account is locked. Gives the new balance; raises NotEnoughCredits."""
    before = await balance(session, generation.account_id)
    if before < generation.cost:
        raise NotEnoughCredits(before, generation.cost)
    after = before - generation.cost
    session.add(
        Entry(
            account_id=generation.account_id,
            kind="reserve",
            amount=-generation.cost,
            balance=after,
            generation_id=generation.id,
        )
    )
    await session.flush()
    return after
