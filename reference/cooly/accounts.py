"""Accounts: making them, checking who logs in, and the one that `towline verify` acts as."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from cooly import ledger
from cooly.models import Account

if TYPE_CHECKING:
    from cooly.parts import Parts

VERIFY = "verify@cooly.invalid"
TOP_UP = 20  # credits that the account of `verify` is given whenever it has none left


async def make(parts: Parts, email: str, password: str | None, gift: int) -> UUID | None:
    """Make an account with some credits; None when there is one with this address already."""
    hashed = None if password is None else await parts.passwords.hash(password)
    new = insert(Account).values(id=uuid4(), email=tidy(email), password_hash=hashed).on_conflict_do_nothing()
    async with parts.sessions_of_tables.begin() as session:
        made = await session.scalar(new.returning(Account.id))
        if made is not None and gift:
            await ledger.grant(session, made, gift)
        return made


async def log_in(parts: Parts, email: str, password: str) -> Account | None:
    """The account whose password this is."""
    async with parts.sessions_of_tables() as session:
        account = await session.scalar(select(Account).where(Account.email == tidy(email)))
    fits = await parts.passwords.fits(account.password_hash if account else None, password)
    return account if fits else None


async def of_token(parts: Parts) -> UUID:
    """The account of `towline verify`, made when it is first needed; nobody can log in to it."""
    found = select(Account.id).where(Account.email == VERIFY)
    async with parts.sessions_of_tables() as session:
        known = await session.scalar(found)
    if known is not None:
        return known
    made = await make(parts, VERIFY, None, TOP_UP)
    async with parts.sessions_of_tables() as session:
        return made or (await session.scalars(found)).one()


def tidy(email: str) -> str:
    """An address as it is kept: people do not mind capitals."""
    return email.strip().lower()
