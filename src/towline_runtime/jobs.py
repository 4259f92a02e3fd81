"""Kinds of jobs: typed functions with their options, and the registry that a worker serves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, Protocol, TypeVar, get_args, overload

from towline_runtime.errors import KindInvalid
from towline_runtime.logs import correlation
from towline_runtime.outbox import Enqueue
from towline_runtime.payload import Payload, result_text
from towline_runtime.retry import LONGEST, Backoff

if TYPE_CHECKING:
    from towline_runtime.running import Running

P = ParamSpec("P")
R = TypeVar("R")
Runs = Literal["async", "thread", "process"]
Function = Callable[Concatenate["Running", P], R | Awaitable[R]]

HIGH, NORMAL, LOW = 1, 0, -1
_SURROGATE = re.compile(r"[\ud800-\udfff]")  # half a character, which UTF-8 does not have


@dataclass(frozen=True)
class Options:
    """What may be said of a kind, and with `Kind.with_` of one job of it. Times are seconds.

    `limit` ends an attempt that takes longer (None: no limit). `max_job` is how long a running job may go on after
    the worker was told to stop. `concurrency` is the most jobs of the kind that one worker process runs at once.
    `version` belongs to the payload: a worker that knows only lower versions leaves the job to a newer one.
    """

    queue: str = "default"
    priority: int = NORMAL
    delay: float = 0.0
    attempts: int = 5
    backoff: Backoff = field(default_factory=Backoff)
    limit: float | None = None
    max_job: float = 30.0
    concurrency: int | None = None
    version: int = 1
    key: str | None = None
    lane: str | None = None

    def __post_init__(self) -> None:
        """Raise KindInvalid for everything that the database or a worker would refuse later."""
        wrong = [sentence for right, sentence in self._rules() if not right]
        if wrong:
            raise KindInvalid(f"These options cannot be: {'; '.join(wrong)}")

    def _rules(self) -> list[tuple[bool, str]]:
        return [
            (_is_text(self.queue, 200), f"queue {self.queue!r}: a text of 1 to 200 characters"),
            (self.key is None or _is_text(self.key, 500), "key: a text of 1 to 500 characters, or none"),
            (self.lane is None or _is_text(self.lane, 500), "lane: a text of 1 to 500 characters, or none"),
            (self.priority in {HIGH, NORMAL, LOW}, f"priority {self.priority}: 1 (high), 0 or -1 (low)"),
            (0 <= self.delay <= LONGEST, f"delay {self.delay}: 0 to {LONGEST:.0f} seconds"),
            (0 < self.attempts < 2**31, f"attempts {self.attempts}: 1 or more"),
            (0 < self.version < 2**31, f"version {self.version}: 1 or more"),
            (self.limit is None or self.limit > 0, f"limit {self.limit}: more than 0 seconds, or none"),
            (self.max_job >= 0, f"max_job {self.max_job}: 0 seconds or more"),
            (self.concurrency is None or self.concurrency > 0, f"concurrency {self.concurrency}: 1 or more, or none"),
        ]


@dataclass(frozen=True)
class Kind(Generic[P, R]):
    """A typed function that a worker runs; made by `Jobs.kind`."""

    name: str
    function: Function[P, R]
    options: Options
    runs: Runs
    payload: Payload

    def with_(
        self,
        *,
        delay: float | timedelta | None = None,
        key: str | None = None,
        lane: str | None = None,
        priority: int | None = None,
        attempts: int | None = None,
        queue: str | None = None,
    ) -> Kind[P, R]:
        """The same kind with other options for the next job.

        `key` makes the job idempotent: a second one with the same kind and key is not added, the first is given back.
        `lane` keeps the doorbells of its jobs in order. Raises KindInvalid for values that cannot be.
        """
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        given: dict[str, Any] = {
            "delay": seconds,
            "key": key,
            "lane": lane,
            "priority": priority,
            "attempts": attempts,
            "queue": queue,
        }
        return replace(self, options=replace(self.options, **{k: v for k, v in given.items() if v is not None}))

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Enqueue:
        """The statement that adds a job in the caller's own transaction; raises PayloadInvalid."""
        options = self.options
        return Enqueue(
            kind=self.name,
            version=options.version,
            queue=options.queue,
            priority=options.priority,
            payload=self.pack(*args, **kwargs),
            key=options.key,
            lane=options.lane,
            correlation_id=correlation(),
            attempts=options.attempts,
            delay=options.delay,
        )

    def pack(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Arguments as the JSON text of a payload; raises PayloadInvalid."""
        return self.payload.pack(args, kwargs)

    def unpack(self, payload: str) -> dict[str, Any]:
        """Arguments from a payload, validated; raises PayloadInvalid."""
        return self.payload.unpack(payload)

    def result(self, value: Any) -> str | None:
        """What the function returned, as JSON text; raises PayloadInvalid."""
        return result_text(self.name, value)


class Declare(Protocol):
    """What `Jobs.kind` gives: a decorator that keeps the types of the function's arguments and of its result."""

    @overload
    def __call__(self, function: Callable[Concatenate[Running, P], Awaitable[R]], /) -> Kind[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Running, P], R], /) -> Kind[P, R]: ...


