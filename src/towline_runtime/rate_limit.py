"""So many requests in any time of this length for each client, counted across all replicas."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from towline_runtime.asgi import answer_json, header
from towline_runtime.database import AWAY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from towline_runtime.asgi import App, Message, Receive, Scope, Send
    from towline_runtime.database import Database
    from towline_runtime.settings import Settings

log = logging.getLogger(__name__)

WITHIN = 0.25  # seconds that a request waits for the counter
LOOK_AGAIN = 1.0  # seconds without asking after the counter was out of reach


@dataclass(frozen=True)
class Limit:
    """At most `requests` in `seconds`: 100 in a minute unless told otherwise."""

    requests: int = 100
    seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.requests < 1 or self.seconds <= 0:
            raise ValueError("a limit allows at least one request in more than no time")


@dataclass(frozen=True)
class Ruling:
    """Whether a request may pass, how many more may, and after how many seconds a refused one may."""

    allowed: bool
    remaining: int
    retry_after: float = 0.0


class RateLimit(Protocol):
    """Counts requests in a sliding window: of the window before, the part that still reaches into the last `seconds`.

    A window begins with the client's first request; a refused request does not count.
    """

    async def hit(self, client: str) -> Ruling:
        """Count one request of a client, if it may pass."""

    async def sweep(self, most: int = 1000) -> int:
        """Remove up to `most` counters that count nothing any more; a store that does so itself gives 0."""


class PostgresRateLimit:
    """Counters in the table towline.rate, by the database's clock."""

    def __init__(self, database: Database, limit: Limit | None = None, prefix: str = "") -> None:
        self._database = database
        self._limit = limit or Limit()
        self._prefix = prefix

    async def hit(self, client: str) -> Ruling:
        """One round trip; requests of one client wait for each other."""
        who = _digest(self._prefix, client)
        rows = await self._database.fetch("rate_hit", who, self._limit.requests, self._limit.seconds)
        return Ruling(*rows[0])

    async def sweep(self, most: int = 1000) -> int:
        """Delete old counters."""
        return len(await self._database.fetch("rate_sweep", most))


class RedisRateLimit:
    """Counters in Redis, by its clock."""

    def __init__(self, client: Any, limit: Limit | None = None, prefix: str = "") -> None:
        self._limit = limit or Limit()
        self._prefix = prefix
        self._script = client.register_script(_HIT)

    async def hit(self, client: str) -> Ruling:
        """One round trip."""
        key = f"rate:{_digest(self._prefix, client)}"
        found = await self._script(keys=[key], args=[self._limit.requests, self._limit.seconds])
        return Ruling(bool(found[0]), int(found[1]), float(found[2]))

    async def sweep(self, most: int = 1000) -> int:
        """Nothing to do: keys run out by themselves."""
        del most
        return 0


class Guarded:
    """A rate limit that answers within 250 ms even when its server does not: then it allows or refuses everything.

    For a second after that the server is not asked, so that an outage costs one slow request a second, not each.
    """

    def __init__(self, inner: RateLimit, *, allow_when_away: bool = True) -> None:
        self._inner = inner
        self._allow = allow_when_away
        self._away_until = 0.0
        self._away = False
        self._hanging: set[asyncio.Task[Ruling]] = set()

    async def hit(self, client: str) -> Ruling:
        """What the counter says, else what was chosen for this case."""
        clock = asyncio.get_running_loop().time
        if self._hanging or clock() < self._away_until:
            return self._blind()
        try:
            ruling = await self._ask(client)
        except _errors() as error:
            self._away_until = clock() + LOOK_AGAIN
            if not self._away:
                allowed = {"allowed": self._allow, "error": type(error).__name__}
                log.warning("the rate limit is out of reach", extra=allowed)
            self._away = True
            return self._blind()
        if self._away:
            log.warning("the rate limit is back")
        self._away = False
        return ruling

    async def _ask(self, client: str) -> Ruling:
        # Cancelling a question to a server that hangs may hang too, so nobody waits for that.
        asked = asyncio.ensure_future(self._inner.hit(client))
        asked.add_done_callback(self._ended)
        try:
            await asyncio.wait({asked}, timeout=WITHIN)
        except asyncio.CancelledError:
            asked.cancel()
            raise
        if not asked.done():
            self._hanging.add(asked)
            asked.cancel()
            raise TimeoutError
        return asked.result()

    def _ended(self, asked: asyncio.Task[Ruling]) -> None:
        self._hanging.discard(asked)
        if not asked.cancelled():
            asked.exception()

    async def sweep(self, most: int = 1000) -> int:
        """As the guarded one."""
        return await self._inner.sweep(most)

    def _blind(self) -> Ruling:
        return Ruling(self._allow, 0, 0.0 if self._allow else LOOK_AGAIN)


