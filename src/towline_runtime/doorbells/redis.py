"""The doorbell on Redis or Valkey: a stream for each queue and priority, kept empty by deleting what was claimed."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from towline_runtime.doorbell import DoorbellAway
from towline_runtime.doorbells.claiming import claim_rings
from towline_runtime.doorbells.redis_streams import LEVELS, stream_of, streams_of, tidy, unread
from towline_runtime.errors import RuntimeFault
from towline_runtime.lease import owner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence

    from redis.asyncio import Redis

    from towline_runtime.claims import Claim, Claims
    from towline_runtime.doorbell import Ring

GROUP = "workers"
ANSWER = 5.0  # seconds within which the server must answer, on top of a wait that was asked for

# Reads up to ARGV[3] rings, the first stream first: XREADGROUP alone takes its count from each stream. ARGV[4] is '>'
# for new rings and '0' for those that this consumer has read before.
READ = """
local left = tonumber(ARGV[3])
local found = {}
for _, stream in ipairs(KEYS) do
    if left <= 0 then break end
    local read = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', left, 'STREAMS', stream, ARGV[4])
    if read then
        for _, entry in ipairs(read[1][2]) do
            found[#found + 1] = {stream, entry[1], entry[2] and entry[2][2] or ''}
            left = left - 1
        end
    end
end
return found
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A ring that this process has read and not yet forgotten; `job` is empty when its stream has lost it."""

    stream: bytes
    id: bytes
    job: bytes


class RedisDoorbell:
    """Rings are entries of streams `towline:<queue>:high`, `:normal` and `:low`, read by one consumer group.

    All rings of a higher priority go before those of a lower one; the queues of one priority go in the given order. A
    ring is deleted once its job is claimed, so the streams stay empty and a flushed server loses nothing that the
    sweeper does not ring again. Dead letters are in the database alone.

    An idle worker sends one command for each `wait` of `take`: with the 5 s of Worker that is 520,000 a month.
    """

    scheme = "redis"
    rings_each = 1

    def __init__(self, url: str, queues: Sequence[str]) -> None:
        self._redis = _connect(url)
        self._read_script = self._redis.register_script(READ)
        self._streams = [stream_of(queue, priority) for priority in LEVELS for queue in queues]
        self._consumer = owner()
        self._held: list[Entry] = []
        self._more = True  # the last look may have left something
        self._unsure = False  # a read was broken off: the server may have counted rings as read that never came
        self._forgetting: asyncio.Task[None] | None = None

    async def ring(self, rings: Sequence[Ring]) -> list[Ring]:
        """All or none: one transaction."""
        wakes = [ring for ring in rings if ring.topic == "ring"]
        async with _talking():
            pipeline = self._redis.pipeline(transaction=True)
            for ring in wakes:
                pipeline.xadd(stream_of(ring.queue, ring.priority), {"job": ring.job})
            answers = await pipeline.execute(raise_on_error=False)
        return [ring for ring, answer in zip(wakes, answers, strict=True) if isinstance(answer, Exception)]

    async def take(self, claims: Claims, kinds: Collection[str], most: int, wait: float) -> list[Claim]:
        """Read what is there, or wait for the next ring; what was read before a failed claim is claimed first."""
        await self._forgotten()
        if not self._held:
            self._held = await self._read(most, wait)
        entries = self._held[:most]
        jobs = [int(entry.job) for entry in entries if entry.job]
        claimed = await claim_rings(claims, jobs, kinds)
        self._held = self._held[len(entries) :]
        # Beside the jobs that it rang for: they need not wait until Redis has forgotten it.
        self._forgetting = asyncio.create_task(self._forget(entries))
        return claimed

    async def waiting(self, queue: str) -> int | None:
        """Entries of its streams that no consumer has read."""
        async with _talking():
            return await unread(self._redis, streams_of(queue), GROUP)

    async def tidy(self, queues: Sequence[str]) -> int:
        """Delete what was read and not claimed for a minute, and consumers that were silent for an hour."""
        async with _talking():
            return sum([await tidy(self._redis, stream, GROUP) for queue in queues for stream in streams_of(queue)])

    async def close(self) -> None:
        """Give back what was read and not claimed, within two seconds, and disconnect."""
        with contextlib.suppress(DoorbellAway):
            async with _talking(2.0):
                await self._forgotten()
                await self._leave()
        await self._redis.aclose()

    async def _read(self, most: int, wait: float) -> list[Entry]:
        try:
            async with _talking(wait + ANSWER):
                if self._unsure:
                    recovered = await self._look(most, "0")
                    self._unsure = len(recovered) == most
                    if recovered:
                        return recovered
                found = await self._look(most, ">") if self._more else []
                found = found or await self._await_rings(most, wait)
        except BaseException:
            self._unsure = True
            raise
        self._more = len(found) >= self._share(most)
        return found

    async def _look(self, most: int, since: str) -> list[Entry]:
        arguments: list[str | int] = [GROUP, self._consumer, most, since]
        found = await self._grouped(lambda: self._read_script(keys=self._streams, args=arguments))
        return [Entry(*one) for one in found]

    async def _await_rings(self, most: int, wait: float) -> list[Entry]:
        read: Any = await self._grouped(
            lambda: self._redis.xreadgroup(
                GROUP,
                self._consumer,
                dict.fromkeys(self._streams, ">"),
                count=self._share(most),
                block=max(1, round(wait * 1000)),
            )
        )
        return [Entry(stream, id_, fields[b"job"]) for stream, entries in read or () for id_, fields in entries]

    def _share(self, most: int) -> int:
        # Of each stream, so that several with something to give do not give more than `most`.
        return max(1, most // len(self._streams))

    async def _forgotten(self) -> None:
        if self._forgetting is not None:
            await asyncio.shield(self._forgetting)

    async def _forget(self, entries: Sequence[Entry]) -> None:
        # The jobs are claimed already, so a failure here only leaves stale rings.
        try:
            async with _talking():
                await self._delete(entries)
        except DoorbellAway:
            self._unsure = True

    async def _delete(self, entries: Sequence[Entry]) -> None:
        ids: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for entry in entries:
            ids[entry.stream].append(entry.id)
        pipeline = self._redis.pipeline(transaction=False)
        for stream, read in ids.items():
            pipeline.xack(stream, GROUP, *read)
            pipeline.xdel(stream, *read)
        await pipeline.execute()

    async def _leave(self) -> None:
        if self._unsure:
            self._held = [*self._held, *await self._look(1000, "0")]
        pipeline = self._redis.pipeline(transaction=True)
        for entry in dict.fromkeys(self._held):
            if entry.job:
                pipeline.xadd(entry.stream, {"job": entry.job})
            pipeline.xack(entry.stream, GROUP, entry.id)
            pipeline.xdel(entry.stream, entry.id)
        for stream in self._streams:
            pipeline.xgroup_delconsumer(stream, GROUP, self._consumer)
        await pipeline.execute(raise_on_error=False)

    async def _grouped(self, call: Callable[[], Awaitable[Any]]) -> Any:
        from redis.exceptions import ResponseError

        try:
            return await call()
        except ResponseError as error:
            # Never made yet, or lost with everything else in a flush.
            if not any(word in str(error) for word in ("NOGROUP", "UNBLOCKED", "no such key")):
                raise
        await self._make_groups()
        return await call()

    async def _make_groups(self) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for stream in self._streams:
            pipeline.xgroup_create(stream, GROUP, id="0", mkstream=True)
        await pipeline.execute(raise_on_error=False)  # one that exists is refused, which is as good


def _connect(url: str) -> Redis:
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise RuntimeFault("The redis doorbell needs redis-py", "pip install 'redis[hiredis]'") from error
    address = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
    # Callers try again themselves, and a read that is sent twice behind their back would hide rings.
    once = Retry(NoBackoff(), 0)
    # No limit of its own on a read or write: redis-py would wait with `wait_for`, which can lose a cancellation.
    return Redis.from_url(
        address,
        protocol=2,
        retry=once,
        socket_connect_timeout=ANSWER,
        socket_timeout=None,
        socket_keepalive=True,
    )


@asynccontextmanager
async def _talking(seconds: float = ANSWER) -> AsyncIterator[None]:
    from redis.exceptions import RedisError

    try:
        async with asyncio.timeout(seconds):
            yield
    except (RedisError, OSError) as error:  # a TimeoutError is an OSError
        raise DoorbellAway(f"Redis: {type(error).__name__}: {error}"[:300]) from error
