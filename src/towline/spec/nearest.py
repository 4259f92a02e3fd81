"""The known word that a mistyped one most likely meant."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = re.compile(r"[\w.*@/-]{1,64}")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The closest of `known`, in capitals or not; None when none is close."""
    # In a short word one wrong or swapped letter is already half of it.
    cutoff = 0.5 if len(word) < 4 else 0.6
    lowered = {one.lower(): one for one in sorted(known)}
    close = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=cutoff)
    return lowered[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean `kind`?`, or nothing: the end of a sentence."""
    close = nearest(word, known)
    return f"; did you mean `{close}`?" if close else ""


def listed(known: Iterable[str], last: str = "or") -> str:
    """`a`, `b` or `c`; `none` when there is nothing."""
    names = [f"`{name}`" for name in known]
    if len(names) < 2:
        return names[0] if names else "none"
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def shown(word: str) -> str:
    """A name as it may stand in a message; what does not look like a name may be a value and is not repeated."""
    return f"`{word}`" if _NAME.fullmatch(word) else "a word"
