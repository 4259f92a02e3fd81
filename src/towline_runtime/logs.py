"""JSON log lines with a correlation id that goes from a request to the job it made, and redaction."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from towline_runtime.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

_CORRELATION: ContextVar[str | None] = ContextVar("towline_correlation", default=None)

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
LONGEST = 16_000  # characters of one text in a line: log collectors cut or drop much longer lines
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def correlation() -> str | None:
    """The correlation id of what is going on, if any."""
    return _CORRELATION.get()


@contextmanager
def correlated(value: str | None) -> Iterator[None]:
    """Everything logged or enqueued inside carries this correlation id."""
    token = _CORRELATION.set(value)
    try:
        yield
    finally:
        _CORRELATION.reset(token)


class JsonLines(logging.Formatter):
    """One JSON object a record: timestamp, level, service, logger, message, correlation_id, the `extra` fields, and
    `exception` with the traceback; secrets are hidden everywhere.
    """

    def __init__(self, service: str, redactor: Redactor | None = None) -> None:
        super().__init__()
        self._service = service
        self._redactor = redactor or Redactor()

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": level_word(record.levelno),
            "service": self._service,
            "logger": record.name,
            "message": self._text(record.getMessage()),
        }
        if (found := correlation()) is not None:
            line["correlation_id"] = found
        for name, value in extra_fields(record).items():
            line.setdefault(name, self._redactor.field(name, value))
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["exception"] = self._text(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = self._text(record.stack_info)
        return _json(line)

    def _text(self, text: str) -> str:
        # The end of a traceback says what happened, so that a long text loses its middle.
        half = LONGEST // 2
        short = text if len(text) <= LONGEST else f"{text[:half]}\n...\n{text[-half:]}"
        return self._redactor.text(short)


def install(
    service: str, level: str = "info", *, secrets: Iterable[str] = (), stream: TextIO | None = None
) -> logging.Handler:
    """Let every logger of the process write JSON lines to stdout (or `stream`), and nothing else write any.

    `level` is debug, info, warn or error; `secrets` are values to hide wherever they stand (`Settings.secrets`).
    Start uvicorn with `log_config=None`, so that it does not put its own handlers back.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonLines(service, Redactor(secrets)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "gunicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # The request log has these lines with more in them; the libraries tell of every call.
    for name in ("uvicorn.access", "gunicorn.access", "botocore", "aiobotocore", "httpx", "asyncio"):
        logging.getLogger(name).setLevel(max(LEVELS[level], logging.WARNING))
    logging.captureWarnings(capture=True)
    sys.excepthook = _last_words
    return handler


def level_word(number: int) -> str:
    """A level of `logging` as one of debug, info, warn, error."""
    return next((word for word, least in reversed(LEVELS.items()) if number >= least), "debug")


def extra_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}


def _json(line: dict[str, Any]) -> str:
    text = json.dumps(line, ensure_ascii=False, default=str)
    # Half a surrogate pair cannot be written as UTF-8; as \ud83d it is good JSON.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _last_words(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    logging.getLogger("uncaught").critical("the process ends: %s", error, exc_info=(kind, error, traceback))
