"""What was there and what should be, as files, with the plan between the two."""

from __future__ import annotations

import os

import pytest
from tests.unit.release_scenes import Case, cases

from towline.steps.show import plan_lines

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=[case.path.stem for case in CASES])
def test_plan_is_the_one_in_the_file(case: Case) -> None:
    """The plan of each case reads exactly as its file says; TOWLINE_UPDATE_CASES=1 writes the files anew."""
    plan, _ = case.rehearsal().plan(case.after)
    shown = "\n".join(plan_lines(plan)) + "\n"
    if os.environ.get("TOWLINE_UPDATE_CASES") == "1":
        case.path.write_text(f"{case.before}-----\n{case.after}-----\n{shown}")
        return
    assert shown == case.expected


def test_every_kind_of_change_has_a_case() -> None:
    """No case got lost: the crash tests run over these files."""
    assert len(CASES) >= 23
