"""The numbers of a service's copies: those that run keep theirs, whoever started them."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def copy_name(service: str, revision: str, number: int) -> str:
    """What a copy is called: a name holds all that it is made of, and a number."""
    return f"{service}.{revision}.{number}"


def copy_numbers(stem: tuple[str, str], wanted: int, there: Mapping[str, str]) -> tuple[int, ...]:
    """The numbers of `wanted` copies: of those that are ready as many as are needed, lowest first, then free ones.

    `stem` is a service and its revision, `there` the state of every copy by name. After a restart the copies 3 and 4
    are ready: they are as good as 1 and 2. One that is leaving cannot be called back, so its number is not free.
    """
    kept = numbers_of(stem, _in_state("ready", there))[:wanted]
    gone = numbers_of(stem, _in_state("leaving", there))
    new = (number for number in count(1) if number not in kept and number not in gone)
    return (*kept, *(next(new) for _ in range(wanted - len(kept))))


def _in_state(state: str, there: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name, is_ in there.items() if is_ == state)


def free_numbers(stem: tuple[str, str], wanted: int, running: Iterable[str]) -> tuple[int, ...]:
    """The lowest numbers that no running copy has."""
    taken = numbers_of(stem, running)
    free = (number for number in count(1) if number not in taken)
    return tuple(next(free) for _ in range(wanted))


def numbers_of(stem: tuple[str, str], running: Iterable[str]) -> tuple[int, ...]:
    """The numbers of the copies among `running` that are of this service and revision, lowest first."""
    begin = copy_name(*stem, 0).removesuffix("0")
    ends = (name.removeprefix(begin) for name in running if name.startswith(begin))
    return tuple(sorted(int(end) for end in ends if end.isdigit()))
