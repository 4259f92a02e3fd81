"""Who is asking, whether the page itself asks, and how often."""

import math
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, cast
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Depends
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from cooly import accounts
from cooly.api.answers import Refusal
from cooly.api.edge import is_local
from cooly.parts import Parts
from towline_runtime.rate_limit import RateLimit
from towline_runtime.sessions import digest

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
TOUCH_AFTER = timedelta(hours=1)  # since the last time that a session was given its whole time again


@dataclass(frozen=True)
class Visitor:
    """An account that asks; `session_id` and `csrf` are None for one that asks with a token."""

    account_id: UUID
    email: str
    session_id: str | None = field(default=None, repr=False)
    csrf: str | None = field(default=None, repr=False)


def parts_of(connection: HTTPConnection) -> Parts:
    """The opened servers of the running app."""
    return cast("Parts", connection.app.state.parts)


OpenParts = Annotated[Parts, Depends(parts_of)]


async def known(connection: HTTPConnection, parts: OpenParts) -> Visitor | None:
    """Who asks: by the token of `verify`, by a session cookie, or nobody."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if token:
        expected = parts.settings.verify_token
        if scheme.lower() != "bearer" or not expected or not secrets.compare_digest(token.encode(), expected.encode()):
            raise Refusal(401, "wrong_token", "This token is not known.", {"WWW-Authenticate": "Bearer"})
        return Visitor(await accounts.of_token(parts), accounts.VERIFY)
    return await of_session(connection, parts)


async def of_session(connection: HTTPConnection, parts: Parts) -> Visitor | None:
    """Who is logged in here; their session lives on."""
    session_id = connection.cookies.get(cookie_name(connection))
    session = None if session_id is None else await parts.sessions.get(session_id)
    if session_id is None or session is None:
        return None
    lifetime = timedelta(seconds=parts.settings.runtime.session_ttl_seconds)
    if session.expires_at - datetime.now(UTC) < lifetime - TOUCH_AFTER:
        await parts.sessions.touch(session_id)
    return Visitor(UUID(session.user), session.data["email"], session_id, session.data["csrf"])


async def limited(
    request: Request, response: Response, parts: OpenParts, visitor: Annotated[Visitor | None, Depends(known)]
) -> None:
    """Count this request against its session, or its address when there is none; refuses with 429."""
    if visitor is None:
        await count(parts.limits.visitors, f"ip:{address_of(request)}", response)
    elif visitor.session_id is None:
        await count(parts.limits.tokens, f"account:{visitor.account_id}", response)
    else:
        await count(parts.limits.visitors, f"session:{digest(visitor.session_id).hex()[:32]}", response)


async def count(limit: RateLimit, client: str, response: Response | None = None) -> None:
    """Count one request of a client; raises Refusal (429) with Retry-After when it was one too many."""
    ruling = await limit.hit(client)
    if not ruling.allowed:
        wait = max(1, math.ceil(ruling.retry_after))
        raise Refusal(429, "too_many", "That was a lot at once. Please wait a moment.", {"Retry-After": str(wait)})
    if response is not None:
        response.headers["X-RateLimit-Remaining"] = str(ruling.remaining)


async def logged_in(request: Request, parts: OpenParts, visitor: Annotated[Visitor | None, Depends(known)]) -> Visitor:
    """The visitor; refuses nobody with 401, and with 403 what may come from another page."""
    if visitor is None:
        raise Refusal(401, "not_logged_in", "Please log in.")
    if visitor.session_id is not None and request.method not in SAFE:
        own_page(request, parts)
        sent = request.headers.get("x-csrf-token", "")
        if not secrets.compare_digest(sent.encode(), (visitor.csrf or "").encode()):
            raise Refusal(403, "csrf", "This page has grown old. Please reload it.")
    return visitor


LoggedIn = Annotated[Visitor, Depends(logged_in)]


def own_page(connection: HTTPConnection, parts: Parts) -> None:
    """Refuse what another site's page sends: browsers always say where an unsafe request comes from."""
    headers = connection.headers
    origin = headers.get("origin")
    if origin is None:
        strange = headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
    else:
        strange = not is_own(origin, headers, parts)
    if strange:
        raise Refusal(403, "other_origin", "This request comes from another page.")


def is_own(origin: str, headers: Headers, parts: Parts) -> bool:
    """Whether an Origin is this app's own, or that of its frontend."""
    return urlsplit(origin).netloc == headers.get("host") or origin in parts.settings.frontend_origins


def cookie_name(connection: HTTPConnection) -> str:
    """`__Host-` where there is https: then no other host may set it."""
    return "cooly_session" if is_local(connection.headers.get("host", "")) else "__Host-cooly_session"


def address_of(connection: HTTPConnection) -> str:
    """The client's address, as uvicorn tells it: that of the proxy's header where the proxy is trusted."""
    return connection.client.host if connection.client else "unknown"
