"""The roles that a process may have, alone or together: api, gen, capture, relay, sweeper."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

import uvicorn

from cooly.jobs import CAPTURE, GEN, QUEUES, settle_lost
from cooly.parts import open_database, open_parts
from towline_runtime.doorbell import open_doorbell
from towline_runtime.errors import RuntimeFault
from towline_runtime.health_server import by_path, serve_health
from towline_runtime.lease import owner
from towline_runtime.metrics import CountedDoorbell, metrics_asgi
from towline_runtime.relay import Relay, RelayOptions
from towline_runtime.sweeper import Chore, Sweeper
from towline_runtime.worker import Worker, WorkerOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from cooly.parts import Parts
    from cooly.settings import Settings
    from towline_runtime.asgi import App

log = logging.getLogger(__name__)

ROLES = ("api", "gen", "capture", "relay", "sweeper")
CAPTURES = 10  # at once
WORKERS_OWN = 4  # connections that a worker needs for itself
LAST_REQUESTS = 15  # seconds that requests have once the server was told to stop


class PortTaken(RuntimeFault):
    """The port on which the API should listen is in use, or not for this user."""


class _Server(uvicorn.Server):
    """uvicorn, without handlers of its own: the process has other roles to end too."""

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


def roles_of(settings: Settings, named: Collection[str]) -> frozenset[str]:
    """The named roles (`all` is every one), and what the switches add to an API process."""
    roles = set(ROLES) if "all" in named else set(named)
    if "api" in roles:
        switched = {
            "gen": settings.start_gen_worker,
            "relay": settings.start_outbox_relay,
            "capture": settings.enable_capture_worker,
            "sweeper": settings.enable_session_sweeper,
        }
        roles |= {role for role, on in switched.items() if on}
    return frozenset(roles)


async def run(settings: Settings, roles: Collection[str]) -> None:
    """Run these roles until SIGTERM or SIGINT: the first ends in order, the second hands back what still runs.

    Raises PortTaken before anything else is begun.
    """
    listening = _listen(settings.host, settings.port) if "api" in roles else None
    async with open_parts(settings) as parts, AsyncExitStack() as stack:
        stops: list[Callable[[], None]] = [parts.stopping.set, parts.health.drain]
        _on_signals(stops)
        if settings.runtime.health_port is not None:
            await stack.enter_async_context(serve_health(_inside(parts), settings.runtime.health_port))
        log.info("starts", extra={"roles": sorted(roles)})
        async with asyncio.TaskGroup() as group:
            for role in sorted(roles):
                match role:
                    case "api":
                        server = _server(parts)
                        stops.append(lambda server=server: _stop_server(server))  # type: ignore[misc]
                        group.create_task(server.serve([listening] if listening else None))
                    case "gen" | "capture":
                        worker = await stack.enter_async_context(_worker(parts, role))
                        stops.append(worker.stop)
                        group.create_task(worker.run())
                    case _:
                        group.create_task(_until_stopping(parts, role))
        log.info("ended", extra={"roles": sorted(roles)})


def _on_signals(stops: list[Callable[[], None]]) -> None:
    def stop() -> None:
        for one in stops:
            one()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _inside(parts: Parts) -> App:
    """What only the private network may ask: health, and figures, which say much about an app."""
    figures = metrics_asgi(parts.figures.registry, parts.database_figures)
    return by_path({"/metrics": figures, "*": parts.health.asgi()})


def _server(parts: Parts) -> _Server:
    from cooly.api.app import create_app

    config = uvicorn.Config(
        create_app(parts),
        host=parts.settings.host,
        port=parts.settings.port,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=LAST_REQUESTS,
    )
    return _Server(config)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise PortTaken(f"Nobody can listen on {host}:{port}: {error.strerror}", "set PORT to another one") from error


def _stop_server(server: uvicorn.Server) -> None:
    server.force_exit = server.should_exit
    server.should_exit = True


@asynccontextmanager
async def _worker(parts: Parts, role: str) -> AsyncIterator[Worker]:
    settings = parts.settings
    queue, concurrency = (GEN, settings.gen_worker_concurrency) if role == "gen" else (CAPTURE, CAPTURES)
    options = WorkerOptions(f"{owner()}:{role}", (queue,), concurrency, settings.runtime.job_lease_seconds)
    async with (
        open_database(settings, WORKERS_OWN + min(concurrency, CAPTURES)) as database,
        open_doorbell(settings.runtime.doorbell_url, database, (queue,), settings.runtime.pace) as doorbell,
    ):
        counted = CountedDoorbell(doorbell, parts.figures)
        yield Worker(parts.kinds.jobs, database, counted, options, parts.figures)


async def _until_stopping(parts: Parts, role: str) -> None:
    """A relay or a sweeper has nothing to finish: it is ended where it is."""
    work = asyncio.create_task(_relay(parts) if role == "relay" else _sweeper(parts))
    stopping = asyncio.create_task(parts.stopping.wait())
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (work, stopping):
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def _relay(parts: Parts) -> None:
    settings = parts.settings.runtime
    async with (
        open_database(parts.settings, WORKERS_OWN) as database,
        open_doorbell(settings.doorbell_url, database, QUEUES, settings.pace) as doorbell,
    ):
        await Relay(database, doorbell, QUEUES, RelayOptions(pace=settings.pace)).run()


async def _sweeper(parts: Parts) -> None:
    """Sessions and counters that have run out, jobs whose worker died, and pictures whose job did."""
    settings = parts.settings.runtime
    chores = (
        Chore("sessions", parts.sessions.sweep, 60.0),
        Chore("rate limits", parts.limits.visitors.sweep, 60.0),
        Chore("lost pictures", lambda: settle_lost(parts.tools, parts.kinds), 1.0, batch=100),
    )
    async with (
        open_database(parts.settings, WORKERS_OWN) as database,
        open_doorbell(settings.doorbell_url, database, QUEUES, settings.pace) as doorbell,
    ):
        await Sweeper(database, doorbell, QUEUES, chores=chores).run()
