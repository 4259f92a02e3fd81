"""The worker: one process that claims jobs and runs them, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from towline_runtime.attempt import Attempt, Stop
from towline_runtime.children import Children, where
from towline_runtime.claims import Claims
from towline_runtime.crew import Crew
from towline_runtime.desk import WorkerDesk
from towline_runtime.heart import Heart
from towline_runtime.intake import Intake
from towline_runtime.lease import owner
from towline_runtime.observer import Nobody
from towline_runtime.reports import Reports
from towline_runtime.served import InLoop, Served
from towline_runtime.settlement import Settlement
from towline_runtime.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Collection

    from towline_runtime.database import Database
    from towline_runtime.doorbell import Doorbell
    from towline_runtime.jobs import Jobs
    from towline_runtime.observer import Observer
    from towline_runtime.served import Place

log = logging.getLogger(__name__)
OWN_CONNECTIONS = 4  # to claim, to write outcomes, to beat and to report progress
HEED = 5.0  # seconds that cancelled jobs have to come to their end, and then that their hand-back may take


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker works; times are seconds.

    `concurrency` is the most jobs that run at once, `threads` and `processes` the most of them that do so in a thread
    or a process. A job whose worker has not answered for `lease` goes to another. `grace` is the most that a stop may
    take, where it is shorter than the `max_job` of the running kinds. `queues` only says what the log shows: the
    doorbell knows them.
    """

    name: str = field(default_factory=owner)
    queues: tuple[str, ...] = ()
    concurrency: int = 50
    lease: float = 30.0
    grace: float | None = None
    threads: int | None = None
    processes: int | None = None


class Worker:
    """Runs the jobs of some kinds: `await worker.run()` until `worker.stop()`.

    Give its Database room: four connections are the worker's own, the others are for `Running.finish`. Everything that
    the worker writes carries the token of the claim, so that whatever happens to it, no job is finished twice.
    """

    def __init__(
        self,
        jobs: Jobs,
        database: Database,
        doorbell: Doorbell,
        options: WorkerOptions | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.options = options or WorkerOptions()
        self._database = database
        self._doorbell = doorbell
        self._observer = observer or Nobody()
        self._threads = Threads(self.options.threads or self.options.concurrency)
        self._children = Children(self.options.processes or os.cpu_count() or 1)
        places: dict[str, Place] = {"async": InLoop(), "thread": self._threads, "process": self._children}
        self._served = {kind.name: Served(kind, places[kind.runs]) for kind in jobs}
        for kind in jobs:
            if kind.runs == "process":
                where(kind)
        self._asked = 0
        self._stop_asked = asyncio.Event()
        self._hurry = asyncio.Event()

    def stop(self) -> None:
        """First: claim nothing more, hand back what has not begun, finish what runs. Again: hand back the rest too.

        Call it in the event loop's thread; a signal handler of the loop does.
        """
        self._asked += 1
        self._stop_asked.set()
        if self._asked > 1:
            self._hurry.set()
        log.info("worker stops", extra={"worker": self.options.name, "asked": self._asked})

    async def run(self) -> None:
        """Work until `stop`, whatever server is away meanwhile; raises SchemaMissing where the tables are not there."""
        options = self.options
        log.info("worker starts", extra={"worker": options.name, "queues": options.queues, "kinds": len(self._served)})
        claims = Claims(self._database, options.name, options.lease)
        crew = Crew(self._served, options.concurrency, options.lease, self._observer)
        reports = Reports(claims, asyncio.get_running_loop())
        settlement = Settlement(claims, reports, crew.settled)
        crew.settlement = settlement
        crew.desk = WorkerDesk(claims, reports, max(1, self._database.most - OWN_CONNECTIONS))
        heart = Heart(claims, crew.held, crew.stop)
        intake = asyncio.create_task(Intake(self._doorbell, claims, self._served, crew).run())
        steady = [asyncio.create_task(one) for one in (settlement.run(), heart.beat(), heart.watch(), reports.run())]
        try:
            await self._until_stopped([intake, *steady])
            await _cancelled([intake])
            crew.drain()
            await self._drain(crew, steady)
        finally:
            await _cancelled([intake])
            await self._hand_back(crew, settlement)
            await _cancelled(steady)
            self._threads.close()
            self._children.close()
        log.info("worker stopped", extra={"worker": options.name})

    async def _until_stopped(self, tasks: Collection[asyncio.Task[None]]) -> None:
        asked = asyncio.create_task(self._stop_asked.wait())
        await asyncio.wait({asked, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        _raise_faults(tasks)

    async def _drain(self, crew: Crew, steady: Collection[asyncio.Task[None]]) -> None:
        clock = asyncio.get_running_loop().time
        stopped = clock()
        hurry = asyncio.create_task(self._hurry.wait())
        try:
            while (active := crew.active) and not self._hurry.is_set():
                ends = {attempt: stopped + self._patience(attempt) for attempt in active}
                for attempt in [one for one, end in ends.items() if end <= clock() and not one.stopped]:
                    log.warning("job is handed back: it took longer than max_job", extra={"job": attempt.id})
                    crew.stop(attempt, Stop.DRAIN)
                if all(end + HEED <= clock() for end in ends.values()):
                    return
                ahead = [end for end in (*ends.values(), *(end + HEED for end in ends.values())) if end > clock()]
                tasks = [one.task for one in active if one.task is not None]
                await asyncio.wait(
                    {hurry, *tasks, *steady}, timeout=min(ahead) - clock(), return_when=asyncio.FIRST_COMPLETED
                )
                _raise_faults(steady)
        finally:
            hurry.cancel()

    def _patience(self, attempt: Attempt) -> float:
        assert attempt.served is not None  # noqa: S101  # it runs
        most = attempt.served.kind.options.max_job
        return most if self.options.grace is None else min(most, self.options.grace)

    async def _hand_back(self, crew: Crew, settlement: Settlement) -> None:
        crew.drain()
        for attempt in crew.active:
            crew.stop(attempt, Stop.DRAIN)
        tasks = [attempt.task for attempt in crew.active if attempt.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=HEED)
        for attempt in crew.active:
            log.error("job does not heed its cancellation", extra={"job": attempt.id, "kind": attempt.kind})
            settlement.hand_back(attempt, 0.0)
        within = HEED if self._hurry.is_set() else max(HEED, self.options.lease)
        if not await settlement.written(within):
            log.error("the database is away: outcomes are lost", extra={"jobs": settlement.unwritten})


async def serve(worker: Worker) -> None:
    """Run it until SIGTERM or SIGINT: the first finishes what runs, the second hands it back."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    try:
        await worker.run()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _cancelled(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    # A statement to a server that is silent is given up by its driver much later: nobody waits for that.
    done, _ = await asyncio.wait(tasks, timeout=HEED)
    _raise_faults([task for task in done if not task.cancelled()])


def _raise_faults(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()
