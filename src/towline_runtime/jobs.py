"""Kinds of jobs: typed functions with their options, and the registry that a worker serves."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from towline_runtime.errors import KindInvalid, PayloadInvalid
from towline_runtime.logs import correlation
from towline_runtime.outbox import Enqueue
from towline_runtime.retry import Backoff

if TYPE_CHECKING:
    from towline_runtime.running import Running

P = ParamSpec("P")
R = TypeVar("R")
Runs = Literal["async", "thread", "process"]
Function = Callable[Concatenate["Running", P], R | Awaitable[R]]

HIGH, NORMAL, LOW = 1, 0, -1


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


@dataclass(frozen=True)
class Kind(Generic[P, R]):
    """A typed function that a worker runs; made by `Jobs.kind`."""

    name: str
    function: Function[P, R]
    options: Options
    runs: Runs

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
        `lane` keeps the doorbells of its jobs in order.
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
        try:
            bound = self._signature.bind(*args, **kwargs)
            return self._payload.model_validate(bound.arguments).model_dump_json()
        except (TypeError, ValidationError) as error:
            raise PayloadInvalid(
                f"These arguments do not fit `{self.name}`: {error}", f"it takes {self._signature}"
            ) from error

    def unpack(self, payload: str) -> dict[str, Any]:
        """Arguments from a payload, validated; raises PayloadInvalid."""
        try:
            packed = self._payload.model_validate_json(payload)
        except ValidationError as error:
            raise PayloadInvalid(f"The payload does not fit `{self.name}`: {error}") from error
        return {name: getattr(packed, name) for name in type(packed).model_fields}

    def result(self, value: Any) -> str | None:
        """What the function returned, as JSON text."""
        return None if value is None else _ANYTHING.dump_json(value).decode()

    @cached_property
    def _signature(self) -> inspect.Signature:
        signature = inspect.signature(self.function, eval_str=True)
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    @cached_property
    def _payload(self) -> type[BaseModel]:
        fields: dict[str, Any] = {
            one.name: (
                Any if one.annotation is inspect.Parameter.empty else one.annotation,
                ... if one.default is inspect.Parameter.empty else one.default,
            )
            for one in self._signature.parameters.values()
        }
        return create_model(self.name, __config__=ConfigDict(extra="forbid", protected_namespaces=()), **fields)


_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


class Jobs:
    """The kinds that an app has; declare them at import time and hand this to the worker."""

    def __init__(self) -> None:
        self._kinds: dict[str, Kind[..., Any]] = {}

    def kind(self, name: str, *, runs: Runs | None = None, **options: Any) -> Callable[[Function[P, R]], Kind[P, R]]:
        """Declare a kind: `@jobs.kind("resize", queue="images", attempts=3, limit=60, max_job=60)`.

        `runs` is where the function runs: `async` in the event loop, `thread`, or `process` for work that holds the
        interpreter; by default `async` for a coroutine function and `thread` for any other. Options are the fields
        of Options. Raises KindInvalid.
        """
        unknown = set(options) - set(Options.__dataclass_fields__)
        if unknown:
            raise KindInvalid(f"`{name}` has no option {', '.join(sorted(unknown))}", f"options: {_options()}")

        def declare(function: Function[P, R]) -> Kind[P, R]:
            made = Kind(name, function, Options(**options), runs or _runs(function))
            self._check(made)
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

    def _check(self, made: Kind[..., Any]) -> None:
        if made.name in self._kinds:
            raise KindInvalid(f"Two functions are declared as `{made.name}`")
        parameters = list(inspect.signature(made.function).parameters.values())
        spread = [one for one in parameters if one.kind in {one.VAR_POSITIONAL, one.VAR_KEYWORD, one.POSITIONAL_ONLY}]
        if not parameters or spread:
            raise KindInvalid(
                f"The function of `{made.name}` needs the running job first and then named parameters",
                f"async def {getattr(made.function, '__name__', made.name)}(job: Running, photo: str) -> None: ...",
            )
        if made.runs == "async" and not inspect.iscoroutinefunction(made.function):
            raise KindInvalid(f"`{made.name}` runs async but its function is not `async def`", 'runs="thread"')
        if made.runs != "async" and inspect.iscoroutinefunction(made.function):
            raise KindInvalid(f"`{made.name}` runs in a {made.runs} but its function is `async def`", 'runs="async"')


def _runs(function: Callable[..., Any]) -> Runs:
    return "async" if inspect.iscoroutinefunction(function) else "thread"


def _options() -> str:
    return ", ".join(Options.__dataclass_fields__)
