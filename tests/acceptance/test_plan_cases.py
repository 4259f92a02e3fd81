"""Cases as files: an app, its use, a target and what runs there today in; what changes, bill, estimate, verdict out.

`TOWLINE_REGENERATE=1` writes what is found into the files, to be reviewed as a diff.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
from tests.unit.test_catalog_bills import sections

from towline.core.units import byte_count
from towline.ops.compare import asked
from towline.planner.changes import Copies, Today
from towline.planner.outlook import Aim, Outlook, outlook
from towline.planner.outlook_shown import outlook_lines
from towline.planner.purchase import Machine
from towline.spec.read import read_with_mistakes

ROOT = Path(__file__).resolve().parent.parent.parent
CASES = sorted((ROOT / "tests" / "cases" / "planner").glob("plan-*.txt"))
DAY = date(2026, 11, 22)
NOTHING = "nothing"


def copies(text: str) -> tuple[Copies, ...]:
    """Lines such as `gen r1 x2 512MB`: a name, a revision, copies, and the limit of each where it has one."""
    found = []
    for line in text.splitlines():
        name, revision, count, *limit = line.split()
        found.append(Copies(name, int(count.removeprefix("x")), (revision,), byte_count(limit[0]) if limit else 0))
    return tuple(found)


def looked_at(parts: dict[str, str], folder: Path) -> Outlook:
    """The outlook of a case."""
    project, use = ROOT / parts["project"], folder / "usage.yaml"
    use.write_text(parts["usage"] + "\n" if parts["usage"] != NOTHING else "")
    made = asked(project, use, None, DAY)
    target = read_with_mistakes(project, parts["target"]).target
    assert target is not None
    today = Today()
    if parts["today"] != NOTHING:
        release, _, lines = parts["today"].partition("\n")
        today = Today(int(release.removeprefix("release ")), copies(lines))
    after = copies(parts["after"]) if "after" in parts else None
    memory, _, cpus = parts.get("here", "").partition(" ")
    here = Machine(byte_count(memory), int(cpus)) if memory else None
    return outlook(made.scene, made.usage, Aim(target, today, after, here))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, tmp_path: Path) -> None:
    """The outlook is the one in the file, line by line."""
    parts = sections(path.read_text())
    found = looked_at(parts, tmp_path)
    told = {**parts, "found": "\n".join(outlook_lines(found, assumed=parts["usage"] == NOTHING))}
    if os.environ.get("TOWLINE_REGENERATE"):
        body = "".join(f"--- {name}\n{part}\n" for name, part in told.items() if name != "title")
        path.write_text(parts["title"] + body)
    assert told == parts


def test_there_are_cases() -> None:
    """A folder that was moved does not pass in silence."""
    assert len(CASES) >= 6
