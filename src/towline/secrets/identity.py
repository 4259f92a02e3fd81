"""The private keys that open vaults: outside the repository, one for each target of an app."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage  # type: ignore[import-untyped]
from pyrage import x25519

from towline.core.errors import Refused, UsageError, Where
from towline.core.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY, KEY_FILE = "TOWLINE_AGE_KEY", "TOWLINE_AGE_KEY_FILE"
"""Variables that hold the private key itself, for a CI job, and the name of its file."""

_PREFIX = "AGE-SECRET-KEY-"


@dataclass(frozen=True)
class KeyPlace:
    """Where the private key of a target is: `text` from the environment, else a file that may not exist yet."""

    path: Path
    text: str | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a key."""
        return self.text is not None or self.path.is_file()

    @property
    def told(self) -> str:
        """Where it is, for people."""
        return f"the variable {KEY}" if self.text is not None else str(self.path)


def key_place(app: str, target: str, environ: Mapping[str, str]) -> KeyPlace:
    """Where the key of this target is looked for: the environment, a named file, the user's own configuration."""
    named = environ.get(KEY_FILE)
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or Path.home(), ".config"))
    own = home / "towline" / "keys" / app / f"{target}.txt"
    return KeyPlace(Path(named) if named else own, environ.get(KEY) or None)


def read_keys(place: KeyPlace) -> tuple[x25519.Identity, ...]:
    """The private keys in the file, as `age-keygen` writes it; none when there is no file.

    Raises UsageError when it holds no key, Refused when others may read it.
    """
    if not place.exists:
        return ()
    text = place.text if place.text is not None else _text_of(place.path)
    words = [line.strip() for line in text.splitlines()]
    try:
        keys = tuple(x25519.Identity.from_str(word) for word in words if word.startswith(_PREFIX))
    except pyrage.IdentityError:
        keys = ()
    if not keys:
        raise UsageError(
            f"{place.told} holds no age key", hint="age-keygen -o KEYFILE, or ask whoever shared the vault"
        )
    return keys


def make_key(place: KeyPlace) -> x25519.Identity:
    """A new private key, written where the place says, readable by nobody else."""
    key = x25519.Identity.generate()
    text = f"# public key: {key.to_public()}\n{key}\n"
    write_atomic(place.path, text, mode=0o600)
    return key


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise Refused(f"others may read the key in {path}", hint=f"chmod 600 {path}")
        return path.read_text("utf-8", "replace")
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise UsageError(f"the key cannot be read: {reason}", where=Where(str(path)), hint=f"ls -l {path}") from error
