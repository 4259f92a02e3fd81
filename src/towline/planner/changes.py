"""From what runs today to what a release makes: services and stores, their copies and their memory. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.core.units import show_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class Copies:
    """A service or store as it runs or is to run: how many copies, of which revisions, bytes of memory for each.

    Static services have no copies: their revisions name the files that are served.
    """

    name: str
    count: int
    revisions: tuple[str, ...] = ()
    memory: int = 0

    @property
    def together(self) -> int:
        """Bytes of memory of all copies."""
        return self.count * self.memory


@dataclass(frozen=True)
class Today:
    """What runs on the sites of a target. `release` is the last finished one, 0 where none ever was.

    `known` is false where nobody could ask the sites.
    """

    release: int = 0
    copies: tuple[Copies, ...] = ()
    known: bool = True


@dataclass(frozen=True)
class Change:
    """One service or store today and after the release; None where it is not there, or today is not `known`."""

    name: str
    before: Copies | None
    after: Copies | None
    known: bool = True

    @property
    def sentence(self) -> str:
        """What becomes of it, in words: `1 copy to 2, changed`."""
        if not self.known and self.after is not None:
            return _copies(self.after.count) if self.after.count else "built files"
        if self.before is None or self.after is None:
            there = self.after or self.before
            count = f", {_copies(there.count)}" if there is not None and there.count else ""
            return f"{'goes' if self.after is None else 'new'}{count}"
        return ", ".join(_differences(self.before, self.after)) or "stays"

    @property
    def stays(self) -> bool:
        """Whether nothing of it changes."""
        return self.sentence == "stays"


def changes(today: Today, after: Sequence[Copies]) -> tuple[Change, ...]:
    """Every service and store of both, in the order of `after`; those that go come last."""
    old, new = ({one.name: one for one in several} for several in (today.copies, after))
    names = dict.fromkeys([*new, *old])
    return tuple(Change(name, old.get(name), new.get(name), today.known) for name in names)


def _differences(before: Copies, after: Copies) -> Iterator[str]:
    if before.count != after.count:
        yield f"{_copies(before.count)} to {after.count}"
    # What is not known of one of the two cannot be told to differ.
    if before.revisions and after.revisions and set(before.revisions) != set(after.revisions):
        yield "changed"
    if before.count and after.count and before.memory != after.memory:
        yield f"{show_bytes(before.memory)} to {show_bytes(after.memory)} a copy"


def _copies(count: int) -> str:
    return "1 copy" if count == 1 else f"{count} copies"
