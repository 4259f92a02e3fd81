"""Asking for pictures, and looking at them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from cooly import accounts, gallery
from cooly.api.access import LoggedIn, OpenParts, limited
from cooly.api.answers import Good, Refusal
from cooly.api.streams import END, events
from cooly.gallery import Shown

router = APIRouter(prefix="/api/generations", dependencies=[Depends(limited)])

LONGEST_PROMPT = 400
GALLERY = 48


class Wish(BaseModel):
    """What somebody wants to see."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(max_length=4 * LONGEST_PROMPT)

    @field_validator("prompt")
    @classmethod
    def _tidy(cls, prompt: str) -> str:
        tidy = " ".join("".join(letter if letter.isprintable() else " " for letter in prompt).split())
        if len(tidy) < 3:
            raise ValueError("Please describe what you would like to see.")
        if len(tidy) > LONGEST_PROMPT:
            raise ValueError(f"That is {len(tidy)} characters; at most {LONGEST_PROMPT} fit.")
        return tidy


class Accepted(BaseModel):
    """The picture is on its way."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)

    job_id: int
    id: UUID
    message: str
    credits: int


@router.post("", status_code=202)
async def create(wish: Wish, parts: OpenParts, visitor: LoggedIn) -> Good[Accepted]:
    """Take the order: once this is answered, picture, credits and job are in the database."""
    top_up = accounts.TOP_UP if visitor.session_id is None else 0
    made, job, left = await gallery.ask_for(parts, visitor.account_id, wish.prompt, top_up=top_up)
    return Good(data=Accepted(job_id=job, id=made, message="Your picture is on its way.", credits=left))


@router.get("")
async def latest(
    parts: OpenParts, visitor: LoggedIn, limit: Annotated[int, Query(ge=1, le=100)] = GALLERY
) -> Good[list[Shown]]:
    """The latest pictures of the account."""
    return Good(data=await gallery.latest(parts, visitor.account_id, limit))


@router.get("/{generation_id}")
async def read(generation_id: UUID, parts: OpenParts, visitor: LoggedIn) -> Good[Shown]:
    """One picture of the account."""
    found = await gallery.one(parts, visitor.account_id, generation_id)
    if found is None:
        raise Refusal(404, "not_found", "There is no such picture.")
    return Good(data=found)


@router.get("/{generation_id}/events")
async def follow(
    generation_id: UUID,
    parts: OpenParts,
    visitor: LoggedIn,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """The picture while it is made, as server-sent events; ends when nothing will change any more."""
    if last_event_id == END:
        return Response(status_code=204)  # this tells an EventSource that reconnects to stop
    if await gallery.one(parts, visitor.account_id, generation_id) is None:
        raise Refusal(404, "not_found", "There is no such picture.")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    stream = events(parts, visitor.account_id, generation_id)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)
