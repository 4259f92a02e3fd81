"""Log lines: bytes of a pipe become whole lines, and a line becomes text or JSON."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

HELD = 64 * 1024
"""A line longer than this many bytes is given out in pieces."""

_COLOURS = (36, 33, 32, 35, 34, 31)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a process: wall-clock seconds, name, pid (0: none), stdout or stderr, text."""

    at: float
    name: str
    pid: int
    stream: str
    text: str


class LineSplitter:
    """Cuts a stream of bytes into lines and holds the last, unfinished one."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are whole now; bytes that are no UTF-8 are replaced."""
        pieces = (self._held + data).split(b"\n")
        self._held = pieces.pop()
        while len(self._held) > HELD:
            pieces.append(self._held[:HELD])
            self._held = self._held[HELD:]
        return [_text(piece) for piece in pieces]

    def finish(self) -> list[str]:
        """What is still held, as a last line."""
        held, self._held = self._held, b""
        return [_text(held)] if held else []


def utc(at: float) -> str:
    """Wall-clock seconds as ISO 8601 in UTC, with milliseconds."""
    millis = round(at * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(millis // 1000)) + f".{millis % 1000:03d}Z"


def to_json(line: LogLine) -> bytes:
    """The line as one JSON object, newline included."""
    fields = {"at": utc(line.at), "name": line.name, "pid": line.pid, "stream": line.stream, "text": line.text}
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def to_text(line: LogLine, width: int, colour: int | None = None) -> bytes:
    """The line behind local time and padded name; `colour` counts names and paints this one."""
    prefix = f"{time.strftime('%H:%M:%S', time.localtime(line.at))} {line.name:<{width}} |"
    if colour is not None:
        prefix = f"\x1b[{_COLOURS[colour % len(_COLOURS)]}m{prefix}\x1b[0m"
    return f"{prefix} {line.text}\n".encode("utf-8", "replace")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").removesuffix("\r")
