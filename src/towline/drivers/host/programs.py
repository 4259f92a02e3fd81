"""The shell programs that travel to a host: files beside this one, quoted and put together."""

from __future__ import annotations

import re
import shlex
from functools import cache
from importlib import resources
from typing import Final

_COMMENT = re.compile(r"^\s*#.*\n|^\s*\n", re.MULTILINE)

OF_A_TARGET: Final = ("files.sh", "lock.sh")
"""What every program needs that looks at the state of a target: `home` must be set."""


def quote(text: str) -> str:
    """One word of a shell, whatever is in it. ValueError for a NUL, which no shell can hold."""
    if "\0" in text:
        raise ValueError("a NUL cannot be given to a shell")
    return shlex.quote(text)


def settings(**values: str | int) -> str:
    """Variables of a shell program, one a line."""
    return "".join(f"{name}={quote(str(value))}\n" for name, value in values.items())


@cache
def part(name: str) -> str:
    """A file of shell functions, without its comments: they need not travel."""
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return _COMMENT.sub("", text)


def program(home: str, body: str, *parts: str) -> str:
    """A program that works on the target under `home`: its parts, then `body`."""
    return f"umask 077\n{settings(home=home)}{''.join(map(part, (*OF_A_TARGET, *parts)))}{body}"
