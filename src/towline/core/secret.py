"""Values that must never be seen: a Secret cannot be printed, compared in clear or serialised by accident."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets as _random
from typing import NoReturn

MASK = "●●●●"

# 32 URL-safe characters hold 190 bits, and need no escaping in a URL, an env file, YAML or a shell.
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_LENGTH = 32

# Variables that every program has and that keep no secret; masked, they would make evidence unreadable.
_OF_THE_MACHINE = frozenset({"PATH", "HOME", "PWD", "SHELL", "USER", "LOGNAME", "LANG", "TERM", "TMPDIR", "PYTHONPATH"})

# Values of many environments that everybody knows.
_KNOWN_TO_ALL = frozenset({"127.0.0.1", "0.0.0.0", "localhost", "development", "production", "staging"})  # noqa: S104

SHORT = 6
"""A value of fewer characters is found everywhere: it is not masked."""


class Secret:
    """A text whose every printed form is a mask; `reveal()` is the only way to the value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that hands it to a process or a server."""
        return self._value

    def digest(self, salt: bytes) -> str:
        """HMAC-SHA256 of the value, 32 hexadecimal digits: equal values of one salt can be told, nothing else."""
        return hmac.new(salt, self._value.encode(), hashlib.sha256).hexdigest()[:32]

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self  # immutable; copied with the value that holds it

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: it would leave the process in clear")


def generate() -> Secret:
    """A new random password that survives URLs, env files, YAML and shells unescaped."""
    return Secret("".join(_random.choice(_ALPHABET) for _ in range(_LENGTH)))


def redact(text: str, known: tuple[Secret, ...]) -> str:
    """`text` with every known value of at least six characters masked, the longest first."""
    values = {secret.reveal() for secret in known}
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= SHORT:
            text = text.replace(value, MASK)
    return text


def values_in(content: str) -> set[str]:
    """What must not be seen of a stashed content: the values of an environment, the whole of other contents.

    Of a JSON object that is no environment nothing: routes of the front door hold no secret.
    """
    try:
        plain = json.loads(content)
    except ValueError:
        plain = None
    if not isinstance(plain, dict):
        return {content} - _KNOWN_TO_ALL
    if not all(isinstance(value, str) for value in plain.values()):
        return set()
    return {value for name, value in plain.items() if name not in _OF_THE_MACHINE} - _KNOWN_TO_ALL
