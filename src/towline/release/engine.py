"""The loop: write down the plan, carry it out stage by stage, write down how it ended."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from towline.core.errors import Fenced, SiteUnreachable
from towline.core.events import StageBegan, StepBegan, StepBroke, StepDone, ignore
from towline.release.heartbeat import beating
from towline.release.journal import pass_name, read
from towline.steps.model import Line, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from towline.core.events import Listener
    from towline.release.lock import Hold
    from towline.steps.driver import Driver
    from towline.steps.model import Batch, Plan, Stage

    Copy = Callable[[Line], None]


@dataclass(frozen=True)
class Outcome:
    """How a pass went: the lines of failed steps with their evidence, and how many steps changed something.

    `run` is the name of the pass in the journal.
    """

    run: str
    ok: bool
    failed: tuple[Line, ...]
    changed: int
    already: int
    seconds: float


@dataclass(frozen=True)
class _Ended:
    """A batch has no more lines; `error` is why, when it broke off."""

    site: str
    error: BaseException | None


@dataclass
class _Pass:
    """One pass over a plan: what it talks to, and the lines it has seen."""

    run: str
    drivers: Mapping[str, Driver]
    hold: Hold
    home: Driver
    listener: Listener
    copy: Copy
    inbox: queue.SimpleQueue[Line | _Ended | BaseException]
    seen: list[Line]

    def record(self, event: Literal["plan", "ended"], plan: Plan | None = None, outcome: str = "") -> None:
        """Write a line of the engine's own into the journal at home."""
        site = self.home.site
        lease = self.hold.leases[site]
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        told = to_json(plan) if plan is not None else None
        line = Line(at=at, run=self.run, event=event, fence=lease.fence, site=site, plan=told, outcome=outcome)
        self.home.record(line, lease)
        self.copy(line)


def run(
    plan: Plan,
    drivers: Mapping[str, Driver],
    hold: Hold,
    home: Driver,
    listener: Listener = ignore,
    copy: Copy | None = None,
) -> Outcome:
    """Carry out a plan under the locks of all its sites; `home` keeps the plan and the outcome in its journal.

    Every line is also given to `copy`, in the thread of the caller like all events. A failed step ends the run after
    the stage's other sites have ended. An error of a driver is raised again then, and leaves the run open in the
    journal; Fenced ends it at once. A plan without a step is recorded as well: whoever deploys need not run it.
    """
    start = time.monotonic()
    name = pass_name(read(home, drivers), plan)
    going = _Pass(name, drivers, hold, home, listener, copy or (lambda _: None), queue.SimpleQueue(), [])
    with beating(drivers, hold, going.inbox.put):
        going.record("plan", plan)
        for number, stage in enumerate(plan.stages, start=1):
            listener(StageBegan(number, len(plan.stages), stage.name))
            if not _stage(stage, going):
                break
        failed = tuple(line for line in going.seen if line.event == "failed")
        going.record("ended", outcome="failed" if failed else "done")
    done = [line for line in going.seen if line.event == "done"]
    already = sum(line.already for line in done)
    return Outcome(name, not failed, failed, len(done) - already, already, time.monotonic() - start)


def _stage(stage: Stage, going: _Pass) -> bool:
    """Carry out the batches of a stage side by side; False when a step failed."""
    for batch in stage.batches:
        threading.Thread(target=_batch, args=(batch, going), name=f"towline {batch.site}", daemon=True).start()
    waiting, errors = {batch.site for batch in stage.batches}, list[BaseException]()
    while waiting:
        match going.inbox.get():
            case Line() as line:
                going.seen.append(line)
                going.copy(line)
                _tell(line, going.listener)
            case _Ended(site, error):
                waiting.discard(site)
                errors += [error] if error is not None else []
                _end_at_once(error)
            case error:
                errors.append(error)
                _end_at_once(error)
    if errors:
        raise errors[0]
    return not any(line.event == "failed" for line in going.seen)


def _end_at_once(error: BaseException | None) -> None:
    if isinstance(error, Fenced):
        raise error


def _batch(batch: Batch, going: _Pass) -> None:
    """The thread of one batch: its lines, then how it ended."""
    ended = 0
    try:
        for line in going.drivers[batch.site].carry_out(batch, going.hold.leases[batch.site], going.run):
            ended = len(batch.steps) if line.event == "failed" else ended + (line.event == "done")
            going.inbox.put(line)
    except BaseException as error:  # noqa: BLE001 - raised again in the thread of the caller
        going.inbox.put(_Ended(batch.site, error))
    else:
        silent = f"site `{batch.site}` fell silent after {ended} of {len(batch.steps)} steps"
        going.inbox.put(_Ended(batch.site, None if ended == len(batch.steps) else SiteUnreachable(silent)))


def _tell(line: Line, listener: Listener) -> None:
    if line.step is None:
        return
    title = line.step.title
    match line.event:
        case "began":
            listener(StepBegan(line.site, title))
        case "done":
            listener(StepDone(line.site, title, line.already, line.seconds, line.saw))
        case "failed":
            listener(StepBroke(line.site, title, line.sentence, line.evidence))
        case _:
            pass
