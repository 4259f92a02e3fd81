"""Cases as files: an app and its use in, what each shape costs and why it lost out, and the recommended bill in full.

`TOWLINE_REGENERATE=1` writes what is found into the files, to be reviewed as a diff.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
from tests.unit.test_catalog_bills import sections

from towline.ops.compare import asked
from towline.planner.compare import Comparison, compare
from towline.planner.compared import detail_lines, money_text, way_text

ROOT = Path(__file__).resolve().parent.parent.parent
CASES = sorted((ROOT / "tests" / "cases" / "planner").glob("compare-*.txt"))
DAY = date(2026, 11, 22)


def compared(path: Path, folder: Path) -> Comparison:
    """The comparison of a case."""
    parts = sections(path.read_text())
    use = folder / "usage.yaml"
    use.write_text(parts["usage"] + "\n")
    found = asked(ROOT / parts["project"], use, None, DAY)
    return compare(found.scene, found.usage)


def table(found: Comparison) -> str:
    """A line a shape: what it costs, a request, and why not."""
    rows = ((one.shape.key, money_text(one.chosen.bill), way_text(one, "request"), one.lost) for one in found.verdicts)
    return "\n".join(
        f"{key}: {cost}; a request {request}; {lost or 'recommended'}" for key, cost, request, lost in rows
    )


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, tmp_path: Path) -> None:
    """The comparison is the one in the file, shape by shape and line by line."""
    text = path.read_text()
    parts = sections(text)
    found = compared(path, tmp_path)
    best = found.recommended
    full = "nothing" if best is None else "\n".join(detail_lines(best, found.inputs))
    told = {**parts, "shapes": table(found), "advice": "\n".join(found.advice), "recommended": full}
    if os.environ.get("TOWLINE_REGENERATE"):
        body = "".join(f"--- {name}\n{part}\n" for name, part in told.items() if name != "title")
        path.write_text(parts["title"] + body)
    assert told == parts


def test_there_are_cases() -> None:
    """A folder that was moved does not pass in silence."""
    assert len(CASES) >= 7
