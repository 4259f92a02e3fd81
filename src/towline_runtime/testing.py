"""Doubles for an app's own tests: in memory, and passing the same contracts as the real ones."""

from __future__ import annotations

import asyncio
import inspect
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from towline_runtime.claims import Claim
from towline_runtime.errors import KeyRefused, ObjectMissing, RuntimeFault
from towline_runtime.rate_limit import Limit, Ruling
from towline_runtime.running import Running, lease_lost
from towline_runtime.sessions import WEEK, Session, digest, new_id
from towline_runtime.storage import OCTETS, Stored, checked
from towline_runtime.storage.signature import Signer

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping

    from towline_runtime.jobs import Kind


def now() -> datetime:
    """The wall clock, in UTC; hand the doubles another one to let time pass in a test."""
    return datetime.now(UTC)


class MemoryStorage:
    """Objects in a dictionary."""

    def __init__(self, url: str = "http://storage.test", clock: Callable[[], datetime] = now) -> None:
        self._objects: dict[str, tuple[Stored, bytes]] = {}
        self._signer = Signer(b"a secret of a test", url)
        self._clock = clock

    async def put(self, key: str, body: bytes | AsyncIterable[bytes], content_type: str = OCTETS) -> Stored:
        """Keep an object."""
        checked(key)
        whole = body if isinstance(body, bytes) else b"".join([piece async for piece in body])
        above = {"/".join(key.split("/")[:depth]) for depth in range(1, key.count("/") + 1)}
        if above & self._objects.keys() or any(other.startswith(f"{key}/") for other in self._objects):
            raise KeyRefused(f"`{key}` is a folder of another object, or lies in one")
        stored = Stored(key, len(whole), self._clock(), content_type)
        self._objects[key] = (stored, whole)
        return stored

    async def get(self, key: str) -> bytes:
        """All of an object."""
        if checked(key) not in self._objects:
            raise ObjectMissing(f"There is no object `{key}`")
        return self._objects[key][1]

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """An object in one piece."""
        if whole := await self.get(key):
            yield whole

    async def delete(self, key: str) -> None:
        """Remove an object."""
        self._objects.pop(checked(key), None)

    async def stat(self, key: str) -> Stored | None:
        """What is known of an object."""
        found = self._objects.get(checked(key))
        return found[0] if found else None

    async def list(self, prefix: str = "") -> AsyncIterator[Stored]:
        """Objects by prefix."""
        for key in sorted(self._objects, key=str.encode):
            if key.startswith(prefix):
                yield replace(self._objects[key][0], content_type=None)

    def url(self, key: str) -> str:
        """An address that nobody serves."""
        return self._signer.plain(checked(key))

    async def presign_get(self, key: str, seconds: float = 3600, *, download_as: str | None = None) -> str:
        """An address that nobody serves."""
        return self._signer.sign("GET", checked(key), seconds, download_as)

    async def presign_put(self, key: str, content_type: str, seconds: float = 900) -> str:
        """An address that nobody serves."""
        return self._signer.sign("PUT", checked(key), seconds, content_type)

    async def reach(self) -> None:
        """Always there."""


class MemorySessions:
    """Sessions in a dictionary."""

    def __init__(self, ttl: float = WEEK, clock: Callable[[], datetime] = now) -> None:
        self._sessions: dict[bytes, Session] = {}
        self._ttl = ttl
        self._clock = clock

    async def create(self, user: str, data: Mapping[str, Any] | None = None, ttl: float | None = None) -> str:
        """Begin a session."""
        session_id, moment = new_id(), self._clock()
        self._sessions[digest(session_id)] = Session(user, _plain(data or {}), moment, self._end(ttl))
        return session_id

    async def get(self, session_id: str) -> Session | None:
        """The session."""
        found = self._sessions.get(digest(session_id))
        return replace(found, data=_plain(found.data)) if found and found.expires_at > self._clock() else None

    async def update(self, session_id: str, data: Mapping[str, Any]) -> bool:
        """Put other data in place."""
        return await self._change(session_id, data=_plain(data))

    async def touch(self, session_id: str, ttl: float | None = None) -> bool:
        """Let it live on."""
        return await self._change(session_id, expires_at=self._end(ttl))

    async def destroy(self, session_id: str) -> None:
        """End it."""
        self._sessions.pop(digest(session_id), None)

    async def destroy_all(self, user: str) -> int:
        """End all of a user."""
        theirs = {key: one for key, one in self._sessions.items() if one.user == user}
        for key in theirs:
            del self._sessions[key]
        return sum(one.expires_at > self._clock() for one in theirs.values())

    async def sweep(self, most: int = 1000) -> int:
        """Forget those that have run out."""
        over = [key for key, one in self._sessions.items() if one.expires_at <= self._clock()][:most]
        for key in over:
            del self._sessions[key]
        return len(over)

    async def _change(self, session_id: str, **changes: Any) -> bool:
        found = await self.get(session_id)
        if found is None:
            return False
        self._sessions[digest(session_id)] = replace(found, **changes)
        return True

    def _end(self, ttl: float | None) -> datetime:
        return self._clock() + timedelta(seconds=ttl or self._ttl)


