"""A plan as text and as JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.release_scenes import empty_sites

from towline.steps.model import plan_from_json, to_json
from towline.steps.show import heading, plan_json, plan_lines

PLAN, _ = empty_sites("box").plan("api web r1")


def test_json_has_titles_and_digest_and_is_still_the_plan() -> None:
    """What `--json` prints is what is kept, with words for people."""
    plain = plan_json(PLAN)
    assert plain["stages"][0]["batches"][0]["steps"][0]["title"] == "start door on port 7080"
    assert (plain["digest"], plain["empty"]) == (PLAN.digest, False)
    for extra in ("digest", "empty"):
        del plain[extra]
    for step in (step for stage in plain["stages"] for batch in stage["batches"] for step in batch["steps"]):
        del step["title"]
    assert plan_from_json(plain) == PLAN
    assert plain == to_json(PLAN)


@pytest.mark.parametrize(
    ("intent", "release", "words"),
    [
        ("deploy", 3, "release 3 of shop on test"),
        ("resume", 3, "what is left to do for shop on test"),
        ("rollback", 2, "shop on test back to release 2"),
        ("rollback", 0, "shop on test back to where it began"),
        ("down", 3, "shop on test down"),
        ("purge", 3, "the data of shop on test DELETED"),
    ],
)
def test_heading_says_what_the_plan_is_for(intent: str, release: int, words: str) -> None:
    """Each intent has its sentence."""
    assert heading(replace(PLAN, intent=intent, release=release)) == words  # type: ignore[arg-type]


def test_site_is_named_only_where_there_are_several() -> None:
    """On one site the name would be noise."""
    assert not any("box" in line for line in plan_lines(PLAN))
    both, _ = empty_sites("box", "box2").plan("api web r1\nbox2/gen worker r1")
    assert "     box2: start gen.r1.1" in plan_lines(both)
