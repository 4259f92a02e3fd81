"""The servers and tools that a process works with, opened together and closed together."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from cooly.generator.images_api import ImagesApi
from cooly.generator.landscape import Landscape
from cooly.jobs import Kinds, Tools, declare
from cooly.live import Arrivals
from cooly.passwords import Passwords
from towline_runtime import health_checks
from towline_runtime.database import Database
from towline_runtime.health import Health
from towline_runtime.metrics import DatabaseFigures, Figures
from towline_runtime.outbox import Nudge
from towline_runtime.progress import Progress
from towline_runtime.rate_limit import Guarded, Limit, PostgresRateLimit, RateLimit, RedisRateLimit
from towline_runtime.redis_client import redis_client
from towline_runtime.sessions import PostgresSessions, RedisSessions, Sessions
from towline_runtime.storage import Storage, open_storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncEngine

    from cooly.generator.port import Generator
    from cooly.settings import Settings

CONNECTIONS = 6  # of one process and each of its two pools, at most; workers have a pool of their own
LOGINS = Limit(10, 60)  # tries from one address, and for one account
TOKENS = Limit(1200, 60)  # a program that looks every 50 ms may go on doing so


@dataclass(frozen=True)
class Limits:
    """How often something may be done, counted over all replicas."""

    visitors: RateLimit
    logins: RateLimit
    tokens: RateLimit


@dataclass(frozen=True)
class Parts:
    """What is open while a process runs; `stopping` is set as soon as it is told to end."""

    settings: Settings
    sessions_of_tables: async_sessionmaker[AsyncSession]
    database: Database
    storage: Storage
    sessions: Sessions
    limits: Limits
    progress: Progress
    nudge: Nudge
    health: Health
    figures: Figures
    database_figures: DatabaseFigures
    passwords: Passwords
    arrivals: Arrivals
    tools: Tools
    kinds: Kinds
    stopping: asyncio.Event


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Open everything; nothing connects before it is used, so that a process starts while servers are away."""
    async with AsyncExitStack() as stack:
        engine = _engine(settings)
        stack.push_async_callback(engine.dispose)
        database = await stack.enter_async_context(open_database(settings, CONNECTIONS))
        nudge = Nudge(database)
        stack.push_async_callback(nudge.close)
        storage = await stack.enter_async_context(open_storage(settings.runtime))
        redis = None if settings.runtime.redis_url is None else redis_client(settings.runtime.redis_url)
        if redis is not None:
            stack.push_async_callback(redis.aclose)
        health = _health(settings, storage)
        stack.push_async_callback(health.close)
        figures = Figures()
        database_figures = DatabaseFigures(database, figures.registry)
        stack.push_async_callback(database_figures.close)
        generator = await _generator(settings, stack)
        tools = Tools(database, storage, generator, nudge)
        yield Parts(
            settings=settings,
            sessions_of_tables=async_sessionmaker(engine, expire_on_commit=False),
            database=database,
            storage=storage,
            sessions=_sessions(settings, database, redis),
            limits=_limits(settings, database, redis),
            progress=await stack.enter_async_context(Progress(database)),
            nudge=nudge,
            health=health,
            figures=figures,
            database_figures=database_figures,
            passwords=Passwords(),
            arrivals=Arrivals(),
            tools=tools,
            kinds=declare(tools, settings.longest_job),
            stopping=asyncio.Event(),
        )


@asynccontextmanager
async def open_database(settings: Settings, most: int) -> AsyncIterator[Database]:
    """A pool of the runtime with at most so many connections."""
    known = settings.runtime
    async with Database.open(
        known.database_url, direct_url=known.direct_url, most=most, pooled=known.database_pooled
    ) as database:
        yield database


def _engine(settings: Settings) -> AsyncEngine:
    connect: dict[str, Any] = {"timeout": 5, "command_timeout": 30}
    if settings.runtime.database_pooled:
        connect |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    return create_async_engine(
        settings.runtime.sqlalchemy_url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args=connect,
    )


def _sessions(settings: Settings, database: Database, redis: Any) -> Sessions:
    lifetime = settings.runtime.session_ttl_seconds
    return RedisSessions(redis, lifetime) if settings.sessions == "redis" else PostgresSessions(database, lifetime)


def _limits(settings: Settings, database: Database, redis: Any) -> Limits:
    known = settings.runtime

    def limit(name: str, most: Limit) -> RateLimit:
        counter = PostgresRateLimit(database, most, name) if redis is None else RedisRateLimit(redis, most, name)
        return Guarded(counter, allow_when_away=known.rate_limit_when_away == "allow")

    visitors = Limit(known.rate_limit_max_requests, known.rate_limit_window_ms / 1000)
    return Limits(limit("visitors", visitors), limit("logins", LOGINS), limit("tokens", TOKENS))


def _health(settings: Settings, storage: Storage) -> Health:
    checks = [health_checks.database(settings.runtime), health_checks.storage(storage)]
    if settings.runtime.redis_url is not None:
        redis = health_checks.redis(settings.runtime.redis_url)
        # Without Redis orders are taken all the same: the jobs wait in the database until it is back.
        checks.append(redis if settings.sessions == "redis" else redis.soft())
    return Health(settings.runtime.app_version, checks)


async def _generator(settings: Settings, stack: AsyncExitStack) -> Generator:
    if settings.generator == "landscape":
        return Landscape(settings.generator_seconds, rehearse=settings.development)
    # The limit of an attempt is the generator's own; this one is for an answer that stops half-way.
    client = httpx.AsyncClient(timeout=settings.images_api_timeout, follow_redirects=False)
    await stack.enter_async_context(client)
    return ImagesApi(
        client,
        settings.images_api_url,
        settings.images_api_key,
        settings.images_api_model,
        settings.images_api_timeout,
    )
