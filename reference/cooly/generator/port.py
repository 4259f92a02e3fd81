"""What the app asks of any generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from towline_runtime.errors import GiveUp

Tell = Callable[[float, str, bytes | None], None]
"""Called on the way: part done (0 to 1), a few words, and a tiny JPEG of what there is so far, or None."""


@dataclass(frozen=True)
class Order:
    """One picture to make. `request_id` stays the same over all attempts, so that it is paid for once."""

    prompt: str
    request_id: str
    attempt: int = 1


@dataclass(frozen=True)
class Picture:
    """A finished picture, encoded."""

    data: bytes = field(repr=False)
    content_type: str
    width: int
    height: int


class Generator(Protocol):
    """Makes pictures; several at once."""

    @property
    def name(self) -> str:
        """A short name for logs."""

    async def make(self, order: Order, tell: Tell) -> Picture:
        """Make one picture; raises Refused when no attempt can help, Unavailable when a later one may."""


class Refused(GiveUp):
    """This prompt will get no picture, however often it is asked; the sentence is for the person who asked."""


class Unavailable(Exception):
    """No picture this time; `retry_after` is in seconds, or None when the generator did not say."""

    def __init__(self, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after
