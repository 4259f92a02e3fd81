"""What every benchmark prints: the machine, a table, one RESULT line a goal, and a last line that joins them."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Goals:
    """Collects the results of one benchmark."""

    name: str
    _lines: list[str] = field(default_factory=list)
    _failed: int = 0

    def at_most(self, name: str, value: float | None, unit: str, goal: float) -> None:
        """A goal that is met by a value not above it; None is a missing peer, and a fail."""
        self._add(name, value, unit, f"<={goal:g}", met=value is not None and value <= goal)

    def at_least(self, name: str, value: float | None, unit: str, goal: float) -> None:
        """A goal that is met by a value not below it; None is a missing peer, and a fail."""
        self._add(name, value, unit, f">={goal:g}", met=value is not None and value >= goal)

    def _add(self, name: str, value: float | None, unit: str, goal: str, *, met: bool) -> None:
        self._failed += not met
        shown = "missing" if value is None else f"{value:.4g}"
        self._lines.append(f"RESULT {self.name}.{name} {shown} {unit} {goal} {'pass' if met else 'fail'}")

    def close(self) -> int:
        """Print the results and the joined last line; the exit status."""
        print("\n".join(self._lines))
        good = len(self._lines) - self._failed
        print(f"RESULT {self.name} {good} of {len(self._lines)} goals {'pass' if not self._failed else 'fail'}")
        return 1 if self._failed else 0


def machine(**versions: str) -> None:
    """Print what this was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    print(f"machine: {os.cpu_count()} cores, {memory:.0f} GB, {model}, {platform.system()} {platform.release()}")
    print(f"python {platform.python_version()}" + "".join(f", {name} {one}" for name, one in versions.items()))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with aligned columns."""
    widths = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    sys.stdout.flush()


def spread(values: list[float]) -> str:
    """`median (min-max)` of some seconds."""
    return f"{statistics.median(values):.3f} s ({min(values):.3f}-{max(values):.3f})"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
