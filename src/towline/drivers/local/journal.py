"""The journal of a local target: JSON lines, each on the disk before the next act."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.core.errors import Defect, Where
from towline.core.files import append_synced
from towline.steps.model import Line, line_from_json, to_json
from towline.steps.past import breaks_off

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class _Past:
    """What was read before: the bytes of the file up to there, how many lines they are, and those without the torn."""

    content: bytes = b""
    count: int = 0
    lines: tuple[Line, ...] = ()


class Journal:
    """An append-only file. What was parsed of it is not parsed again: one command looks at it many times."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._past = _Past()

    def append(self, line: Line) -> None:
        """Add a line and wait until it is on the disk."""
        plain = {name: value for name, value in to_json(line).items() if value not in (None, "", [])}
        append_synced(self._path, json.dumps(plain, ensure_ascii=False, separators=(",", ":")))

    def lines(self) -> tuple[Line, ...]:
        """All lines, oldest first, without the torn ones. Raises Defect for any other line that cannot be read."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return ()
        past = self._past if content.startswith(self._past.content) else _Past()
        new = content[len(past.content) :].split(b"\n")
        whole = [(number, line) for number, line in enumerate(new, start=past.count + 1) if line]
        found = [self._line(number, _text(line), last=number == whole[-1][0]) for number, line in whole]
        lines = (*past.lines, *(line for line in found if line is not None))
        # The last line may be a torn one that somebody is about to complete: only those before it stay as they are.
        settled = content.rfind(b"\n", 0, len(content.rstrip(b"\n"))) + 1
        if settled > len(past.content):
            kept = lines[:-1] if found[-1] is not None else lines
            self._past = _Past(content[:settled], content.count(b"\n", 0, settled), kept)
        return lines

    def _line(self, number: int, text: str, *, last: bool) -> Line | None:
        """The line; None for one torn by a crash in the middle of its write: nothing was done upon it."""
        try:
            return line_from_json(json.loads(text))
        except ValueError as error:
            if last or breaks_off(error, text):
                return None
            raise Defect("a line of the journal cannot be read", where=Where(str(self._path), number)) from error


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
