"""The vault of a target: one file in the repository, encrypted with age, that the ordinary `age` program opens too.

Its clear text is JSON: {"NAME": {"value": ..., "since": "2026-01-31", "how": "given" or "generated"}}. Who may open it
stands beside it, a public key a line: the file itself does not tell.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pyrage  # type: ignore[import-untyped]
from pyrage import ssh, x25519

from towline.core.errors import Refused, UsageError, Where
from towline.core.files import write_atomic
from towline.core.secret import Secret
from towline.secrets.identity import read_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from towline.secrets.identity import KeyPlace

How = Literal["given", "generated"]


@dataclass(frozen=True)
class Kept:
    """One value, the day it was set, and whether a person gave it or Towline made it."""

    value: Secret
    since: str
    how: How


@dataclass(frozen=True)
class VaultPlace:
    """The files of one vault: `file` is encrypted, `recipients` is plain, `key` is outside the repository."""

    file: Path
    recipients: Path
    key: KeyPlace = field(repr=False)


def read_vault(place: VaultPlace) -> dict[str, Kept]:
    """The values of a target; none when there is no vault yet.

    Raises Refused when no key opens it, UsageError when what is inside is no vault.
    """
    if not place.file.is_file():
        return {}
    keys = read_keys(place.key)
    if not keys:
        sentence = f"{place.file} is encrypted, and its key is not on this machine"
        raise Refused(sentence, hint=f"put the key into {place.key.path}, or set TOWLINE_AGE_KEY_FILE")
    try:
        clear = pyrage.decrypt(place.file.read_bytes(), list(keys))
    except pyrage.DecryptError as error:
        sentence = f"the key in {place.key.told} does not open {place.file}"
        hint = f"have it shared with you: towline secrets share {keys[0].to_public()}"
        raise Refused(sentence, hint=hint) from error
    return _read_clear(clear, place.file)


def write_vault(place: VaultPlace, kept: Mapping[str, Kept]) -> None:
    """Encrypt the values for everybody in the list, and write the file whole or not at all."""
    plain = {
        name: {"value": one.value.reveal(), "since": one.since, "how": one.how} for name, one in sorted(kept.items())
    }
    readers = [recipient_of(text) for text in read_recipients(place)]
    if not readers:
        sentence = f"{place.recipients} names nobody, so nobody could open the vault again"
        raise Refused(sentence, hint=f"git checkout {place.recipients}")
    sealed = pyrage.encrypt(json.dumps(plain, indent=1, ensure_ascii=False).encode(), readers, armored=True)
    place.file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(place.file, sealed, mode=0o644)


def read_recipients(place: VaultPlace) -> tuple[str, ...]:
    """The public keys that the vault is encrypted for, in the order of the list."""
    if not place.recipients.is_file():
        return ()
    lines = (line.strip() for line in place.recipients.read_text("utf-8", "replace").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def write_recipients(place: VaultPlace, readers: Sequence[str]) -> None:
    """Write the list of public keys."""
    head = f"# Who may open {place.file.name}, a public key a line; `towline secrets share` changes it.\n"
    place.recipients.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(place.recipients, head + "".join(f"{one}\n" for one in dict.fromkeys(readers)), mode=0o644)


def recipient_of(text: str) -> Any:
    """The public key that a text holds. Raises UsageError when it is none."""
    try:
        return ssh.Recipient.from_str(text) if text.startswith("ssh-") else x25519.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        hint = "a public key starts with `age1`, `ssh-ed25519` or `ssh-rsa`: towline secrets key"
        raise UsageError(f"`{text[:24]}` is no public key", hint=hint) from error


def _read_clear(clear: bytes, path: Path) -> dict[str, Kept]:
    try:
        found = json.loads(clear)
        return {str(name): _kept(one) for name, one in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        # Neither the text nor the decoder's error may be shown: they hold values.
        sentence = "what is encrypted in this file is no vault of Towline's"
        raise UsageError(sentence, where=Where(str(path)), hint="put the file back from the repository") from None


def _kept(plain: Mapping[str, object]) -> Kept:
    value, since, how = plain["value"], plain["since"], plain["how"]
    if not isinstance(value, str) or not isinstance(since, str) or how not in ("given", "generated"):
        raise TypeError
    return Kept(Secret(value), since, "given" if how == "given" else "generated")
