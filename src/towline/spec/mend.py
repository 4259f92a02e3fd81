"""What stands in for a variable or a file that is missing, so that Compose's first refusal does not hide the rest."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from towline.spec.complaints import ABSENT_FILE, BROKEN_FILE, REQUIRED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.spec.source import Source

STAND_IN = "64731"
"""The value of a variable that must be set and is not: it passes for a text, a number and a port."""


@dataclass(frozen=True)
class Mend:
    """Variables that stand in for missing ones, and environment files that are left out; none at first."""

    variables: frozenset[str] = frozenset()
    files: frozenset[Path] = frozenset()

    def after(self, refusal: str) -> Mend:
        """With what Compose misses according to its `refusal`; the same when that cannot be stood in for."""
        variable = REQUIRED.search(refusal)
        if variable is not None:
            return replace(self, variables=self.variables | {variable["name"]})
        file = ABSENT_FILE.search(refusal) or BROKEN_FILE.search(refusal)
        return self if file is None else replace(self, files=self.files | {Path(file["path"])})

    @property
    def environment(self) -> dict[str, str]:
        """The variables that Compose gets besides."""
        return dict.fromkeys(sorted(self.variables), STAND_IN)

    def doubts(self, answer: dict[str, Any], sources: tuple[Source, ...], root: Path) -> dict[str, frozenset[str]]:
        """The keys of each service in Compose's `answer` that cannot be told without what is missing."""
        services: dict[str, Any] = answer.get("services") or {}
        hidden = {name: _hidden(raw) if self.variables else frozenset() for name, raw in services.items()}
        concerned = self._concerned(sources, root)
        return {name: keys | {"environment"} if name in concerned else keys for name, keys in hidden.items()}

    def _concerned(self, sources: tuple[Source, ...], root: Path) -> frozenset[str]:
        """The services that name one of the files."""
        return frozenset(name for name, files in _named(sources).items() if self._kept(files, root) != files)

    def override(self, sources: tuple[Source, ...], root: Path) -> str | None:
        """A Compose file to be merged last, in which those services name only their other environment files."""
        named, concerned = _named(sources), self._concerned(sources, root)
        if not concerned:
            return None
        lines = [
            f"  {json.dumps(name)}: {{env_file: !override {json.dumps(self._kept(named[name], root))}}}\n"
            for name in sorted(concerned)
        ]
        return f"services:\n{''.join(lines)}"

    def _kept(self, files: list[Any], root: Path) -> list[Any]:
        left_out = {path.resolve() for path in self.files}
        return [one for one in files if (root / _path(one)).resolve() not in left_out]


def _hidden(raw: dict[str, Any]) -> frozenset[str]:
    """The keys of a service, as Compose answers it, that depend on a stand-in; its other variables change nothing."""
    port = {"environment": (raw.get("environment") or {}).get("PORT")}
    return frozenset(key for key, value in {**raw, **port}.items() if STAND_IN in json.dumps(value))


def _named(sources: tuple[Source, ...]) -> dict[str, list[Any]]:
    """The environment files of each service, as written, those of all Compose files one after the other."""
    named: dict[str, list[Any]] = {}
    for source in sources:
        services = source.at("services")
        for name, service in services.items() if isinstance(services, dict) else ():
            written = service.get("env_file") if isinstance(service, dict) else None
            named.setdefault(name, []).extend(_entries(written))
    return named


def _entries(written: Any) -> Iterator[Any]:
    for one in written if isinstance(written, list) else [written]:
        if _path(one):
            yield one


def _path(entry: Any) -> str:
    path = entry.get("path") if isinstance(entry, dict) else entry
    return path if isinstance(path, str) and "\0" not in path else ""
