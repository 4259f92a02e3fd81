"""Environment files: read as everybody writes them, written so that Compose reads back the same."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from dotenv.parser import parse_stream

from towline.core.errors import Finding, Findings, UsageError, Where
from towline.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=~-]*\Z")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def read_dotenv(path: Path) -> dict[str, Secret]:
    """The names with a value in the file; the last of a name wins. Nothing is put in the place of `$NAME`.

    Raises Findings with every line that cannot be read, UsageError when the file cannot.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else (error.strerror or "").lower()
        raise UsageError(f"{path} cannot be read: {reason}", hint=f"ls -l {path}") from error
    found: dict[str, Secret] = {}
    broken = []
    for one in parse_stream(io.StringIO(text)):
        if one.error or (one.key is not None and not NAME.match(one.key)):
            broken.append(one.original.line)
        elif one.key is not None and one.value:
            doubled = re.search(r"=\s*\"", one.original.string) is not None
            # In double quotes Compose reads `\$` as a dollar sign; the parser leaves it as it is.
            found[one.key] = Secret(one.value.replace("\\$", "$") if doubled else one.value)
    if broken:
        # The line itself may hold a value, so only its number is told.
        sentence = "this line is no `NAME=value`"
        raise Findings(tuple(Finding("env-line", sentence, Where(str(path), line), "NAME='value'") for line in broken))
    return found


def dotenv_text(values: Mapping[str, Secret]) -> str:
    """The values as a file for Compose, sorted by name. Raises UsageError for a value that such a file cannot hold."""
    return "".join(f"{name}={_quoted(name, values[name].reveal())}\n" for name in sorted(values))


def _quoted(name: str, value: str) -> str:
    """Bare where nothing has a meaning; in single quotes, where nothing is replaced; else in double ones, escaped."""
    if _PLAIN.match(value):
        return value
    if "\0" in value:
        raise UsageError(f"the value of {name} has a NUL, which no environment can hold", hint="encode it: base64")
    if not re.search(r"['\\\n\r]", value):
        return f"'{value}'"
    escaped = "".join(_ESCAPES.get(character, character) for character in value)
    return '"' + escaped.replace("$", "\\$") + '"'
