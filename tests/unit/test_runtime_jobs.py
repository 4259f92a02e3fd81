"""Declarations of kinds, and what becomes of arguments on their way to the worker."""

from __future__ import annotations

import enum
import functools
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from towline_runtime.errors import KindInvalid, PayloadInvalid
from towline_runtime.jobs import HIGH, Jobs, Kind, Options
from towline_runtime.logs import correlated
from towline_runtime.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline_runtime.running import Running


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Size:
    width: int
    height: int = 600


class Style(BaseModel):
    name: str
    strength: float = 1.0


async def paint(
    job: Running, photo: str, size: Size, colour: Colour = Colour.RED, *, at: datetime | None = None
) -> str:
    """Stand for a typical function of an app: the type of `job` is known to the type checker only."""
    raise NotImplementedError


def declared(function: Callable[..., Any], **options: Any) -> Kind[..., Any]:
    """One kind of a registry of its own."""
    return Jobs().kind("paint", **options)(function)


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_arguments_arrive_as_they_were_given() -> None:
    """Positional, keyword and left out: dataclasses, enums and datetimes come back as such, defaults filled in."""
    kind = declared(paint)
    assert kind.unpack(kind.pack("a.jpg", Size(800), at=NOON)) == {
        "photo": "a.jpg",
        "size": Size(800, 600),
        "colour": Colour.RED,
        "at": NOON,
    }
    assert kind.pack("a.jpg", Size(1, 2), Colour.BLUE) == kind.pack(colour=Colour.BLUE, size=Size(1, 2), photo="a.jpg")


def test_types_of_all_sorts() -> None:
    """What apps use in arguments survives the way."""

    async def store(
        job: Running,
        *,
        order: UUID,
        price: Decimal,
        day: date,
        span: timedelta,
        tags: set[str],
        raw: bytes,
        style: Style,
        ratio: float,
        amount: Annotated[int, Field(ge=0)],
        rest: Any = None,
    ) -> None:
        raise NotImplementedError

    given: dict[str, Any] = {
        "order": UUID(int=7),
        "price": Decimal("19.99"),
        "day": date(2026, 3, 1),
        "span": timedelta(hours=36, microseconds=5),
        "tags": {"a", "b"},
        "raw": b"\x00\xff\xfe",
        "style": Style(name="noir"),
        "ratio": math.inf,
        "amount": 3,
        "rest": {"deep": [1, None, "x"]},
    }
    kind = declared(store)
    assert kind.unpack(kind.pack(**given)) == given


@given(
    st.text(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False),
    st.binary(),
    st.dictionaries(st.text(), st.text()),
)
def test_any_value_survives_or_is_refused(
    text: str, whole: int, broken: float, raw: bytes, more: dict[str, str]
) -> None:
    """Nothing is changed silently on its way."""

    async def keep(job: Running, text: str, whole: int, broken: float, raw: bytes, more: dict[str, str]) -> None:
        raise NotImplementedError

    kind = declared(keep)
    if any("\0" in one for one in (text, *more, *more.values())):
        with pytest.raises(PayloadInvalid, match="NUL"):
            kind.pack(text, whole, broken, raw, more)
    else:
        came = kind.unpack(kind.pack(text, whole, broken, raw, more))
        assert came == {"text": text, "whole": whole, "broken": broken, "raw": raw, "more": more}


def test_a_backslash_is_not_a_nul() -> None:
    r"""The six characters \u0000 are text like any other; a NUL after a backslash is one."""

    async def keep(job: Running, text: str) -> None:
        raise NotImplementedError

    kind = declared(keep)
    assert kind.unpack(kind.pack("\\u0000"))["text"] == "\\u0000"
    with pytest.raises(PayloadInvalid, match="NUL"):
        kind.pack("\\\0")


