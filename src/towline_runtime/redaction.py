"""Takes passwords, tokens and keys out of text and of fields, before they are written or sent anywhere."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "[redacted]"
DEEPEST = 6  # levels of nested fields that are looked into; deeper ones are cut off

_TELLING = (
    r"pass(?:word|wd|phrase)|pwd|secret|api[-_]?key|access[-_]?key|private[-_]?key|authori[sz]ation|cookie|credential"
    r"|dsn|signature|session[-_]?id|csrf"
)
_SECRET_NAME = re.compile(_TELLING, re.IGNORECASE)
# The number of a token, a count or a fence, is no secret; its text is.
_TOKEN_NAME = re.compile(r"token|jwt|bearer", re.IGNORECASE)

# Bounded, and never with a free beginning, so that no text takes more than linear time.
_NAMED = re.compile(
    rf"""(?P<name>(?:{_TELLING}|token)[\w.-]{{0,64}}["']?\s{{0,20}}[=:]\s{{0,20}})"""
    r"""(?P<value>"[^"]*"|'[^']*'|(?!(?:bearer|basic)\b|\[redacted\])[^\s,;&"'<>)\]}]+)""",
    re.IGNORECASE,
)
# Up to the last @ of the word: a password that was not written as %xx may hold one, or a slash.
_ADDRESS = re.compile(
    r"(?P<before>\b[a-z][a-z0-9+.-]{0,20}://[^\s:/?#@\"'<>]{0,256}:)[^\s\"'<>]{1,1000}@", re.IGNORECASE
)
_KEY_ADDRESS = re.compile(r"(?P<before>\bhttps?://)[^\s:/?#@\"'<>]{1,256}@", re.IGNORECASE)
_BEARER = re.compile(r"(?P<before>\bbearer\s+)[\w.~+/=-]{6,}", re.IGNORECASE)
_BASIC = re.compile(r"(?P<before>\bbasic\s+)(?P<value>[A-Za-z0-9+/_-]{6,}={0,2})", re.IGNORECASE)
_KNOWN_SHAPES = re.compile(
    r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"  # JSON web token
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|sk[-_](?:live_|test_|proj-|ant-)?|rk_live_|rnd_|sbp_|AIza|npg_)[\w-]{16,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)


class Redactor:
    """Hides what looks like a secret, and the given secrets wherever they stand."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # Shorter ones would take letters out of ordinary words.
        known = sorted({one for one in secrets if len(one) >= 6}, key=len, reverse=True)
        self._known = re.compile("|".join(re.escape(one) for one in known)) if known else None

    def text(self, text: str) -> str:
        """The text without its secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        text = _ADDRESS.sub(rf"\g<before>{HIDDEN}@", text)
        text = _KEY_ADDRESS.sub(rf"\g<before>{HIDDEN}@", text)
        text = _KNOWN_SHAPES.sub(HIDDEN, text)
        text = _BEARER.sub(rf"\g<before>{HIDDEN}", text)
        text = _BASIC.sub(_basic, text)
        return _NAMED.sub(rf"\g<name>{HIDDEN}", text)

    def field(self, name: str, value: Any, depth: int = 0) -> Any:
        """A field's value, hidden for its name or for what it holds; objects become their text."""
        if isinstance(value, bool) or value is None:
            return value
        if _SECRET_NAME.search(name) or (_TOKEN_NAME.search(name) and not isinstance(value, int | float)):
            return HIDDEN
        if isinstance(value, int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping | Sequence | Set) and not isinstance(value, bytes | bytearray | memoryview):
            return self._inside(name, value, depth)
        return f"<{len(value)} bytes>" if isinstance(value, bytes | bytearray) else self.text(str(value))

    def _inside(self, name: str, value: Any, depth: int) -> Any:
        if depth >= DEEPEST:
            return "..."
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.field(str(key), one, depth + 1) for key, one in value.items()}
        return [self.field(name, one, depth + 1) for one in value]


def _basic(found: re.Match[str]) -> str:
    # "basic" is a word too: only what decodes to user:password is one of these.
    value = found["value"].rstrip("=")
    try:
        decoded = base64.urlsafe_b64decode(value.replace("+", "-").replace("/", "_") + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        return found[0]
    return f"{found['before']}{HIDDEN}" if b":" in decoded else found[0]
