"""The loop: write down the plan, carry it out stage by stage, write down how it ended.

Stages in a row that concern one site alone travel together: only between sites does anybody wait for anybody.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from towline.core.errors import Fenced, SiteUnreachable
from towline.core.events import StageBegan, StepBegan, StepBroke, StepDone, ignore
from towline.release.heartbeat import beating
from towline.release.journal import pass_name, read
from towline.steps.model import Line, Stretch, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from towline.core.events import Listener
    from towline.release.lock import Hold
    from towline.steps.driver import Driver
    from towline.steps.model import Plan, Stage

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
    """A site has no more lines; `error` is why, when it broke off."""

    site: str
    error: BaseException | None


@dataclass
class _Pass:
    """One pass over a plan: what it talks to, the lines it has seen, and the stages that were not told of yet."""

    run: str
    drivers: Mapping[str, Driver]
    hold: Hold
    home: Driver
    listener: Listener
    copy: Copy
    inbox: queue.SimpleQueue[Line | _Ended | BaseException]
    seen: list[Line]
    stages: dict[int, StageBegan]

    def record(self, line: Line) -> None:
        """Write a line of the engine's own into the journal at home."""
        self.home.record(line, self.hold.leases[self.home.site])
        self.copy(line)

    def announce(self, stage: int) -> None:
        """Tell, once, that a stage has begun."""
        if (event := self.stages.pop(stage, None)) is not None:
            self.listener(event)

    def line(self, event: Literal["plan", "ended"], plan: Plan | None = None, outcome: str = "") -> Line:
        """A line of the engine's own."""
        site = self.home.site
        lease = self.hold.leases[site]
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        told = to_json(plan) if plan is not None else None
        who = lease.owner if event == "plan" else ""
        return Line(at, self.run, event, lease.fence, site=site, plan=told, outcome=outcome, by=who)


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
    going = _Pass(name, drivers, hold, home, listener, copy or (lambda _: None), queue.SimpleQueue(), [], _told(plan))
    with beating(drivers, hold, going.inbox.put):
        _all(plan, going)
        failed = tuple(line for line in going.seen if line.event == "failed")
        if not any(line.event == "ended" for line in going.seen):
            going.record(going.line("ended", outcome="failed" if failed else "done"))
    done = [line for line in going.seen if line.event == "done"]
    already = sum(line.already for line in done)
    return Outcome(name, not failed, failed, len(done) - already, already, time.monotonic() - start)


def _told(plan: Plan) -> dict[int, StageBegan]:
    """What is told of each stage when it begins, by the number that its batches have."""
    return {
        batch.stage: StageBegan(number, len(plan.stages), stage.name)
        for number, stage in enumerate(plan.stages, start=1)
        for batch in stage.batches
    }


def _all(plan: Plan, going: _Pass) -> None:
    """Carry out all stages, to the first in which a step fails.

    A site that is alone with the first or the last of them, and keeps the journal, writes down the plan or the end by
    itself: that is one round trip less.
    """
    groups = [list(_stretches(some)) for some in _in_a_row(plan.stages)]
    opening, closing = going.line("plan", plan), going.line("ended", outcome="done")
    home = going.home.site
    if groups and [one.site for one in groups[0]] == [home]:
        groups[0] = [replace(groups[0][0], opening=opening)]
    else:
        going.record(opening)
    if groups and [one.site for one in groups[-1]] == [home]:
        groups[-1] = [replace(groups[-1][0], closing=closing)]
    for stretches in groups:
        if not _side_by_side(stretches, going):
            break


def _in_a_row(stages: tuple[Stage, ...]) -> Iterator[tuple[Stage, ...]]:
    """The stages in groups: those that concern one and the same site alone, and each of the others by itself."""

    def alone(numbered: tuple[int, Stage]) -> str | int:
        number, stage = numbered
        return number if len(stage.batches) != 1 else stage.batches[0].site

    for _, some in groupby(enumerate(stages), alone):
        yield tuple(stage for _, stage in some)


def _stretches(stages: tuple[Stage, ...]) -> Iterator[Stretch]:
    """What each site does in a group of stages."""
    if len(stages) == 1:
        yield from (Stretch((batch,)) for batch in stages[0].batches)
    else:
        yield Stretch(tuple(batch for stage in stages for batch in stage.batches))


def _side_by_side(stretches: list[Stretch], going: _Pass) -> bool:
    """Carry out what each site does, all at once; False when a step failed."""
    for one in stretches:
        threading.Thread(target=_carry, args=(one, going), name=f"towline {one.site}", daemon=True).start()
    waiting, errors = {one.site for one in stretches}, list[BaseException]()
    going.announce(stretches[0].batches[0].stage)
    while waiting:
        match going.inbox.get():
            case Line() as line:
                going.seen.append(line)
                going.copy(line)
                going.announce(line.stage)
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


def _carry(stretch: Stretch, going: _Pass) -> None:
    """The thread of one site: its lines, then how it ended."""
    ended, site, all_steps = 0, stretch.site, len(stretch.steps)
    try:
        for line in going.drivers[site].carry_out(stretch, going.hold.leases[site], going.run):
            ended = all_steps if line.event == "failed" else ended + (line.event == "done")
            going.inbox.put(line)
    except BaseException as error:  # noqa: BLE001 - raised again in the thread of the caller
        going.inbox.put(_Ended(site, error))
    else:
        silent = f"site `{site}` fell silent after {ended} of {all_steps} steps"
        going.inbox.put(_Ended(site, None if ended == all_steps else SiteUnreachable(silent)))


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