@asynccontextmanager
async def open_rate_limit(settings: Settings, database: Database) -> AsyncIterator[RateLimit]:
    """The limit of the settings, guarded: in Redis where REDIS_URL is set, else in Postgres."""
    limit = Limit(settings.rate_limit_max_requests, settings.rate_limit_window_ms / 1000)
    allow = settings.rate_limit_when_away == "allow"
    if not settings.redis_url:
        yield Guarded(PostgresRateLimit(database, limit), allow_when_away=allow)
        return
    from towline_runtime.redis_client import redis_client

    client = redis_client(settings.redis_url)
    try:
        yield Guarded(RedisRateLimit(client, limit), allow_when_away=allow)
    finally:
        await client.aclose()


class RateLimited:
    """ASGI middleware: answers 429 with Retry-After to a client that sends too many requests.

    `client` names who asks, or gives None for a request that is not counted.
    """

    def __init__(
        self,
        app: App,
        limit: RateLimit,
        client: Callable[[Scope], str | None] | None = None,
        free: Collection[str] = ("/livez", "/readyz", "/metrics", "/api/health"),
    ) -> None:
        self._app = app
        self._limit = limit
        self._client = client or address
        self._free = frozenset(free)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; WebSockets and other scopes pass as they are."""
        client = self._client(scope) if scope["type"] == "http" and scope["path"] not in self._free else None
        if client is None:
            await self._app(scope, receive, send)
            return
        ruling = await self._limit.hit(client)
        if not ruling.allowed:
            wait = {"retry-after": str(max(1, math.ceil(ruling.retry_after))), "x-ratelimit-remaining": "0"}
            await answer_json(send, 429, {"error": "too many requests"}, wait)
            return

        async def send_with_remaining(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = (b"x-ratelimit-remaining", str(ruling.remaining).encode())
                message = {**message, "headers": [*message.get("headers", ()), told]}
            await send(message)

        await self._app(scope, receive, send_with_remaining)


def address(scope: Scope) -> str | None:
    """The address that the connection comes from, as the server says."""
    client = scope.get("client")
    return str(client[0]) if client else None


def behind(proxies: int) -> Callable[[Scope], str | None]:
    """The client as the outermost of so many proxies of ours saw it: what stands before in X-Forwarded-For may be a
    lie of the client.
    """

    def client(scope: Scope) -> str | None:
        seen = [one.strip() for one in (header(scope, "x-forwarded-for") or "").split(",") if one.strip()]
        return seen[-proxies] if len(seen) >= proxies > 0 else address(scope)

    return client


def _digest(prefix: str, client: str) -> str:
    # Addresses of people stay out of the store, and a long name cannot fill it.
    return hashlib.blake2b(f"{prefix}\n{client}".encode("utf-8", "replace"), digest_size=16).hexdigest()


def _errors() -> tuple[type[Exception], ...]:
    try:
        from redis.exceptions import RedisError
    except ImportError:
        return AWAY
    return (*AWAY, RedisError)


_HIT = """
local most, seconds = tonumber(ARGV[1]), tonumber(ARGV[2])
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local kept = redis.call('HMGET', KEYS[1], 'start', 'current', 'previous')
local start, current, previous = tonumber(kept[1] or now), tonumber(kept[2] or 0), tonumber(kept[3] or 0)
local age = math.max(0, now - start)
if age >= 2 * seconds then
    start, previous, current = now, 0, 0
elseif age >= seconds then
    start, previous, current = start + seconds, current, 0
end
age = math.max(0, now - start)
local reach = previous * (1 - age / seconds)
local allowed, wait = 0, 0
if reach + current + 1 <= most then
    allowed = 1
    current = current + 1
elseif current + 1 <= most then
    wait = seconds * (1 - (most - 1 - current) / previous) - age
else
    wait = seconds - age + seconds * (1 - (most - 1) / current)
end
redis.call('HSET', KEYS[1], 'start', string.format('%.6f', start), 'current', current, 'previous', previous)
redis.call('PEXPIRE', KEYS[1], math.ceil(2000 * seconds))
return {allowed, math.max(0, math.floor(most - reach - current)), tostring(wait)}
"""
