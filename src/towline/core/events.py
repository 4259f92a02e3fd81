"""What happens while Towline works, as typed values; whoever shows it passes a Listener down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StageBegan:
    """A stage of a plan starts: its place among all stages (1-based) and its name."""

    number: int
    of: int
    name: str


@dataclass(frozen=True)
class StepBegan:
    """A step starts on a site."""

    site: str
    title: str


@dataclass(frozen=True)
class StepDone:
    """A step is done; `already` says that nothing had to be changed; `saw` is what was observed."""

    site: str
    title: str
    already: bool
    seconds: float
    saw: str = ""


@dataclass(frozen=True)
class StepBroke:
    """A step failed; the error follows as the outcome of the run."""

    site: str
    title: str
    sentence: str
    evidence: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Progressed:
    """A line of a long step's own output, an installation for example."""

    site: str
    title: str
    line: str


@dataclass(frozen=True)
class Noted:
    """Something a person should know now."""

    sentence: str


Event = StageBegan | StepBegan | StepDone | StepBroke | Progressed | Noted
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The Listener of whoever does not want to know."""
    del event
