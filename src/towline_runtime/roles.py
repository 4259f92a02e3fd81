"""The processes of the command line: worker, relay, sweeper, and the migration before them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from towline_runtime.database import Database
from towline_runtime.doorbell import open_doorbell
from towline_runtime.errors import Misused
from towline_runtime.jobs import Jobs
from towline_runtime.lease import owner
from towline_runtime.migrations import migrate as apply_migrations
from towline_runtime.probes import probed
from towline_runtime.rate_limit import PostgresRateLimit
from towline_runtime.relay import Relay, RelayOptions
from towline_runtime.sessions import PostgresSessions
from towline_runtime.sweeper import Chore, Sweeper, SweeperOptions

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Collection, Coroutine, Sequence
    from typing import Any

    from towline_runtime.doorbell import Doorbell
    from towline_runtime.metrics import Figures
    from towline_runtime.settings import Settings

SIDE_CONNECTIONS = 4  # of relay and sweeper: work and lease of each


async def migrate(settings: Settings, given: argparse.Namespace) -> None:
    """Print the migrations that were applied, one a line."""
    del given
    applied = await apply_migrations(settings.direct_url)
    sys.stdout.write("".join(f"{name}\n" for name in applied))


async def worker(settings: Settings, given: argparse.Namespace) -> None:
    """Run jobs until SIGTERM, with relay and sweeper beside them unless told otherwise."""
    from towline_runtime.worker import Worker, WorkerOptions, serve

    jobs = load_jobs(given.jobs)
    queues = given.queues or list(jobs.queues)
    options = WorkerOptions(
        name=given.name or owner(),
        queues=tuple(queues),
        concurrency=given.concurrency or settings.worker_concurrency,
        lease=settings.job_lease_seconds,
    )
    async with (
        _database(settings, settings.database_pool_size) as database,
        _bell(settings, database, queues) as bell,
        _beside(settings, bell, queues, given.beside) as side,
        probed(settings, side) as figures,
    ):
        await serve(Worker(jobs, database, _counted(bell, figures), options, figures))


async def relay(settings: Settings, given: argparse.Namespace) -> None:
    """Carry doorbells until SIGTERM."""
    await _role(settings, given, {"relay"})


async def sweep(settings: Settings, given: argparse.Namespace) -> None:
    """Sweep until SIGTERM."""
    await _role(settings, given, {"sweeper"})


def load_jobs(place: str) -> Jobs:
    """The Jobs at `module:name`; raises Misused."""
    module, _, name = place.partition(":")
    sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), name or "jobs", None)
    except ModuleNotFoundError as error:
        raise Misused(f"There is no module `{error.name}`", "run it in the app's folder, or set PYTHONPATH") from error
    except Exception as error:
        raise Misused(f"Importing `{module}` failed: {type(error).__name__}: {error}{_place(error)}") from error
    if not isinstance(found, Jobs):
        raise Misused(f"`{place}` is no Jobs", "name the module and the variable, for instance app.jobs:jobs")
    return found


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno})" if trace is not None else ""


async def _role(settings: Settings, given: argparse.Namespace, names: Collection[str]) -> None:
    queues = given.queues or load_jobs(given.jobs).queues
    async with _database(settings, SIDE_CONNECTIONS) as database:
        await _until_told(_serve_roles(settings, database, queues, names))


async def _serve_roles(settings: Settings, database: Database, queues: Sequence[str], names: Collection[str]) -> None:
    async with _bell(settings, database, queues) as bell, _together() as group:
        for run in _runs(settings, database, bell, queues, names):
            group.create_task(run)


@asynccontextmanager
async def _beside(
    settings: Settings, bell: Doorbell, queues: Sequence[str], names: Collection[str]
) -> AsyncIterator[Database]:
    # Their own connections, so that a full pool of the worker does not cost them their leases.
    async with _database(settings, SIDE_CONNECTIONS) as database, _together() as group:
        tasks = [group.create_task(run) for run in _runs(settings, database, bell, queues, names)]
        yield database
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def _together() -> AsyncIterator[asyncio.TaskGroup]:
    # The first that fails ends the others, and its error is the process's.
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


def _runs(
    settings: Settings, database: Database, bell: Doorbell, queues: Sequence[str], names: Collection[str]
) -> list[Coroutine[Any, Any, None]]:
    runs = []
    if "relay" in names:
        runs.append(Relay(database, bell, queues, RelayOptions(pace=settings.pace)).run())
    if "sweeper" in names:
        runs.append(Sweeper(database, bell, queues, sweeper_options(settings), _chores(database)).run())
    return runs


def sweeper_options(settings: Settings) -> SweeperOptions:
    """What the settings say of the sweeper's times."""
    return SweeperOptions(
        ring_after=settings.job_ring_again_seconds,
        stuck_after=settings.job_stuck_seconds,
        cancel_stuck=settings.job_cancel_stuck,
        keep_done=settings.job_keep_done_seconds,
        keep_dead=settings.job_keep_dead_seconds,
        # A killed worker's leases must not wait for the sweeper that died with it.
        lease=min(10.0, settings.job_lease_seconds / 2),
    )


def _counted(bell: Doorbell, figures: Figures | None) -> Doorbell:
    if figures is None:
        return bell
    from towline_runtime.metrics import CountedDoorbell

    return CountedDoorbell(bell, figures)


def _chores(database: Database) -> list[Chore]:
    return [
        Chore("forget sessions", PostgresSessions(database).sweep, 60.0),
        Chore("forget rate limits", PostgresRateLimit(database).sweep, 60.0),
    ]


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _database(settings: Settings, most: int) -> contextlib.AbstractAsyncContextManager[Database]:
    return Database.open(
        settings.database_url, direct_url=settings.direct_url, most=most, pooled=settings.database_pooled
    )


def _bell(
    settings: Settings, database: Database, queues: Sequence[str]
) -> contextlib.AbstractAsyncContextManager[Doorbell]:
    return open_doorbell(settings.doorbell_url, database, queues, settings.pace)
