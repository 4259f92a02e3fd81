"""JSON log lines with a correlation id that goes from a request to the job it made, and redaction."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CORRELATION: ContextVar[str | None] = ContextVar("towline_correlation", default=None)


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
