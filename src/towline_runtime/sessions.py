"""Who is logged in: data under a random id that only the browser knows, in Postgres or in Redis."""

from __future__ import annotations

import hashlib
import json
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from towline_runtime.database import Database
    from towline_runtime.settings import Settings

WEEK = 604_800.0  # seconds: how long a session lives after it was last touched


@dataclass(frozen=True)
class Session:
    """One login of one user. Times are UTC."""

    user: str
    data: dict[str, Any] = field(repr=False)
    created_at: datetime
    expires_at: datetime


class Sessions(Protocol):
    """Sessions by id. An id has 256 random bits and is kept as its SHA-256 only; one that is unknown, malformed or
    has run out is no session. Every method raises the server's own error while it is away.
    """

    async def create(self, user: str, data: Mapping[str, Any] | None = None, ttl: float | None = None) -> str:
        """Begin a session and give its id: a new one at each login. `ttl` is seconds."""

    async def get(self, session_id: str) -> Session | None:
        """The session, None when there is none."""

    async def update(self, session_id: str, data: Mapping[str, Any]) -> bool:
        """Put other data in place; false when there is no session."""

    async def touch(self, session_id: str, ttl: float | None = None) -> bool:
        """Let it live for its whole time again; false when there is none."""

    async def destroy(self, session_id: str) -> None:
        """End it; nothing happens when there is none."""

    async def destroy_all(self, user: str) -> int:
        """End all sessions of a user, as after a new password; gives how many there were."""

    async def sweep(self, most: int = 1000) -> int:
        """Remove up to `most` that have run out and give how many; a store that does so itself gives 0."""


class PostgresSessions:
    """Sessions in the table towline.session; times are the database's."""

    def __init__(self, database: Database, ttl: float = WEEK) -> None:
        self._database = database
        self._ttl = ttl

    async def create(self, user: str, data: Mapping[str, Any] | None = None, ttl: float | None = None) -> str:
        """One row."""
        session_id = new_id()
        text = json.dumps(dict(data or {}))
        await self._database.fetch("session_create", digest(session_id), user, text, ttl or self._ttl)
        return session_id

    async def get(self, session_id: str) -> Session | None:
        """Read by primary key."""
        rows = await self._database.fetch("session_get", digest(session_id))
        return next((Session(row[0], json.loads(row[1]), row[2], row[3]) for row in rows), None)

    async def update(self, session_id: str, data: Mapping[str, Any]) -> bool:
        """Write the data, not the time."""
        return bool(await self._database.fetch("session_update", digest(session_id), json.dumps(dict(data))))

    async def touch(self, session_id: str, ttl: float | None = None) -> bool:
        """Write the time, not the data."""
        return bool(await self._database.fetch("session_touch", digest(session_id), ttl or self._ttl))

    async def destroy(self, session_id: str) -> None:
        """Delete the row."""
        await self._database.fetch("session_destroy", digest(session_id))

    async def destroy_all(self, user: str) -> int:
        """Delete by the index on the account."""
        return sum(row["alive"] for row in await self._database.fetch("session_destroy_all", user))

    async def sweep(self, most: int = 1000) -> int:
        """Delete the oldest that have run out."""
        return len(await self._database.fetch("session_sweep", most))


