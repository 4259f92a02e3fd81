"""Where a fake site keeps its world and its journal: in memory, or in a folder that several processes see."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING, Protocol

from towline.core.files import append_synced, hold_lock, write_atomic
from towline.lab.world import World, empty_world
from towline.release.journal import parse
from towline.steps.model import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from towline.steps.model import Line


class Keep(Protocol):
    """A world that one at a time may look at and change, and a journal that grows."""

    def opened(self) -> AbstractContextManager[World]:
        """The world; what is changed in it stays, also when the block raises."""

    def append(self, line: Line) -> None:
        """Add a line to the journal."""

    def lines(self) -> tuple[Line, ...]:
        """The journal, oldest line first."""


class Memory:
    """A world in this process."""

    def __init__(self, world: World | None = None, lines: tuple[Line, ...] = ()) -> None:
        self._world = empty_world() if world is None else world
        self._lines = list(lines)
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def opened(self) -> Iterator[World]:
        """The world itself."""
        with self._lock:
            yield self._world

    def append(self, line: Line) -> None:
        """Add a line to the journal."""
        with self._lock:
            self._lines.append(line)

    def lines(self) -> tuple[Line, ...]:
        """The journal, oldest line first."""
        with self._lock:
            return tuple(self._lines)

    def copied(self) -> Memory:
        """The same once more, to be changed on its own."""
        with self._lock:
            return Memory(json.loads(json.dumps(self._world)), tuple(self._lines))


class Folder:
    """A world in `world.json` and a journal in `journal.jsonl`, under a lock of the operating system."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def opened(self) -> Iterator[World]:
        """The world as the file has it; written back when it changed."""
        file = self._path / "world.json"
        with hold_lock(self._path / "lock"):
            text = file.read_text() if file.exists() else json.dumps(empty_world())
            world: World = json.loads(text)
            try:
                yield world
            finally:
                if (changed := json.dumps(world)) != text or not file.exists():
                    write_atomic(file, changed)

    def append(self, line: Line) -> None:
        """Add a line to the journal, synced."""
        with hold_lock(self._path / "journal.lock"):
            append_synced(self._path / "journal.jsonl", json.dumps(to_json(line)))

    def lines(self) -> tuple[Line, ...]:
        """The journal, oldest line first; a torn last line is left out."""
        file = self._path / "journal.jsonl"
        return parse(file.read_text(errors="replace")) if file.exists() else ()
