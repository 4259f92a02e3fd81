"""Log lines: one JSON object each, with the correlation id, and without a single secret."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from towline_runtime.jobs import Jobs
from towline_runtime.logs import JsonLines, correlated, correlation, install
from towline_runtime.redaction import HIDDEN, Redactor
from towline_runtime.request_log import RequestLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline_runtime.asgi import Message, Receive, Scope, Send

SECRETS = [
    ("postgresql://app:s3cr3t/with@sign@db:5432/x failed", "s3cr3t"),
    ("redis://:s3cr3t@cache", "s3cr3t"),
    ("posting to https://s3cr3tkey@errors.test/1", "s3cr3tkey"),
    ("Authorization: Bearer s3cr3t.token-1", "s3cr3t"),
    ("authorization=Basic YXBwOnMzY3IzdA==", "YXBwOnMzY3IzdA"),
    ("sent basic YXBwOnMzY3IzdA", "YXBwOnMzY3IzdA"),
    ('{"password": "s3cr3t word", "n": 1}', "s3cr3t"),
    ("host=db password=s3cr3t user=app", "s3cr3t"),
    ("GET /a?X-Amz-Signature=s3cr3t&x=1", "s3cr3t"),
    ("key AKIAIOSFODNN7EXAMPLE was used", "AKIAIOSFODNN7EXAMPLE"),
    ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.s3cr3tsignature", "s3cr3tsignature"),
    ("pushed with ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abc"),
    ("-----BEGIN PRIVATE KEY-----\nMIIs3cr3t\n-----END PRIVATE KEY-----", "MIIs3cr3t"),
    ("exactly my-own-known-secret here", "my-own-known-secret"),
]
HARMLESS = [
    "basic authentication failed for user app",
    "http://media:8333/app/pictures/1.jpg?part=2 answered 404",
    "duplicate key value violates unique constraint (kind, key)=(resize, 7)",
    "job 7 took token 12 of lease relay",
    "mail ada@example.com",
]


@pytest.fixture
def lines() -> Iterator[Lines]:
    found = Lines()
    yield found
    found.close()


class Lines:
    """A logger of its own that writes JSON lines into memory."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(JsonLines("tests", Redactor(["my-own-known-secret"])))
        self.logger = logging.getLogger("towline_runtime")
        self.logger.addHandler(handler)
        self.logger.setLevel(logging.DEBUG)
        self._handler = handler

    def close(self) -> None:
        self.logger.removeHandler(self._handler)
        self.logger.setLevel(logging.NOTSET)

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.all[-1]

    @property
    def text(self) -> str:
        return self._stream.getvalue()


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_no_secret_leaves_in_any_way(lines: Lines, text: str, secret: str) -> None:
    """Not in a message, an argument, a field, nested in a field, or in the text of an exception."""
    lines.logger.error(text)
    lines.logger.error("said %s", text)
    lines.logger.error("field", extra={"answer": text, "more": {"deep": [{"er": text}]}})
    try:
        int(text)
    except ValueError as error:
        lines.logger.exception("failed", extra={"cause": error})
    assert HIDDEN in lines.text
    assert secret not in lines.text
    assert lines.last["error"] == "ValueError"


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """Redaction that eats ordinary words makes logs useless."""
    assert Redactor().text(text) == text


@pytest.mark.parametrize("name", ["password", "API_KEY", "set-cookie", "clientSecret", "session_id", "access_token"])
def test_fields_are_hidden_by_their_name(lines: Lines, name: str) -> None:
    """Whatever the value looks like."""
    lines.logger.info("in", extra={"headers": {name: "harmless"}, name: "harmless"})
    assert lines.last[name] == lines.last["headers"][name] == HIDDEN


def test_the_shape_of_a_line(lines: Lines) -> None:
    """Time in UTC, level in one of four words, service, logger, message, extra fields; a line's own names win."""
    lines.logger.warning("two\nlines \ud83d", extra={"job": 7, "ok": True, "token": 3, "service": "a lie", "b": b"12"})
    line = lines.last
    assert line["timestamp"].endswith("Z")
    assert len(line["timestamp"]) == len("2026-01-01T00:00:00.000Z")
    assert (line["level"], line["service"], line["logger"]) == ("warn", "tests", "towline_runtime")
    assert line["message"] == "two\nlines \ud83d"
    assert (line["job"], line["ok"], line["token"], line["b"]) == (7, True, 3, "<2 bytes>")
    assert "correlation_id" not in line


