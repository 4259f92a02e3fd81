"""The text of a proposed page: one line for each guess, with its reason behind it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.spec.guess.model import Guess, Proposal

_PLAIN_KEY = re.compile(r"^[A-Za-z][A-Za-z0-9_-]*$")
_PLAIN_VALUE = re.compile(r"^(?:[A-Za-z/.][A-Za-z0-9_./-]*|\d{1,6}(?:ms|s|m|h))(?: [A-Za-z0-9_./=&|-]+)*$")
_WORDS_OF_YAML = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"})
_SECTIONS = ("services", "stores", "bind", "release")


def page_text(proposal: Proposal, source: str) -> str:
    """The page as text; `source` is the file that it was guessed from."""
    lines = [
        f"# Where {proposal.app} runs, as `towline init` guessed it from {source}: behind each line stands why.",
        "# Correct what is wrong, write what is marked TODO, then: towline check",
        *(_line("", guess) for guess in proposal.guesses if len(guess.field) == 1),
    ]
    for section in _SECTIONS:
        known = [guess for guess in proposal.guesses if guess.field[0] == section]
        if known:
            lines += ["", f"{section}:", *_section(known)]
    return "\n".join(lines) + "\n"


def _section(guesses: list[Guess]) -> Iterator[str]:
    owner = ""
    for guess in guesses:
        if len(guess.field) > 2 and guess.field[1] != owner:
            owner = guess.field[1]
            yield f"  {_key(owner)}:"
        yield _line("  " * (len(guess.field) - 1), guess)


def _line(indent: str, guess: Guess) -> str:
    reason = "".join(letter if letter.isprintable() else "?" for letter in guess.reason)
    name = _key(guess.field[-1])
    if guess.value is None:
        return f"{indent}# TODO {name}: {reason}"
    mark = "unsure: " if guess.confidence == "unsure" else ""
    return f"{indent}{name}: {scalar(guess.value)} # {mark}{reason}"


def _key(name: str) -> str:
    return name if _PLAIN_KEY.match(name) and name.lower() not in _WORDS_OF_YAML else json.dumps(name)


def scalar(value: str | int | bool | tuple[str, ...]) -> str:
    """A value as YAML reads it back: quoted where a plain word would mean something else."""
    if isinstance(value, tuple):
        return f"[{', '.join(scalar(one) for one in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    plain = _PLAIN_VALUE.match(value) and value.lower() not in _WORDS_OF_YAML and ": " not in value
    return value if plain and not value.endswith(":") else json.dumps(value, ensure_ascii=False)
