"""The journal of a target on its host, of which only what is new travels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from towline.core.errors import Defect, Where
from towline.steps.model import Line, line_from_json, to_json
from towline.steps.past import breaks_off

if TYPE_CHECKING:
    from towline.drivers.host.target import Target
    from towline.steps.model import Lease

PIECE: Final = 8 * 1024 * 1024
"""Bytes of it that one answer brings."""


class Journal:
    """What was read of it is kept here: it only grows."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._settled = 0
        self._count = 0
        self._lines: tuple[Line, ...] = ()

    def lines(self) -> tuple[Line, ...]:
        """All lines, oldest first, without torn ones. Raises Defect for any other that cannot be read."""
        size = self._settled + 1
        lines = self._lines
        while self._settled < size:
            asked = self._target.ask_bytes(self.question(), "journal.sh")
            before = self._settled
            size, lines = self.answered(asked)
            if self._settled == before:
                break
        return lines

    @property
    def known(self) -> int:
        """Bytes of it that are known here and never change."""
        return self._settled

    @property
    def settled(self) -> tuple[Line, ...]:
        """The lines that are known here, as of the last question."""
        return self._lines

    def question(self) -> str:
        """The call of `journal.sh` that brings what is new."""
        return f"new_of_journal {self._settled} {PIECE}\n"

    def answered(self, answer: bytes) -> tuple[int, tuple[Line, ...]]:
        """How long the journal is, and all lines known now."""
        size, _, new = answer.partition(b"\n")
        if int(size) < self._settled:  # another one by now: somebody has restored the host from a backup
            self._settled, self._count, self._lines = 0, 0, ()
            return self._settled + 1, ()
        settled = new[: new.rfind(b"\n") + 1]
        for number, text in enumerate(settled.split(b"\n")[:-1], start=self._count + 1):
            self._keep(self._line(text, number))
        self._settled += len(settled)
        self._count += settled.count(b"\n")
        # What follows the last end of a line is torn, or about to be completed: it is not kept.
        last = self._line(new[len(settled) :], self._count + 1, torn=True)
        return int(size), self._lines if last is None else (*self._lines, last)

    def record(self, line: Line, lease: Lease) -> None:
        """Append a line of the engine, synced. Raises Fenced."""
        plain = {name: value for name, value in to_json(line).items() if name == "at" or value not in (None, "", [])}
        text = json.dumps(plain, separators=(",", ":")).encode()
        self._target.ask(f"record {lease.fence} {len(text)}\n", "journal.sh", data=text)

    def _keep(self, line: Line | None) -> None:
        if line is not None:
            self._lines = (*self._lines, line)

    def _line(self, content: bytes, number: int, *, torn: bool = False) -> Line | None:
        """The line; None for one torn by a crash in the middle of its write: nothing was done upon it."""
        text = content.decode("utf-8", "replace").strip("\0")
        if not text:
            return None
        try:
            return line_from_json(json.loads(text))
        except ValueError as error:
            if torn or breaks_off(error, text):
                return None
            where = Where(f"{self._target.site}:{self._target.home}/journal", number)
            raise Defect("a line of the journal cannot be read", where=where) from error


def line_of(text: str, site: str) -> Line:
    """A line as a batch shows it. Raises Defect when it is none."""
    try:
        return line_from_json(json.loads(text))
    except ValueError as error:
        raise Defect(f"`{site}` showed a line that is none of a journal: {text[:200]!r}") from error
