"""How long `towline compare` takes: all shapes and all offers for four apps, alone and as the whole command.

CPU seconds are judged, since a shared machine stretches the clock; wall seconds are printed beside them. Nothing is
fetched. The whole command starts Python, reads the Compose file through Compose, and prints.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Goals, machine, spread, table
from towline.ops.compare import asked
from towline.planner.compare import compare
from towline.planner.sweep import sweep, users_of

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
APPS = ("cooly", "kirby-gen", "repolens", "nutri")
DAY = date(2026, 11, 22)
RUNS = 7


def main() -> int:
    """Time each app, then the command, and judge the slowest."""
    machine()
    rows, worst, tries = [], 0.0, 0
    for name in APPS:
        project = ROOT / "examples" / name
        found = asked(project, None, None, DAY)
        told = compare(found.scene, found.usage)
        tries = sum(one.chosen.considered for one in told.verdicts)
        cpu, wall = measured(lambda one=found: compare(one.scene, one.usage))  # type: ignore[misc]
        swept, _ = measured(lambda one=found: sweep(one.scene, one.usage, users_of("users=10..5000")), runs=3)  # type: ignore[misc]
        command, clock = measured(lambda one=project: run(one), runs=3, children=True)  # type: ignore[misc]
        worst = max(worst, statistics.median(cpu))
        offers = str(len(found.scene.catalog.offers))
        rows.append(
            (
                name,
                str(len(told.verdicts)),
                offers,
                str(tries),
                spread(cpu),
                spread(wall),
                spread(swept),
                spread(command),
                spread(clock),
            )
        )
    head = (
        "app",
        "shapes",
        "offers",
        "priced whole",
        "compare, CPU",
        "compare, clock",
        "8 points, CPU",
        "command, CPU",
        "command, clock",
    )
    table(head, rows)
    goals = Goals("compare")
    goals.at_most("all_shapes_and_offers_cpu", worst, "s", 1.0)
    return goals.close()


def measured(
    work: Callable[[], object], runs: int = RUNS, *, children: bool = False
) -> tuple[list[float], list[float]]:
    """CPU and wall seconds of each run; of child processes where the work is one."""
    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    cpu, wall = [], []
    for _ in range(runs):
        before, began = resource.getrusage(who), time.monotonic()
        work()
        after = resource.getrusage(who)
        wall.append(time.monotonic() - began)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return cpu, wall


def run(project: Path) -> None:
    """The command, as it is typed."""
    words = [sys.executable, "-m", "towline.cli.main", "compare", "--json", "-C", str(project)]
    subprocess.run(words, check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