class RedisSessions:
    """Sessions as keys with an expiry, and for each user the set of theirs. Not for a Redis Cluster.

    Give it a Redis that does not evict keys, or people are logged out when its memory is full.
    """

    def __init__(self, client: Any, ttl: float = WEEK, prefix: str = "session") -> None:
        self._ttl = ttl
        self._prefix = prefix
        self._get = client.get
        scripts = {name: client.register_script(text) for name, text in _SCRIPTS.items()}
        self._scripts: dict[str, Any] = scripts

    async def create(self, user: str, data: Mapping[str, Any] | None = None, ttl: float | None = None) -> str:
        """The key and its place in the user's set, in one step."""
        session_id = new_id()
        now = datetime.now(UTC).timestamp()
        text = json.dumps({"user": user, "created": now, "data": json.dumps(dict(data or {}))})
        key, name = self._key(session_id), self._user(user)
        await self._scripts["create"](keys=[key, name], args=[text, _milliseconds(ttl or self._ttl)])
        return session_id

    async def get(self, session_id: str) -> Session | None:
        """The value and the time that it has left."""
        found = await self._scripts["get"](keys=[self._key(session_id)])
        if found is None:
            return None
        value = json.loads(found[0])
        expires = datetime.fromtimestamp(int(found[1]) / 1000, UTC)
        created = datetime.fromtimestamp(value["created"], UTC)
        return Session(value["user"], json.loads(value["data"]), created, expires)

    async def update(self, session_id: str, data: Mapping[str, Any]) -> bool:
        """The data anew, the expiry kept."""
        return bool(await self._scripts["update"](keys=[self._key(session_id)], args=[json.dumps(dict(data))]))

    async def touch(self, session_id: str, ttl: float | None = None) -> bool:
        """The expiry anew, of the key and of the user's set."""
        args = [_milliseconds(ttl or self._ttl), self._user("")]
        return bool(await self._scripts["touch"](keys=[self._key(session_id)], args=args))

    async def destroy(self, session_id: str) -> None:
        """Delete the key, and take it out of the user's set."""
        await self._scripts["destroy"](keys=[self._key(session_id)], args=[self._user("")])

    async def destroy_all(self, user: str) -> int:
        """Delete every key of the user's set."""
        return int(await self._scripts["destroy_all"](keys=[self._user(user)]))

    async def sweep(self, most: int = 1000) -> int:
        """Nothing to do: keys run out by themselves."""
        del most
        return 0

    def _key(self, session_id: str) -> str:
        return f"{self._prefix}:{digest(session_id).hex()}"

    def _user(self, user: str) -> str:
        return f"{self._prefix}s-of:{user}"


@asynccontextmanager
async def open_sessions(settings: Settings, database: Database) -> AsyncIterator[Sessions]:
    """Sessions in Redis where REDIS_URL is set, else in Postgres."""
    if not settings.redis_url:
        yield PostgresSessions(database, settings.session_ttl_seconds)
        return
    from towline_runtime.redis_client import redis_client

    client = redis_client(settings.redis_url)
    try:
        yield RedisSessions(client, settings.session_ttl_seconds)
    finally:
        await client.aclose()


def new_id() -> str:
    """An id for a session that nobody can guess: 256 bits, as 43 letters."""
    return secrets.token_urlsafe(32)


def digest(session_id: str) -> bytes:
    """What of an id is kept. It needs no salt or slow hash, since the id is as random as a key."""
    return hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).digest()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


# The user's set holds keys with the time at which they run out, so that it can be cleared as it grows.
_SCRIPTS = {
    "create": """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + ARGV[2], KEYS[1])
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return 1
""",
    "get": """
local value = redis.call('GET', KEYS[1])
if not value then return nil end
local t = redis.call('TIME')
return {value, tostring(t[1] * 1000 + math.floor(t[2] / 1000) + redis.call('PTTL', KEYS[1]))}
""",
    "update": """
local value = redis.call('GET', KEYS[1])
if not value then return 0 end
local session = cjson.decode(value)
session['data'] = ARGV[1]
redis.call('SET', KEYS[1], cjson.encode(session), 'KEEPTTL')
return 1
""",
    "touch": """
local value = redis.call('GET', KEYS[1])
if not value then return 0 end
local t = redis.call('TIME')
local set = ARGV[2] .. cjson.decode(value)['user']
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('ZADD', set, t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[1], KEYS[1])
if redis.call('PTTL', set) < tonumber(ARGV[1]) then redis.call('PEXPIRE', set, ARGV[1]) end
return 1
""",
    "destroy": """
local value = redis.call('GET', KEYS[1])
if not value then return 0 end
redis.call('ZREM', ARGV[1] .. cjson.decode(value)['user'], KEYS[1])
return redis.call('DEL', KEYS[1])
""",
    "destroy_all": """
local ended = 0
for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do ended = ended + redis.call('DEL', key) end
redis.call('DEL', KEYS[1])
return ended
""",
}
