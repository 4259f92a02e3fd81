"""Reads the files of one project and remembers, in sentences, which of them it could not understand."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

MOST = 20_000_000
"""Bytes of a file that are read: the lock file of a large project has some millions."""


class Reader:
    """Reads below one project; `doubts` fills up while it does."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.doubts: list[str] = []

    def name(self, path: Path) -> str:
        """The path relative to the project, with forward slashes; "" for the project itself."""
        told = Path(os.path.relpath(path, self.project)).as_posix()
        return "" if told == "." else told

    def outermost(self, root: Path, context: Path) -> Path:
        """What holds both folders: one of them, else the project."""
        if root.is_relative_to(context):
            return context
        return root if context.is_relative_to(root) else self.project

    def text(self, path: Path) -> str | None:
        """What a file holds; None when it is not there or cannot be read."""
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file:
                return file.read(MOST).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            self.doubts.append(f"{self.name(path)} cannot be read")
            return None

    def json(self, path: Path) -> dict[str, Any]:
        """An object of JSON; empty when there is none."""
        text = self.text(path)
        if text is None:
            return {}
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            self.doubts.append(f"{self.name(path)} is not JSON")
            return {}
        return value if isinstance(value, dict) else {}

    def toml(self, path: Path) -> dict[str, Any]:
        """A table of TOML; empty when there is none."""
        text = self.text(path)
        if text is None:
            return {}
        try:
            return tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError):
            self.doubts.append(f"{self.name(path)} is not TOML")
            return {}

    def yaml(self, path: Path) -> dict[str, Any]:
        """A mapping of YAML; empty when there is none."""
        text = self.text(path)
        if text is None:
            return {}
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        try:
            value = YAML(typ="safe").load(text)
        except (YAMLError, ValueError, RecursionError):
            self.doubts.append(f"{self.name(path)} is not YAML")
            return {}
        return value if isinstance(value, dict) else {}


def table(value: object) -> dict[str, Any]:
    """The value when it is a table, else an empty one."""
    return value if isinstance(value, dict) else {}


def texts(value: object) -> tuple[str, ...]:
    """The texts of a list, nothing when it is none."""
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def names_in(value: object) -> tuple[str, ...]:
    """The keys of a table in their order."""
    return tuple(str(name) for name in table(value))
