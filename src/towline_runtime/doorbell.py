"""What wakes workers: Postgres owns the state of every job; a doorbell carries ids and may lose or double them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from towline_runtime.errors import SettingsInvalid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from towline_runtime.claims import Claim, Claims
    from towline_runtime.database import Database


@dataclass(frozen=True, slots=True)
class Ring:
    """One message: a job of a queue may be ready (`ring`) or is a dead letter (`dead`).

    Rings of one `lane` go out in their order; `number` is the outbox row it came from; `letter` is what is known of a
    dead letter, as JSON text.
    """

    job: int
    queue: str
    lane: str | None = None
    topic: str = "ring"
    number: int = 0
    priority: int = 0
    letter: str | None = None


class DoorbellAway(ConnectionError):
    """The server of the doorbell does not answer, or refuses: the same call may succeed later."""


class Doorbell(Protocol):
    """The transport between relay and workers, the same for all: at least once, or lost and rung again by the sweeper.

    While the server is away every method raises DoorbellAway, which is one of database.AWAY as any connection error
    is; the caller tries again for as long as it takes.
    """

    @property
    def scheme(self) -> str:
        """Its name in towline.queue; only `postgres` needs no outbox."""

    @property
    def rings_each(self) -> int:
        """How many rings one of its messages may carry."""

    async def ring(self, rings: Sequence[Ring]) -> list[Ring]:
        """Publish in order and give those that were not accepted; of a lane, nothing after one that was not."""

    async def take(self, claims: Claims, kinds: Collection[str], most: int, wait: float) -> list[Claim]:
        """Wait up to `wait` seconds until something may be ready, and claim up to `most` jobs of the known kinds.

        `kinds` may map each kind to the room for its jobs, and change while this waits: a doorbell that can claims no
        more of a kind.

        A ring is forgotten once its claim is committed, or found to be stale; one whose job's kind is not known here
        is passed on to others. May give fewer than there are, or none.
        """

    async def waiting(self, queue: str) -> int | None:
        """About how many messages of a queue nobody has taken yet; None when the doorbell cannot know."""

    async def tidy(self, queues: Sequence[str]) -> int:
        """Clear what dead workers left behind (their jobs are rung again by the sweeper); gives how many."""

    async def close(self) -> None:
        """Let go of all connections."""


@dataclass(frozen=True)
class Pace:
    """How often to look, in seconds: `busy` while there is work, growing to `idle` when there has been none."""

    busy: float = 0.010
    idle: float = 0.100

    def looks_per_month(self) -> int:
        """Looks in 30 days without any work: what an idle worker costs where each look is paid for."""
        return round(30 * 24 * 3600 / self.idle)


@asynccontextmanager
async def open_doorbell(
    url: str, database: Database, queues: Sequence[str], pace: Pace | None = None
) -> AsyncIterator[Doorbell]:
    """The doorbell that a URL names: `postgres:`, `redis://`, `rediss://`, or `sqs://`; raises SettingsInvalid.

    It tells the database which doorbell these queues have, for as long as that takes: enqueueing then writes the
    outbox rows that this doorbell needs.
    """
    scheme = urlsplit(url).scheme
    bell: Doorbell
    match scheme:
        case "postgres" | "postgresql":
            from towline_runtime.doorbells.postgres import PostgresDoorbell

            bell = PostgresDoorbell(database, queues, pace or Pace())
        case "redis" | "rediss" | "valkey" | "valkeys":
            from towline_runtime.doorbells.redis import RedisDoorbell

            bell = RedisDoorbell(url, queues)
        case "sqs":
            from towline_runtime.doorbells.sqs import SqsDoorbell

            bell = await SqsDoorbell.open(url, queues)
        case _:
            raise SettingsInvalid(
                [f"DOORBELL_URL begins with `{scheme}:`, which is no doorbell"],
                "use postgres:, redis://, rediss:// or sqs://",
            )
    try:
        await database.persist("serve_queues", sorted(queues), bell.scheme)
        yield bell
    finally:
        await bell.close()