@dataclass
class _Window:
    start: datetime
    current: int = 0
    previous: int = 0


class MemoryRateLimit:
    """Counters in a dictionary: the same sliding window, for one process."""

    def __init__(self, limit: Limit | None = None, clock: Callable[[], datetime] = now) -> None:
        self._limit = limit or Limit()
        self._windows: dict[str, _Window] = {}
        self._clock = clock

    async def hit(self, client: str) -> Ruling:
        """Count one request."""
        seconds, most, moment = self._limit.seconds, self._limit.requests, self._clock()
        window = self._windows.setdefault(client, _Window(moment))
        age = (moment - window.start).total_seconds()
        if age >= 2 * seconds:
            window.start, window.previous, window.current = moment, 0, 0
        elif age >= seconds:
            window.start += timedelta(seconds=seconds)
            window.previous, window.current = window.current, 0
        age = (moment - window.start).total_seconds()
        reach = window.previous * (1 - age / seconds)
        if reach + window.current + 1 <= most:
            window.current += 1
            return Ruling(True, max(0, int(most - reach - window.current)))  # noqa: FBT003  # the answer itself
        if window.current + 1 <= most:
            wait = seconds * (1 - (most - 1 - window.current) / window.previous) - age
        else:
            wait = seconds - age + seconds * (1 - (most - 1) / window.current)
        return Ruling(False, max(0, int(most - reach - window.current)), wait)  # noqa: FBT003

    async def sweep(self, most: int = 1000) -> int:
        """Forget counters that count nothing."""
        reach = timedelta(seconds=2 * self._limit.seconds)
        over = [client for client, one in self._windows.items() if self._clock() - one.start > reach][:most]
        for client in over:
            del self._windows[client]
        return len(over)


@dataclass
class JobRun:
    """What a job function did in a test: its result, or the error it raised, and all that it said on its way."""

    result: Any = None
    error: BaseException | None = None
    finished: bool = False
    progress: list[dict[str, Any]] = field(default_factory=list)
    remembered: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class _Desk:
    """Takes what a running job hands in, for a test."""

    run: JobRun
    transaction: Any
    lease_lost: bool
    loop: asyncio.AbstractEventLoop

    def report(self, job: Running, progress: str) -> None:
        del job
        self.run.progress.append(json.loads(progress))

    async def remember(self, job: Running, value: str) -> bool:
        del job
        if not self.lease_lost:
            self.run.remembered.append(json.loads(value))
        return not self.lease_lost

    @asynccontextmanager
    async def finish(self, job: Running, result: str | None) -> AsyncIterator[Any]:
        if self.transaction is None:
            raise RuntimeFault("This job writes in `job.finish`", "run_job(kind, ..., transaction=a connection)")
        async with self.transaction.transaction():
            yield self.transaction
            if self.lease_lost:
                raise lease_lost(job)
        self.run.finished = True
        self.run.result = None if result is None else json.loads(result)


@dataclass(frozen=True)
class Attempt:
    """How the attempt of a test stands: which one it is, what an earlier one remembered, whether its lease is lost.

    `transaction` is an asyncpg connection that `job.finish` lends to the function.
    """

    number: int = 1
    attempts: int = 5
    remembered: Mapping[str, Any] | None = None
    lease_lost: bool = False
    transaction: Any = None
    correlation_id: str | None = None


async def run_job(kind: Kind[..., Any], /, *args: Any, attempt: Attempt | None = None, **kwargs: Any) -> JobRun:
    """Run a kind's function once, with arguments packed and unpacked as on their way through the database.

    An error that the function raises is in `error`; PayloadInvalid is raised, for no worker would see the job.
    """
    asked = attempt or Attempt()
    run = JobRun()
    loop = asyncio.get_running_loop()
    running = Running(_claim(kind, asked), _Desk(run, asked.transaction, asked.lease_lost, loop))
    given = kind.unpack(kind.pack(*args, **kwargs))
    try:
        if inspect.iscoroutinefunction(kind.function):
            result = await kind.function(running, **given)
        else:
            result = await anyio.to_thread.run_sync(lambda: kind.function(running, **given))
    except Exception as error:  # noqa: BLE001  # whatever it is, the test asks for it
        run.error = error
        return run
    if not run.finished:
        run.result = _through_json(kind, result)
    return run


def _claim(kind: Kind[..., Any], attempt: Attempt) -> Claim:
    remembered = None if attempt.remembered is None else json.dumps(dict(attempt.remembered))
    return Claim(
        id=1,
        kind=kind.name,
        version=kind.options.version,
        queue=kind.options.queue,
        attempt=attempt.number,
        attempts=attempt.attempts,
        token=1,
        payload="{}",
        remembered=remembered,
        correlation_id=attempt.correlation_id,
        created_at=now(),
    )


def _through_json(kind: Kind[..., Any], value: Any) -> Any:
    text = kind.result(value)
    return None if text is None else json.loads(text)


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    # As stored: what is not JSON fails here too, and nobody changes what is kept from outside.
    return dict(json.loads(json.dumps(dict(data))))
