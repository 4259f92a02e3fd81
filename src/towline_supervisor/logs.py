"""Keeps the lines of each process in files of bounded size, and reads their ends back."""

from __future__ import annotations

import json
import os
import time

from towline_supervisor.lines import LogLine, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MOST_BYTES = 10_000_000
KEPT_FILES = 3
_BLOCK = 64 * 1024


class _LogFile:
    """NAME.log and its older parts NAME.log.1, NAME.log.2."""

    def __init__(self, path: Path, most: int, kept: int) -> None:
        self._path = path
        self._most = most
        self._kept = kept
        self._fd, self._size = self._open()

    def write(self, data: bytes) -> None:
        """Append whole lines; begins a new file first when they would not fit."""
        if self._size and self._size + len(data) > self._most:
            self._rotate()
        while data:
            written = os.write(self._fd, data)
            self._size += written
            data = data[written:]

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _open(self) -> tuple[int, int]:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return fd, os.fstat(fd).st_size

    def _rotate(self) -> None:
        for number in range(self._kept - 1, 0, -1):
            older = part(self._path, number - 1)
            if older.exists():
                older.replace(part(self._path, number))
        before = self._fd
        self._fd, self._size = self._open()
        os.close(before)  # last: a number that is closed may already be another file's when opening fails


class LogFolder:
    """A folder with one log of JSON lines for each process."""

    def __init__(self, folder: Path, most: int = MOST_BYTES, kept: int = KEPT_FILES) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._most = most
        self._kept = kept
        self._files: dict[str, _LogFile] = {}
        self._lost: dict[str, int] = {}

    def append(self, lines: list[LogLine]) -> None:
        """Keep lines; a full disk must not end a process, so what it refuses is counted and told later."""
        by_name: dict[str, list[bytes]] = {}
        for line in lines:
            by_name.setdefault(line.name, []).append(to_json(line))
        for name, encoded in by_name.items():
            try:
                self._file(name).write(self._loss(name) + b"".join(encoded))
                self._lost.pop(name, None)
            except OSError:
                self._lost[name] = self._lost.get(name, 0) + len(encoded)

    def tail(self, names: Iterable[str] | None, count: int) -> list[bytes]:
        """The last lines of these processes (None: of all) by time, at most `count` altogether."""
        wanted = self._names() if names is None else sorted(set(names))
        found: list[tuple[str, bytes]] = []
        for name in wanted:
            found += [(_at(line), line) for line in self._last(name, count)]
        found.sort(key=lambda pair: pair[0])
        return [line + b"\n" for _at_time, line in found[-count:]] if count else []

    def forget(self, name: str) -> None:
        """Close the log of a process that is not coming back; its lines stay."""
        file = self._files.pop(name, None)
        if file is not None:
            file.close()

    def close(self) -> None:
        """Close every file."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _loss(self, name: str) -> bytes:
        lost = self._lost.get(name)
        if not lost:
            return b""
        # The newline ends a line of which only a part was written.
        text = f"{lost} lines were lost: the disk refused them"
        return b"\n" + to_json(LogLine(time.time(), name, 0, "stderr", text))

    def _file(self, name: str) -> _LogFile:
        if name not in self._files:
            self._files[name] = _LogFile(self._folder / f"{name}.log", self._most, self._kept)
        return self._files[name]

    def _names(self) -> list[str]:
        return sorted(path.name.removesuffix(".log") for path in self._folder.glob("*.log"))

    def _last(self, name: str, count: int) -> list[bytes]:
        found: list[bytes] = []
        for number in range(self._kept):
            path = part(self._folder / f"{name}.log", number)
            if len(found) >= count:
                break
            try:
                found = last_lines(path, count - len(found)) + found
            except FileNotFoundError:
                break
        return found


def part(path: Path, number: int) -> Path:
    """The file itself for 0, else its older part of that number."""
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


def last_lines(path: Path, count: int) -> list[bytes]:
    """The last lines of a file, read from its end; without their newlines."""
    held = b""
    for block in _blocks_from_end(path):
        held = block + held
        if held.count(b"\n") > count:
            break
    return [line for line in held.split(b"\n") if line][-count:] if count else []


def _blocks_from_end(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        while at > 0:
            size = min(_BLOCK, at)
            at -= size
            file.seek(at)
            yield file.read(size)


def _at(line: bytes) -> str:
    try:
        return str(json.loads(line)["at"])
    except (ValueError, KeyError, TypeError):
        return ""
