"""The public keys that the deployer gets: from the files that are named, else from where ssh keeps its own."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from towline.core.errors import TowlineError, UsageError
from towline.core.process import run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_KINDS = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
_USUAL = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")
_MAKE = "ssh-keygen -t ed25519"


def public_keys(named: Sequence[Path], home: Path) -> tuple[str, ...]:
    """The keys, a line each, in the order in which they are named; each is there once.

    Where none is named: the first of ssh's usual ones under `home`, else those of the agent. Raises UsageError for a
    file that is missing or holds no public key, and where there is no key at all.
    """
    if named:
        return tuple(dict.fromkeys(key for path in named for key in _keys_of(path)))
    for name in _USUAL:
        path = home / ".ssh" / name
        if path.is_file():
            return _keys_of(path)
    if keys := _keys_of_agent():
        return keys
    raise UsageError(f"there is no public key in {home / '.ssh'}, and no agent has one", hint=_MAKE)


def private_half(public: Path) -> Path | None:
    """The private key beside a public one, when it is there."""
    private = public.with_suffix("")
    return private if public.suffix == ".pub" and private.is_file() else None


def _keys_of(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"there is no key file {path}", hint=f"{_MAKE} -f {path.with_suffix('')}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a public key", hint=f"ls -l {path}") from error
    if "PRIVATE KEY" in text:
        raise UsageError(f"{path} is a private key, and the machine must get the public one", hint=f"--key {path}.pub")
    keys = tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))
    if not keys or not all(map(_is_key, keys)):
        raise UsageError(f"{path} holds no public key of ssh", hint=f"ssh-keygen -l -f {path}")
    return keys


def _keys_of_agent() -> tuple[str, ...]:
    try:
        listed = run(("ssh-add", "-L"), within=10)
    except TowlineError:
        return ()
    return tuple(line.strip() for line in listed.stdout.splitlines() if listed.status == 0 and _is_key(line))


def _is_key(line: str) -> bool:
    """One line `KIND BASE64 [COMMENT]` whose content begins with its own kind; options before it are refused."""
    kind, _, rest = line.strip().partition(" ")
    if kind not in _KINDS:
        return False
    try:
        content = base64.b64decode(rest.split(" ", 1)[0], validate=True)
    except (binascii.Error, ValueError):
        return False
    return content[4 : 4 + len(kind)] == kind.encode() and line.isprintable()
