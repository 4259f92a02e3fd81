"""The journal read back: which runs there were, what stands, what is open, and what each step found first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from towline.core.errors import Defect, StalePlan, Where
from towline.steps.model import line_from_json, plan_from_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from towline.steps.driver import Driver
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Before, Line, LineEvent, Plan

_RESUME, _ROLLBACK = ".resume.", ".rollback."
_LONGEST_LITERAL = len("false")


@dataclass(frozen=True)
class Begun:
    """A step that was begun, done or not.

    `before` is what its first try found: a later one finds what the first left behind. `last` is how it ended most
    recently: "began" when nobody knows.
    """

    site: str
    stage: int
    index: int
    step: AnyStep
    before: Before
    last: LineEvent


@dataclass(frozen=True)
class Run:
    """A plan and every pass over it: "7" with "7.resume.1", or "7.rollback.1" with "7.rollback.1.resume.1".

    `outcome` is that of the last pass: "done", "failed", or "open" when it broke off. `begun` is in the plan's order.
    `by` and `at` are who began it, and when (ISO time, UTC).
    """

    name: str
    plan: Plan
    passes: tuple[str, ...]
    outcome: Literal["done", "failed", "open"]
    begun: tuple[Begun, ...]
    by: str = ""
    at: str = ""

    @property
    def number(self) -> int:
        """The release that it makes or takes back."""
        return number_of(self.name)


@dataclass(frozen=True)
class State:
    """All that a journal tells. `standing` are the runs that no rollback has taken back, oldest first."""

    runs: tuple[Run, ...]
    standing: tuple[Run, ...]

    @property
    def open(self) -> Run | None:
        """The last run when it is not done: what a resume goes on with."""
        return self.runs[-1] if self.runs and self.runs[-1].outcome != "done" else None

    @property
    def releases(self) -> tuple[int, ...]:
        """The numbers of the finished deploys that stand, oldest first."""
        return tuple(run.number for run in self.standing if run.outcome == "done" and run.plan.intent == "deploy")


def number_of(run: str) -> int:
    """The release that a pass such as "7.rollback.1" belongs to."""
    return int(run.split(".", 1)[0])


def parse(text: str) -> tuple[Line, ...]:
    """The lines of a journal file.

    The last line may be torn or malformed: its writer died. One that breaks off further up is left out as well when
    the next belongs to another pass, because whoever came after the dead writer began a new one. Anything else is a
    Defect with the number of the line.
    """
    numbered = [(number, one) for number, one in enumerate(text.split("\n"), start=1) if one.strip()]
    lines: list[Line] = []
    torn: int | None = None
    for place, (number, one) in enumerate(numbered):
        try:
            line = line_from_json(json.loads(one))
        except ValueError as error:
            if place + 1 < len(numbered) and not _breaks_off(error, one):
                raise _unreadable(number) from error
            torn = number
            continue
        if torn is not None and lines and lines[-1].run == line.run:
            raise _unreadable(torn)
        torn = None
        lines.append(line)
    return tuple(lines)


def _breaks_off(error: ValueError, text: str) -> bool:
    """Whether JSON ends too early, as opposed to being wrong in the middle."""
    if not isinstance(error, json.JSONDecodeError) or not text.startswith("{"):
        return False
    return error.msg.startswith("Unterminated string") or error.pos >= len(text) - _LONGEST_LITERAL


def _unreadable(number: int) -> Defect:
    return Defect(f"line {number} of the journal cannot be read", where=Where("journal", number))


def read(home: Driver, drivers: Mapping[str, Driver]) -> State:
    """The state of a target from the journals of all its sites; the plans are in the one of `home`."""
    lines = list(home.journal())
    for site in sorted(drivers):
        if drivers[site] is not home:
            lines += drivers[site].journal()
    return fold(lines)


def fold(lines: Iterable[Line]) -> State:
    """The state that lines lead to; lines of several sites may follow one another, and copies do no harm."""
    lines = tuple(lines)
    passes: dict[str, dict[str, Line]] = {}
    for line in lines:
        if line.event == "plan":
            passes.setdefault(_root(line.run), {}).setdefault(line.run, line)
    outcomes = {line.run: line.outcome for line in lines if line.event == "ended"}
    begun = _begun(lines)
    if orphans := begun.keys() - passes.keys():
        raise Defect(f"the journal has steps of run {min(orphans)}, and no plan of it")
    runs = tuple(_run(root, plans, outcomes, begun.get(root, {})) for root, plans in passes.items())
    return State(runs, _standing(runs))


def pass_name(state: State, plan: Plan) -> str:
    """What the next pass of the engine is called. Raises StalePlan when the number of a release is taken already."""
    if plan.intent == "resume":
        if state.open is None:
            raise StalePlan("nothing is left to resume", hint="towline status")
        return f"{state.open.name}{_RESUME}{len(state.open.passes)}"
    if plan.intent == "rollback":
        if not state.standing:
            raise StalePlan("nothing is left to take back", hint="towline status")
        start = f"{state.standing[-1].number}{_ROLLBACK}"
        return f"{start}{1 + sum(run.name.startswith(start) for run in state.runs)}"
    if any(run.number >= plan.release for run in state.runs):
        raise StalePlan(f"release {plan.release} was begun by somebody else meanwhile", hint="towline plan")
    return str(plan.release)


def _root(run: str) -> str:
    return run.split(_RESUME, 1)[0]


def _begun(lines: tuple[Line, ...]) -> dict[str, dict[tuple[int, str, int], Begun]]:
    begun: dict[str, dict[tuple[int, str, int], Begun]] = {}
    for line in lines:
        if line.step is None:
            continue
        steps = begun.setdefault(_root(line.run), {})
        place = (line.stage, line.site, line.index)
        first = steps.get(place)
        if first is None and line.event != "began":
            continue  # it failed before it began, so there is nothing to take back
        before = (line.before or {}) if first is None else first.before
        steps[place] = Begun(line.site, line.stage, line.index, line.step, before, line.event)
    return begun


def _run(root: str, plans: dict[str, Line], outcomes: dict[str, str], begun: dict[tuple[int, str, int], Begun]) -> Run:
    seen = outcomes.get(list(plans)[-1])
    outcome: Literal["done", "failed", "open"] = "done" if seen == "done" else "failed" if seen else "open"
    plan = plan_from_json(plans[root].plan or {}) if root in plans else None
    if plan is None:
        raise Defect(f"the journal has a resume of run {root}, and no plan of it")
    first = plans[root]
    return Run(
        root, plan, tuple(plans), outcome, tuple(begun[place] for place in sorted(begun)), by=first.by, at=first.at
    )


def _standing(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    standing: list[Run] = []
    for run in runs:
        if run.plan.intent != "rollback":
            standing.append(run)
        elif run.outcome == "done":
            standing = [one for one in standing if one.number <= run.plan.release]
    return tuple(standing)
