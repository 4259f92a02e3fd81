"""Stashed contents on a host: files under their digests that nobody but root can read."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from towline.core.errors import Defect, Finding, Findings
from towline.core.secret import SHORT, values_in
from towline.drivers.host.programs import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from towline.core.secret import Secret
    from towline.drivers.host.target import Target
    from towline.steps.model import Lease

_DIGEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Stash:
    """Only what is missing there is sent: as `observe` saw it, else as a question of its own says.

    Beside each content lie its words to be masked, and of an environment a file that a shell can read.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._there: set[str] | None = None

    def seen(self, digests: Iterable[str]) -> None:
        """Know what is there."""
        self._there = set(digests)

    def put(self, contents: Mapping[str, Secret], lease: Lease) -> None:
        """Keep contents; what is there already is not sent. Raises Fenced."""
        for digest in contents:
            if not _DIGEST.fullmatch(digest):
                raise Defect(f"{digest!r} is no digest")
        missing = self._missing(contents, lease)
        if not missing:
            return
        sent = [(digest, part, data) for digest in missing for part, data in _files(contents[digest]).items()]
        calls = "".join(f"part {part} {digest} {len(data)}\n" for digest, part, data in sent)
        data = b"".join(data for _, _, data in sent)
        self._target.ask(f"stash_under {lease.fence}\n{calls}stashed {' '.join(missing)}\n", "stash.sh", data=data)
        self._there = (self._there or set()) | contents.keys()

    def _missing(self, contents: Mapping[str, Secret], lease: Lease) -> list[str]:
        if self._there is not None:
            return sorted(contents.keys() - self._there)
        return self._target.ask(f"missing {lease.fence} {' '.join(sorted(contents))}\n", "stash.sh").split()


def _files(content: Secret) -> dict[str, bytes]:
    """What is sent of a content: itself, its words, and its environment for a shell when it is one."""
    text = content.reveal()
    environment = _environment(text)
    files = {"content": text.encode(), "words": "".join(f"{word}\n" for word in words(text)).encode()}
    if environment is not None:
        files["env"] = exports(environment).encode()
    return files


def words(text: str) -> tuple[str, ...]:
    """What must not be seen of a content, line by line."""
    lines = {line.strip("\r") for value in values_in(text) for line in value.split("\n")}
    return tuple(sorted(line for line in lines if len(line) >= SHORT))


def exports(environment: Mapping[str, str]) -> str:
    """Shell lines that export an environment. Raises Findings for names that no shell can export."""
    bad = [name for name in environment if not _VARIABLE.fullmatch(name)]
    if bad:
        raise Findings(
            tuple(
                Finding("variable-name", f"{name!r} cannot be the name of a variable on a host", hint="rename it")
                for name in sorted(bad)
            )
        )
    return "".join(f"export {name}={quote(value)}\n" for name, value in sorted(environment.items()))


def _environment(text: str) -> dict[str, str] | None:
    try:
        plain = json.loads(text)
    except ValueError:
        return None
    is_one = isinstance(plain, dict) and all(isinstance(value, str) for value in plain.values())
    return plain if is_one else None
