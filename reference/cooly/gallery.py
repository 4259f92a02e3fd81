"""Pictures as the page sees them: new ones, single ones, the latest ones."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from sqlalchemy import select
from sqlalchemy.orm import aliased

from cooly import ledger
from cooly.jobs import GEN
from cooly.models import Entry, Generation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Row, Select

    from cooly.parts import Parts

COST = 1  # credits a picture
LINK_SECONDS = 3600  # how long an address of a picture works


class Step(BaseModel):
    """How far a picture is: `done` from 0 to 1, a few words, and a tiny JPEG in base64."""

    done: float = 0.0
    note: str = ""
    preview: str | None = None


class Shown(BaseModel):
    """One picture as the API tells it; its addresses work for an hour, in any browser."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)

    id: UUID
    job_id: int | None
    prompt: str
    state: str
    credits: str
    progress: Step | None = None
    image_url: str | None = None
    small_url: str | None = None
    width: int | None = None
    height: int | None = None
    error: str | None = None
    created_at: str
    finished_at: str | None = None

    @property
    def final(self) -> bool:
        """Nothing will change any more."""
        return self.state in {"done", "failed"} and self.credits != "reserved"


async def ask_for(parts: Parts, account_id: UUID, prompt: str, *, top_up: int = 0) -> tuple[UUID, int, int]:
    """Write the picture, its reservation and its job in one transaction; gives its id, job and the credits left.

    With `top_up` an account that has too few is given that many first. Raises ledger.NotEnoughCredits.
    """
    async with parts.sessions_of_tables.begin() as session:
        await ledger.lock(session, account_id)
        if top_up and await ledger.balance(session, account_id) < COST:
            await ledger.grant(session, account_id, top_up)
        picture = Generation(id=uuid4(), account_id=account_id, prompt=prompt, cost=COST)
        session.add(picture)
        await session.flush()
        left = await ledger.reserve(session, picture)
        job = parts.kinds.generate.with_(key=str(picture.id)).enqueue(picture.id)
        picture.job_id = (await session.execute(*job.sqlalchemy())).one().id
    parts.nudge(GEN)
    parts.arrivals.tell(account_id)
    return picture.id, picture.job_id, left


async def one(parts: Parts, account_id: UUID, generation_id: UUID) -> Shown | None:
    """A picture of this account, None when it has no such one."""
    found = await _rows(parts, _pictures().where(Generation.account_id == account_id, Generation.id == generation_id))
    return await _shown(parts, *found[0]) if found else None


async def latest(parts: Parts, account_id: UUID, most: int) -> list[Shown]:
    """The account's latest pictures, the newest first."""
    wanted = _pictures().where(Generation.account_id == account_id)
    found = await _rows(parts, wanted.order_by(Generation.created_at.desc(), Generation.id.desc()).limit(most))
    return [await _shown(parts, *row) for row in found]


async def unfinished(parts: Parts, account_id: UUID) -> Sequence[UUID]:
    """The account's pictures that are waiting or at work."""
    states = Generation.state.in_(("queued", "working"))
    async with parts.sessions_of_tables() as session:
        found = await session.scalars(
            select(Generation.id).where(Generation.account_id == account_id, states).order_by(Generation.created_at)
        )
        return found.all()


def _pictures() -> Select[Generation, str]:
    settled = aliased(Entry)
    ended = settled.kind.in_(("capture", "release"))
    return select(Generation, settled.kind).outerjoin(settled, (settled.generation_id == Generation.id) & ended)


async def _rows(parts: Parts, wanted: Select[Generation, str]) -> Sequence[Row[Generation, str]]:
    async with parts.sessions_of_tables() as session:
        return (await session.execute(wanted)).all()


async def _shown(parts: Parts, picture: Generation, settled: str | None) -> Shown:
    return Shown(
        id=picture.id,
        job_id=picture.job_id,
        prompt=picture.prompt,
        state=picture.state,
        credits={"capture": "captured", "release": "released"}.get(settled or "", "reserved"),
        image_url=await _address(parts, picture.object_key),
        small_url=await _address(parts, picture.small_key),
        width=picture.width,
        height=picture.height,
        error=picture.error,
        created_at=picture.created_at.isoformat(),
        finished_at=_time(picture.finished_at),
    )


async def _address(parts: Parts, key: str | None) -> str | None:
    return None if key is None else await parts.storage.presign_get(key, LINK_SECONDS)


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