def test_parameters_may_have_any_name() -> None:
    """Names that mean something to the validator are ordinary names here."""

    async def odd(job: Running, schema: int, copy: str, model_config: int, _quiet: bool, json: str = "j") -> None:
        raise NotImplementedError

    kind = declared(odd)
    text = kind.pack(1, "c", 2, _quiet=True)
    assert text == '{"schema":1,"copy":"c","model_config":2,"_quiet":true,"json":"j"}'
    assert kind.unpack(text) == {"schema": 1, "copy": "c", "model_config": 2, "_quiet": True, "json": "j"}


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "missing a required argument: 'photo'"),
        (("a", Size(1), Colour.RED, NOON), {}, "too many positional arguments"),
        (("a", Size(1)), {"colr": "red"}, "unexpected keyword argument 'colr'"),
        (("a", Size(1)), {"colour": "green"}, "colour: Input should be 'red' or 'blue'"),
        (("a", {"width": "wide"}), {}, "size.width: Input should be a valid integer"),
        ((b"\xff", Size(1)), {}, "photo: Input should be a valid string"),
        (("\ud800", Size(1)), {}, "surrogates not allowed"),
    ],
)
def test_arguments_that_do_not_fit(args: tuple[Any, ...], kwargs: dict[str, Any], said: str) -> None:
    """They are refused where the job is added, by name, with what the function takes."""
    with pytest.raises(PayloadInvalid) as caught:
        declared(paint).pack(*args, **kwargs)
    assert said in caught.value.sentence
    assert "photo: str" in caught.value.hint


def test_objects_that_are_no_json() -> None:
    """An argument without a type is taken if it can be written as JSON."""

    async def anything(job: Running, thing) -> None:  # type: ignore[no-untyped-def]  # as some apps write
        raise NotImplementedError

    kind = declared(anything)
    assert kind.unpack(kind.pack({"a": [1, 2.5]})) == {"thing": {"a": [1, 2.5]}}
    with pytest.raises(PayloadInvalid, match="object"):
        kind.pack(object())


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ('{"photo": "a", "size": {"width": 1}, "extra": 1}', "extra: Extra inputs are not permitted"),
        ('{"photo": "a"}', "size: Field required"),
        ('{"photo": 5, "size": {"width": 1}}', "photo: Input should be a valid string"),
        ("[1]", "Input should be an object"),
        ("", "Invalid JSON"),
    ],
)
def test_payloads_that_do_not_fit(payload: str, said: str) -> None:
    """A payload of another version or another hand is refused with all that is wrong."""
    with pytest.raises(PayloadInvalid, match=said):
        declared(paint).unpack(payload)


def test_what_was_given_is_not_repeated() -> None:
    """Errors go into logs and rows: they name the field and never show its value."""
    kind = declared(paint)
    for wrong in (lambda: kind.unpack('{"photo": {"secret": "hunter2"}}'), lambda: kind.pack({"secret": "hunter2"}, 1)):
        with pytest.raises(PayloadInvalid) as caught:
            wrong()
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in repr(caught.value.__cause__)


def test_results() -> None:
    """What functions return is written as JSON; nothing as nothing; the rest is refused with the kind's name."""
    kind = declared(paint)
    assert kind.result(None) is None
    assert (
        kind.result({"size": Size(1, 2), "at": NOON}) == '{"size":{"width":1,"height":2},"at":"2026-03-01T12:00:00Z"}'
    )
    assert kind.result(b"\xff") == '"_w=="'
    for wrong in (object(), "\0", "\ud800"):
        with pytest.raises(PayloadInvalid, match="result of `paint`"):
            kind.result(wrong)