def test_a_long_text_loses_its_middle(lines: Lines) -> None:
    """The end of a traceback says what happened."""
    lines.logger.info("begin%send", "x" * 100_000)
    assert len(lines.last["message"]) < 17_000
    assert lines.last["message"].startswith("begin")
    assert lines.last["message"].endswith("end")


@pytest.mark.parametrize(
    "piece", ["x", "x.", "a://b:", "eyJ", "-eyJaaaaa.", "secret", "password ", "basic ", "http://"]
)
@pytest.mark.timeout(10)
def test_no_text_takes_long(piece: str) -> None:
    """Text that somebody sent in cannot keep the process busy: without bounds some of these took ten seconds."""
    assert Redactor(["my-own-known-secret"]).text(piece * (16_000 // len(piece)))


def test_the_correlation_id_goes_into_lines_and_jobs(lines: Lines) -> None:
    """What is logged or enqueued inside carries it, and nothing outside."""
    jobs = Jobs()

    @jobs.kind("noted")
    async def noted(job: Any) -> None: ...

    with correlated("request-1"):
        lines.logger.info("inside")
        inside = noted.enqueue()
    assert lines.last["correlation_id"] == inside.correlation_id == "request-1"
    assert correlation() is None
    assert noted.enqueue().correlation_id is None


def serve(app: Any, *, path: str = "/things", headers: dict[str, str] | None = None) -> list[Message]:
    sent: list[Message] = []
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"key=s3cr3t", "headers": pairs}

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


async def made(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-request-id", b"the app's own")]})
    await send({"type": "http.response.body", "body": (correlation() or "").encode()})


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise ConnectionError("postgres://app:s3cr3t@db is away")


def test_a_request_is_one_line_with_its_id(lines: Lines) -> None:
    """A good id is taken, bound, answered and logged; the query is not in the line."""
    start, body = serve(RequestLog(made), headers={"x-request-id": "abc-123"})
    assert start["headers"] == [(b"x-request-id", b"abc-123")]
    assert body["body"] == b"abc-123"
    line = lines.last
    assert (line["method"], line["path"], line["status"], line["level"]) == ("GET", "/things", 201, "info")
    assert line["request_id"] == line["correlation_id"] == "abc-123"
    assert line["ms"] >= 0
    assert "s3cr3t" not in lines.text


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, 'a"b', "a\nb", "caf\xe9", "a\n"])
def test_a_bad_id_is_replaced(bad: str) -> None:
    """An id that could forge a line or a header is not taken."""
    _, body = serve(RequestLog(made), headers={"x-request-id": bad})
    assert len(body["body"]) == 32


def test_a_failure_is_logged_and_raised(lines: Lines) -> None:
    """With its traceback, its request id and without its secrets."""
    with pytest.raises(ConnectionError):
        serve(RequestLog(broken), headers={"x-request-id": "abc"})
    assert (lines.last["level"], lines.last["status"], lines.last["request_id"]) == ("error", 500, "abc")
    assert "broken" in lines.last["exception"]
    assert "s3cr3t" not in lines.text


def test_probes_are_quiet(lines: Lines) -> None:
    """A probe every few seconds would bury the rest."""
    serve(RequestLog(made), path="/livez")
    assert lines.last["level"] == "debug"


def test_install_replaces_what_was_there() -> None:
    """Twice installed is once written; levels are words."""
    root = logging.getLogger()
    before, level, hook = list(root.handlers), root.level, sys.excepthook
    stream = io.StringIO()
    try:
        install("one", stream=io.StringIO())
        install("two", "error", stream=stream)
        logging.getLogger("x").warning("no")
        logging.getLogger("x").error("yes")
    finally:
        root.handlers[:], sys.excepthook = before, hook
        root.setLevel(level)
        logging.captureWarnings(capture=False)
    assert [json.loads(line)["service"] for line in stream.getvalue().splitlines()] == ["two"]
