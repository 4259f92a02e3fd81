"""Stashed contents: files under their digests that nobody else can read."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from towline.core.errors import Defect, StepFailed
from towline.core.files import write_atomic
from towline.core.secret import Secret, redact, values_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Set
    from pathlib import Path

_DIGEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Blobs:
    """A folder of contents; what has a digest never changes.

    `public` gives words that stand in clear elsewhere, such as the name of a database: they are not masked.
    """

    def __init__(self, folder: Path, public: Callable[[], Set[str]] = frozenset) -> None:
        self._folder = folder
        self._public = public

    def put(self, contents: Mapping[str, Secret]) -> None:
        """Keep contents; what is there already is left as it is."""
        for digest, content in contents.items():
            path = self.path(digest)
            if not path.exists():
                write_atomic(path, content.reveal())

    def path(self, digest: str) -> Path:
        """The file of a digest, which may not exist."""
        if not _DIGEST.fullmatch(digest):
            raise Defect(f"{digest!r} is no digest")
        return self._folder / digest

    def text(self, digest: str) -> str:
        """The content under a digest. Raises StepFailed when it was never stashed."""
        try:
            return self.path(digest).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise StepFailed(
                f"the contents {digest} were never sent to this site", hint="towline up: it sends what is missing"
            ) from None

    def environment(self, digest: str) -> dict[str, str]:
        """A stashed environment. Raises StepFailed when the content is none."""
        found = json.loads(self.text(digest))
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise StepFailed(f"the contents {digest} are not an environment")
        return found

    def known(self) -> tuple[Secret, ...]:
        """Every value that must not be seen: whole contents, and the values of environments."""
        if not self._folder.is_dir():
            return ()
        values: set[str] = set()
        for path in self._folder.glob("[!.]*"):
            values.update(values_in(path.read_text(encoding="utf-8", errors="replace")))
        return tuple(Secret(value) for value in values - self._public())

    def clean(self, lines: Iterable[str]) -> tuple[str, ...]:
        """These lines with every known value masked."""
        known = self.known()
        return tuple(redact(line, known) for line in lines)
