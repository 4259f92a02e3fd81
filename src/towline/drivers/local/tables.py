"""Small JSON tables on disk that several processes may change at the same time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from towline.core.files import hold_lock, write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Table:
    """A JSON object in a file, replaced as a whole under a lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Any]:
        """All of it; empty when there is no file yet."""
        try:
            found: dict[str, Any] = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def set(self, name: str, value: Any) -> None:
        """Set one entry."""
        self.change(lambda entries: {**entries, name: value})

    def forget(self, *names: str) -> None:
        """Drop entries, and those below them (`NAME/...`); unknown ones are no error."""
        gone = tuple(f"{name}/" for name in names)
        self.change(
            lambda entries: {
                name: value for name, value in entries.items() if name not in names and not name.startswith(gone)
            }
        )

    def change(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Replace all entries by what `change` makes of them."""
        with hold_lock(self._path.with_name(f".{self._path.name}.lock")):
            before = self.read()
            after = change(before)
            if after != before:
                write_atomic(self._path, json.dumps(after, indent=1, sort_keys=True))
