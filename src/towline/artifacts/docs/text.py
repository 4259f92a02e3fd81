"""Markdown in small pieces: sections, tables and commands, as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Lines = list[str]


def section(title: str, *blocks: Iterable[str] | str, level: int = 2) -> Lines:
    """A heading and what stands below it, with a blank line between blocks; nothing when all blocks are empty."""
    kept = [[block] if isinstance(block, str) else list(block) for block in blocks]
    kept = [block for block in kept if any(block)]
    if not kept:
        return []
    lines = ["", f"{'#' * level} {title}"]
    for block in kept:
        lines += ["", *block]
    return lines


def sh(*commands: str) -> Lines:
    """Commands to be copied into a shell; nothing without one."""
    return ["```sh", *commands, "```"] if commands else []


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Lines:
    """A table; nothing without a row."""
    known = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    if not known:
        return []
    return [_row(head), f"|{'---|' * len(head)}", *(_row(row) for row in known)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def points(items: Iterable[str]) -> Lines:
    """A list."""
    return [f"- {item}" for item in items]


def page(title: str, *parts: Iterable[str]) -> str:
    """A whole page."""
    lines = [f"# {title}"]
    for part in parts:
        lines += part
    return "\n".join(lines) + "\n"


def listed(names: Iterable[str]) -> str:
    """`a`, `b` and `c`."""
    known = [f"`{name}`" for name in names]
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} and {known[-1]}" if known else "nothing"
