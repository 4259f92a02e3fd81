"""What runs today, read off sites and journal, and what a bundle makes of it: the two ends of "what changes"."""

from __future__ import annotations

from tests.unit.release_scenes import Rehearsal, bundle_of, empty_sites, things

from towline.ops.outlook import after_of, today_of
from towline.planner.changes import Today, changes
from towline.release.down import plan_down
from towline.release.journal import read

FIRST = "db postgres r1\napi web r1 x2 after=db\npage static r1\nbox2/gen worker r1 x1"
SECOND = "db postgres r1\napi web r2 x2 after=db\npage static r2\nbox2/gen worker r1 x3"


def today(rehearsal: Rehearsal) -> Today:
    """What is there, of all sites together."""
    return today_of(tuple(rehearsal.facts().values()), read(rehearsal.home, rehearsal.sites))


def said(rehearsal: Rehearsal, scene: str) -> dict[str, str]:
    """What a scene would change."""
    after = after_of(bundle_of(things(scene), rehearsal.facts()))
    return {one.name: one.sentence for one in changes(today(rehearsal), after)}


def test_nothing_runs_before_the_first_release() -> None:
    """Empty sites have nothing, not even a front door that would count as a part of the app."""
    rehearsal = empty_sites("box", "box2")
    assert today(rehearsal) == Today(0, ())
    assert said(rehearsal, FIRST) == {"api": "new, 2 copies", "gen": "new, 1 copy", "db": "new, 1 copy", "page": "new"}


def test_what_was_deployed_stays() -> None:
    """Directly after a release there is nothing to tell of it, on any of its sites."""
    rehearsal = empty_sites("box", "box2")
    assert rehearsal.deploy(FIRST).ok
    assert today(rehearsal).release == 1
    assert set(said(rehearsal, FIRST).values()) == {"stays"}


def test_each_change_is_told_once() -> None:
    """A new revision, other copies, other files, and a part that goes."""
    rehearsal = empty_sites("box", "box2")
    assert rehearsal.deploy(FIRST).ok
    assert said(rehearsal, SECOND) == {"api": "changed", "gen": "1 copy to 3", "db": "stays", "page": "changed"}
    without = "\n".join(line for line in FIRST.splitlines() if not line.startswith("box2"))
    assert said(rehearsal, without)["gen"] == "goes, 1 copy"


def test_after_down_nothing_runs() -> None:
    """The last finished release is still known; nothing of it runs, its files included."""
    rehearsal = empty_sites("box", "box2")
    assert rehearsal.deploy(FIRST).ok
    assert rehearsal.carry_out(plan_down("shop", "test", rehearsal.facts())).ok
    assert today(rehearsal) == Today(1, ())
