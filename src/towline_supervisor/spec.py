"""What one process is and how it is kept: plain frozen values without behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field

OWN_NAME = "supervisor"
"""The name under which the supervisor itself speaks; no process may take it."""


@dataclass(frozen=True, slots=True)
class HttpReady:
    """Ready when a GET of this address is answered with `status`."""

    url: str
    host: str
    port: int
    path: str
    header: str
    status: int
    within: float
    owned: bool


@dataclass(frozen=True, slots=True)
class TcpReady:
    """Ready when this address accepts a connection."""

    host: str
    port: int
    within: float
    owned: bool


@dataclass(frozen=True, slots=True)
class CommandReady:
    """Ready when this command ends with 0."""

    command: tuple[str, ...]
    within: float


@dataclass(frozen=True, slots=True)
class SettledReady:
    """Ready when it has lived this many seconds."""

    after: float


Ready = HttpReady | TcpReady | CommandReady | SettledReady


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds between restarts: `first`, times `factor` each, at most `most`; forgotten after `reset_after` up."""

    first: float = 0.5
    factor: float = 2.0
    most: float = 30.0
    reset_after: float = 60.0


@dataclass(frozen=True, slots=True)
class GiveUp:
    """A crash loop is `times` ends within `within` seconds."""

    times: int = 5
    within: float = 60.0


@dataclass(frozen=True, slots=True)
class Stop:
    """The polite signal (name without SIG), the seconds it has, and whether the whole group gets it."""

    signal: str = "TERM"
    within: float = 10.0
    group: bool = False


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process to run; two specs are equal when they would be run the same way.

    `hold` is an address at which connections wait, until somebody says that it may have them; they are led to the
    address at which it gets ready.
    `given` is the table it was read from, as canonical JSON; it is kept for the digest and for showing it again.
    """

    name: str
    command: tuple[str, ...]
    ready: Ready
    cwd: str | None = None
    env_file: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    after: tuple[str, ...] = ()
    restart: str = "always"
    backoff: Backoff = Backoff()
    give_up: GiveUp = GiveUp()
    stop: Stop = Stop()
    vital: bool = False
    memory: int | None = None
    hold: tuple[str, int] | None = None
    labels: tuple[tuple[str, str], ...] = ()
    given: str = field(default="{}", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Procfile:
    """A whole TOML file: the processes in the order they are to start, and what holds for all of them."""

    name: str
    banner: tuple[str, ...]
    processes: tuple[ProcessSpec, ...]
    memory: int | None


class SpecErrors(Exception):
    """Every mistake of a process table or a file, each as (path, sentence)."""

    def __init__(self, mistakes: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{where}: {sentence}" for where, sentence in mistakes))
        self.mistakes = tuple(mistakes)
