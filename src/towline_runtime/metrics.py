"""Figures for Prometheus: what this process did, and what the database says about queues, outbox and leases."""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import TYPE_CHECKING, Any

from asyncpg import PostgresError

from towline_runtime.asgi import answer, header
from towline_runtime.database import AWAY
from towline_runtime.doorbell import DoorbellAway
from towline_runtime.errors import RuntimeFault, SchemaMissing

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.exposition import choose_encoder
except ImportError as missing:
    raise RuntimeFault(
        "Figures need a package that is not installed", "pip install 'towline-runtime[metrics]'"
    ) from missing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from towline_runtime.asgi import App, Receive, Scope, Send
    from towline_runtime.claims import Claim, Claims
    from towline_runtime.database import Database
    from towline_runtime.doorbell import Doorbell, Ring
    from towline_runtime.observer import Outcome

log = logging.getLogger(__name__)

SECONDS = (0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
FRESH = 5.0  # seconds that the database's figures are given again: a scrape costs the server nothing
LIMIT = 2.0  # seconds that a scrape waits for the database; afterwards it gets the older figures


class Figures:
    """What one process did; hand it to the Worker as its observer, and its registry to `metrics_asgi`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._claimed = Counter("towline_claimed_jobs", "Jobs that this process claimed", registry=self.registry)
        self._running = Gauge("towline_running_jobs", "Attempts under way here", ["kind"], registry=self.registry)
        self._attempts = Counter(
            "towline_attempts", "Attempts that ended here, by how", ["kind", "outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            "towline_attempt_seconds", "How long attempts took", ["kind"], buckets=SECONDS, registry=self.registry
        )
        self._doorbell_errors = Counter(
            "towline_doorbell_errors", "Calls that the doorbell refused", ["doorbell", "call"], registry=self.registry
        )
        # Looking up labels costs more than counting, and a worker ends twenty thousand attempts a second.
        self._kinds: dict[str, tuple[Gauge, Histogram]] = {}
        self._outcomes: dict[tuple[str, str], Counter] = {}

    def claimed(self, jobs: int) -> None:
        """So many jobs were claimed at once."""
        self._claimed.inc(jobs)

    def started(self, kind: str) -> None:
        """An attempt begins."""
        self._of(kind)[0].inc()

    def finished(self, kind: str, outcome: Outcome, seconds: float) -> None:
        """An attempt has ended."""
        running, took = self._of(kind)
        running.dec()
        took.observe(seconds)
        ended = self._outcomes.get((kind, outcome))
        if ended is None:
            ended = self._outcomes[kind, outcome] = self._attempts.labels(kind, outcome)
        ended.inc()

    def doorbell_error(self, doorbell: str, call: str) -> None:
        """The doorbell's server did not answer."""
        self._doorbell_errors.labels(doorbell, call).inc()

    def _of(self, kind: str) -> tuple[Gauge, Histogram]:
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds[kind] = (self._running.labels(kind), self._seconds.labels(kind))
        return found


class CountedDoorbell:
    """A doorbell whose failed calls are counted; everything else is the doorbell's own."""

    def __init__(self, inner: Doorbell, figures: Figures) -> None:
        self._inner = inner
        self._figures = figures

    @property
    def scheme(self) -> str:
        """The inner one's."""
        return self._inner.scheme

    @property
    def rings_each(self) -> int:
        """The inner one's."""
        return self._inner.rings_each

    async def ring(self, rings: Sequence[Ring]) -> list[Ring]:
        """Publish; rings that were not accepted count as an error too."""
        refused: list[Ring] = await self._counted("ring", self._inner.ring(rings))
        if refused:
            self._figures.doorbell_error(self.scheme, "ring")
        return refused

    async def take(self, claims: Claims, kinds: Collection[str], most: int, wait: float) -> list[Claim]:
        """Wait and claim."""
        taken: list[Claim] = await self._counted("take", self._inner.take(claims, kinds, most, wait))
        return taken

    async def waiting(self, queue: str) -> int | None:
        """How many messages wait."""
        found: int | None = await self._counted("waiting", self._inner.waiting(queue))
        return found

    async def tidy(self, queues: Sequence[str]) -> int:
        """Clear up."""
        cleared: int = await self._counted("tidy", self._inner.tidy(queues))
        return cleared

    async def close(self) -> None:
        """Close the inner one."""
        await self._inner.close()

    async def _counted(self, call: str, coroutine: Any) -> Any:
        try:
            return await coroutine
        except DoorbellAway:
            self._figures.doorbell_error(self.scheme, call)
            raise


class DatabaseFigures:
    """What the database says, asked at most every five seconds however often and by however many it is scraped."""

    def __init__(self, database: Database, registry: CollectorRegistry, *, fresh: float = FRESH) -> None:
        self._database = database
        self._fresh = fresh
        self._families: list[GaugeMetricFamily] = []
        self._asking: asyncio.Task[None] | None = None
        self._read_at: float | None = None
        self._up = False
        registry.register(self)

    async def refresh(self) -> None:
        """Ask again if the last answer is old; after two seconds, or when nobody answers, the old figures stay."""
        clock = asyncio.get_running_loop().time
        if self._read_at is not None and self._up and clock() - self._read_at < self._fresh:
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        await asyncio.wait({self._asking}, timeout=LIMIT)
        if not self._asking.done():
            self._up = False

    async def close(self) -> None:
        """End what is still asked."""
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
            await asyncio.wait({self._asking}, timeout=1)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures as they were last read, and how old they are: Prometheus calls this."""
        yield GaugeMetricFamily("towline_database_up", "Whether the database answered the last time", value=self._up)
        if self._read_at is not None:
            age = asyncio.get_running_loop().time() - self._read_at
            yield GaugeMetricFamily("towline_figures_age_seconds", "Age of the database's figures", value=age)
        yield from self._families

    async def _ask(self) -> None:
        try:
            jobs = await self._database.fetch("figures")
            outbox = await self._database.fetch("outbox_figures")
            leases = await self._database.fetch("leases_held")
        except (*AWAY, SchemaMissing, PostgresError) as error:  # a scrape must answer all the same
            if self._up or self._read_at is None:
                log.warning("no figures from the database", extra={"error": type(error).__name__})
            self._up = False
            return
        self._families = [
            _family("towline_jobs", "Jobs by queue and state", ["queue", "state"], jobs, "jobs"),
            _family(
                "towline_oldest_job_seconds", "Since when the oldest waits or runs", ["queue", "state"], jobs, _OLDEST
            ),
            _family("towline_outbox_rows", "Rows that are due", ["queue"], outbox, "waiting"),
            _family("towline_outbox_lag_seconds", "How long the oldest row has waited", ["queue"], outbox, _OLDEST),
            _family("towline_lease_held", "Roles that a process holds", ["name"], leases, None),
        ]
        self._up = True
        self._read_at = asyncio.get_running_loop().time()


def metrics_asgi(
    registry: CollectorRegistry, database: DatabaseFigures | None = None, *, token: str | None = None
) -> App:
    """An ASGI app that answers a scrape of Prometheus.

    With a `token` it wants `Authorization: Bearer TOKEN`; without one keep it on a private port.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        if scope["type"] != "http":
            return
        given = (header(scope, "authorization") or "").encode("latin-1")
        if token is not None and not hmac.compare_digest(given, f"Bearer {token}".encode()):
            await answer(send, 401, b"Unauthorized", "text/plain", {"www-authenticate": "Bearer"})
            return
        if database is not None:
            await database.refresh()
        encode, content_type = choose_encoder(header(scope, "accept") or "")
        await answer(send, 200, encode(registry), content_type)

    return serve


_OLDEST = "oldest_seconds"


def _family(name: str, meaning: str, labels: list[str], rows: Sequence[Any], value: str | None) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for row in rows:
        family.add_metric([row[label] for label in labels], 1 if value is None else row[value])
    return family