class Jobs:
    """The kinds that an app has; declare them at import time and hand this to the worker."""

    def __init__(self) -> None:
        self._kinds: dict[str, Kind[..., Any]] = {}

    def kind(self, name: str, *, runs: Runs | None = None, **options: Any) -> Declare:
        """Declare a kind: `@jobs.kind("resize", queue="images", attempts=3, limit=60, max_job=60)`.

        `runs` is where the function runs: `async` in the event loop, `thread`, or `process` for work that holds the
        interpreter; by default `async` for a coroutine function and `thread` for any other. Options are the fields
        of Options. Raises KindInvalid.
        """
        unknown = set(options) - set(Options.__dataclass_fields__)
        if unknown:
            raise KindInvalid(f"`{name}` has no option {', '.join(sorted(unknown))}", f"options: {_options()}")

        def declare(function: Any) -> Any:  # typed by Declare
            self._check(name, function, runs or _runs(function))
            made = Kind(name, function, Options(**options), runs or _runs(function), Payload(name, function))
            self._kinds[name] = made
            return made

        return declare

    def __getitem__(self, name: str) -> Kind[..., Any]:
        return self._kinds[name]

    def __contains__(self, name: str) -> bool:
        return name in self._kinds

    def __iter__(self) -> Any:
        return iter(self._kinds.values())

    @property
    def queues(self) -> tuple[str, ...]:
        """Queues that the declared kinds use, sorted."""
        return tuple(sorted({kind.options.queue for kind in self._kinds.values()}))

    def _check(self, name: str, function: Callable[..., Any], runs: Runs) -> None:
        if not _is_text(name, 200):
            raise KindInvalid(f"{name!r} cannot be the name of a kind", "use 1 to 200 characters")
        if name in self._kinds:
            raise KindInvalid(f"Two functions are declared as `{name}`")
        parameters = list(inspect.signature(function).parameters.values())
        spread = [one for one in parameters if one.kind in {one.VAR_POSITIONAL, one.VAR_KEYWORD}]
        unnamed = [one for one in parameters[1:] if one.kind is one.POSITIONAL_ONLY]
        first = parameters[0].kind if parameters else inspect.Parameter.KEYWORD_ONLY
        if spread or unnamed or first is inspect.Parameter.KEYWORD_ONLY:
            raise KindInvalid(
                f"The function of `{name}` needs the running job first and then named parameters",
                f"async def {getattr(function, '__name__', name)}(job: Running, photo: str) -> None: ...",
            )
        _check_runs(name, function, runs)


def _check_runs(name: str, function: Callable[..., Any], runs: Runs) -> None:
    if runs not in get_args(Runs):
        raise KindInvalid(f"`{name}` cannot run in {runs!r}", f"one of {', '.join(get_args(Runs))}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise KindInvalid(f"The function of `{name}` yields", "report what comes with job.progress(...)")
    if runs == "async" and not _is_async(function):
        raise KindInvalid(f"`{name}` runs async but its function is not `async def`", 'runs="thread"')
    if runs != "async" and _is_async(function):
        raise KindInvalid(f"`{name}` runs in a {runs} but its function is `async def`", 'runs="async"')


def _runs(function: Callable[..., Any]) -> Runs:
    return "async" if _is_async(function) else "thread"


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004  # an object may be called too


def _is_text(value: object, most: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most and "\0" not in value and not _SURROGATE.search(value)


def _options() -> str:
    return ", ".join(Options.__dataclass_fields__)
