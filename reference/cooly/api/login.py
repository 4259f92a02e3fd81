"""Logging in and out, and who one is."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from cooly import accounts, gallery, ledger, seed
from cooly.api.access import LoggedIn, OpenParts, Visitor, address_of, cookie_name, count, known, limited, own_page
from cooly.api.answers import Good, Refusal
from cooly.api.edge import is_local

router = APIRouter(prefix="/api", dependencies=[Depends(limited)])


class LoginForm(BaseModel):
    """What the login form sends."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(min_length=3, max_length=254)
    password: str = Field(min_length=1, max_length=256)


class Me(BaseModel):
    """Who is logged in, and what every request that changes something must carry."""

    email: str
    credits: int
    reserved: int
    csrf: str | None


class Demo(BaseModel):
    """The account that everybody may use in development."""

    email: str
    password: str


class Welcome(BaseModel):
    """What the page needs to begin."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)

    me: Me | None
    demo: Demo | None
    cost: int = gallery.COST


@router.get("/me")
async def who(parts: OpenParts, visitor: Annotated[Visitor | None, Depends(known)]) -> Good[Welcome]:
    """Who is logged in, or nobody."""
    demo = Demo(email=seed.EMAIL, password=seed.PASSWORD) if parts.settings.development and not visitor else None
    return Good(data=Welcome(me=None if visitor is None else await _me(parts, visitor), demo=demo))


@router.post("/login")
async def log_in(form: LoginForm, request: Request, response: Response, parts: OpenParts) -> Good[Welcome]:
    """Begin a session; a new one at every login."""
    own_page(request, parts)
    await count(parts.limits.logins, f"address:{address_of(request)}")
    await count(parts.limits.logins, f"account:{accounts.tidy(form.email)}")
    account = await accounts.log_in(parts, form.email, form.password)
    if account is None:
        raise Refusal(401, "wrong_login", "This e-mail address and password do not go together.")
    csrf = secrets.token_urlsafe(24)
    session_id = await parts.sessions.create(str(account.id), {"email": account.email, "csrf": csrf})
    response.set_cookie(
        cookie_name(request),
        session_id,
        max_age=int(parts.settings.runtime.session_ttl_seconds),
        httponly=True,
        samesite="lax",
        secure=not is_local(request.headers.get("host", "")),
        path="/",
    )
    return Good(data=Welcome(me=await _me(parts, Visitor(account.id, account.email, session_id, csrf)), demo=None))


@router.post("/logout")
async def log_out(request: Request, response: Response, parts: OpenParts, visitor: LoggedIn) -> Good[None]:
    """End the session, here and on the server."""
    if visitor.session_id is not None:
        await parts.sessions.destroy(visitor.session_id)
    response.delete_cookie(
        cookie_name(request), httponly=True, samesite="lax", secure=not is_local(request.headers.get("host", ""))
    )
    return Good(data=None)


async def _me(parts: OpenParts, visitor: Visitor) -> Me:
    async with parts.sessions_of_tables() as session:
        return Me(
            email=visitor.email,
            credits=await ledger.balance(session, visitor.account_id),
            reserved=await ledger.reserved(session, visitor.account_id),
            csrf=visitor.csrf,
        )