def test_a_statement_carries_all_options() -> None:
    """What was declared, what `with_` changed and the correlation id of the request are in the job."""
    kind = declared(paint, queue="images", attempts=3, priority=HIGH, version=2, delay=5)
    with correlated("req-1"):
        job = kind.with_(key="k", lane="l", delay=timedelta(minutes=1), queue="slow").enqueue("a.jpg", Size(1))
    assert (job.kind, job.queue, job.version, job.priority) == ("paint", "slow", 2, HIGH)
    assert (job.key, job.lane, job.correlation_id, job.attempts, job.delay) == ("k", "l", "req-1", 3, 60.0)
    assert kind.enqueue("a.jpg", Size(1)).delay == 5
    assert kind.with_(delay=0).enqueue("a.jpg", Size(1)).delay == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"queue": ""}, "queue ''"),
        ({"queue": "a\0b"}, "queue"),
        ({"key": ""}, "key"),
        ({"key": "k" * 501}, "key"),
        ({"lane": "\ud800"}, "lane"),
        ({"priority": 2}, "priority 2"),
        ({"delay": -1}, "delay -1"),
        ({"delay": math.nan}, "delay nan"),
        ({"delay": math.inf}, "delay inf"),
        ({"attempts": 0}, "attempts 0"),
        ({"version": 0}, "version 0"),
        ({"limit": 0}, "limit 0"),
        ({"max_job": -1}, "max_job -1"),
        ({"concurrency": 0}, "concurrency 0"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    """What the database would refuse in the caller's transaction is refused before."""
    with pytest.raises(KindInvalid, match=said):
        Options(**options)


def test_all_options_at_once() -> None:
    """Two mistakes are told together."""
    with pytest.raises(KindInvalid, match=r"attempts 0.*limit -1"):
        declared(paint, attempts=0, limit=-1)


def test_an_unknown_option_is_named_with_the_known() -> None:
    """A misspelt option is an error where it is written."""
    with pytest.raises(KindInvalid, match="no option retries") as caught:
        Jobs().kind("paint", retries=3)
    assert "attempts" in caught.value.hint


def test_two_of_a_name() -> None:
    """A worker could not know which to run."""
    jobs = Jobs()
    jobs.kind("paint")(paint)
    with pytest.raises(KindInvalid, match="Two functions are declared as `paint`"):
        jobs.kind("paint")(paint)


@pytest.mark.parametrize("name", ["", "x" * 201, "a\0b"])
def test_names_that_cannot_be(name: str) -> None:
    """A name is kept as text in a row."""
    with pytest.raises(KindInvalid, match="cannot be the name"):
        Jobs().kind(name)(paint)


def no_parameters() -> None: ...
def spread(job: Running, *photos: str) -> None: ...
def more(job: Running, **photos: str) -> None: ...
def unnamed(job: Running, photo: str, /) -> None: ...
def no_job(*, photo: str) -> None: ...


@pytest.mark.parametrize("function", [no_parameters, spread, more, unnamed, no_job])
def test_functions_that_cannot_be_kinds(function: Callable[..., Any]) -> None:
    """The job comes first, and each argument has a name: the payload is an object."""
    with pytest.raises(KindInvalid, match="needs the running job first"):
        declared(function)


def test_the_running_job_may_be_positional_only() -> None:
    """Nobody passes it by name."""

    def positional(job: Running, /, photo: str) -> None:
        raise NotImplementedError

    assert declared(positional).pack(photo="a") == '{"photo":"a"}'


class Called:
    async def __call__(self, job: Running, size: Size) -> None:
        raise NotImplementedError


def plain(job: Running, size: Size) -> None: ...
async def stream(job: Running) -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "runs"),
    [(paint, "async"), (plain, "thread"), (Called(), "async"), (functools.partial(plain), "thread")],
)
def test_where_a_function_runs(function: Callable[..., Any], runs: str) -> None:
    """A coroutine function in the loop, any other in a thread; types of their arguments are found all the same."""
    kind = declared(function)
    assert kind.runs == runs
    assert "size" in kind.payload.unpack(
        '{"photo": "a", "size": {"width": 1}}' if runs == "async" and function is paint else '{"size": {"width": 1}}'
    )


@pytest.mark.parametrize(
    ("function", "runs", "said"),
    [
        (plain, "async", "not `async def`"),
        (paint, "thread", "runs in a thread but"),
        (paint, "process", "runs in a process but"),
        (plain, "fibre", "cannot run in 'fibre'"),
        (stream, None, "yields"),
    ],
)
def test_functions_that_cannot_run_there(function: Callable[..., Any], runs: Any, said: str) -> None:
    """A mistake is told at the declaration, not by a job that never ends."""
    with pytest.raises(KindInvalid, match=said):
        declared(function, runs=runs)


def test_types_that_cannot_be_payloads() -> None:
    """Neither a class that nobody can write as JSON, nor a name that is not there when the app runs."""

    async def opaque(job: Running, thing: Jobs) -> None:
        raise NotImplementedError

    async def absent(job: Running, thing: Missing) -> None:  # type: ignore[name-defined]  # noqa: F821  # on purpose
        raise NotImplementedError

    with pytest.raises(KindInvalid, match="cannot be a payload"):
        declared(opaque)
    with pytest.raises(KindInvalid, match="'Missing' is not defined"):
        declared(absent)


def test_the_registry() -> None:
    """Kinds by name, in order of declaration; the queues they use, sorted."""
    jobs = Jobs()
    first = jobs.kind("paint", queue="slow", backoff=Backoff(first=9))(paint)
    second = jobs.kind("plain", queue="fast")(plain)
    assert jobs["paint"] is first
    assert "plain" in jobs
    assert "other" not in jobs
    assert list(jobs) == [first, second]
    assert jobs.queues == ("fast", "slow")
    assert first.options.backoff.first == 9
