"""Where images stand in a plan: brought before anything changes, cleared away when all is done, and on no way back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.unit.release_scenes import Rehearsal, bundle_of, empty_sites, things

from towline.core.errors import Refused
from towline.lab.fake import POINTS, Crash
from towline.release.build import build
from towline.release.journal import read
from towline.release.lock import held
from towline.release.resume import resume
from towline.release.rollback import rollback
from towline.steps.folders import PlaceFolder
from towline.steps.images import ClearAway, LoadImage

if TYPE_CHECKING:
    from towline.steps.model import Plan


def planned(rehearsal: Rehearsal, revision: str, *, bring: bool = True, oldest: int = 0) -> Plan:
    """A plan for one web service, with an image of that revision; its contents stashed."""
    facts = rehearsal.facts()
    (part,) = bundle_of(things(f"api web {revision}"), facts).sites
    folder = PlaceFolder(f"folders/{revision}", "public", ("api",), 1, 7)
    brought = (LoadImage(f"shop-api:{revision}", "c", (), 7), folder) if bring else ()
    gone = tuple(f"shop-api:r{number}" for number in range(1, oldest))
    part = replace(
        part,
        images=brought,
        clear_away=ClearAway(oldest, (f"shop-api:{revision}",), (), gone),
        image_notes={"api": "its image is known by its id alone", "other": "nobody starts it"},
    )
    with held(rehearsal.sites, "the one who stashes") as hold:
        rehearsal.home.stash(part.contents, hold.leases["box"])
    return build(replace(bundle_of((), facts), sites=(part,)), facts)


def images(rehearsal: Rehearsal) -> list[str]:
    found: list[str] = rehearsal.whole()["box"].get("images", [])
    return sorted(found)


def test_images_come_first_and_clearing_last() -> None:
    """What cannot be had is found out while the old version serves; the note is told of what starts alone."""
    plan = planned(empty_sites("box"), "r1")
    assert (plan.stages[0].name, plan.stages[-1].name) == ("images", "clear away")
    assert plan.notes == ("its image is known by its id alone",)


def test_a_plan_is_not_made_to_clear_away() -> None:
    """Where all is as it should be nothing is done at all."""
    rehearsal = empty_sites("box")
    assert rehearsal.carry_out(planned(rehearsal, "r1")).ok
    assert planned(rehearsal, "r1", bring=False).empty


def test_the_way_back_neither_brings_nor_clears() -> None:
    """The image of the release before is there still, and the newer one stays for another try."""
    rehearsal = empty_sites("box")
    for revision in ("r1", "r2"):
        assert rehearsal.carry_out(planned(rehearsal, revision)).ok
    plan = rollback(read(rehearsal.home, rehearsal.sites))
    assert not {"load-image", "place-folder", "clear-away"} & {step.kind for step in plan.steps}
    assert rehearsal.carry_out(plan).ok
    assert images(rehearsal) == ["shop-api:r1", "shop-api:r2"]


def test_what_was_cleared_away_is_refused_before_anything_is_touched() -> None:
    """Not found out in the middle of a rollback that has stopped the newer version."""
    rehearsal = empty_sites("box")
    for number in (1, 2, 3):
        assert rehearsal.carry_out(planned(rehearsal, f"r{number}", oldest=number - 1)).ok
    assert images(rehearsal) == ["shop-api:r2", "shop-api:r3"]
    assert rehearsal.carry_out(rollback(read(rehearsal.home, rehearsal.sites))).ok
    with pytest.raises(Refused, match="release 1 is no longer kept"):
        rollback(read(rehearsal.home, rehearsal.sites))


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("step", ["first", "last"])
def test_a_crash_at_an_image_is_resumed_and_taken_back(step: str, point: str) -> None:
    """Wherever it happens, both ends are those of the straight run."""
    straight = empty_sites("box")
    assert straight.carry_out(planned(straight, "r1")).ok
    before = straight.copied()
    plan = planned(straight, "r2", oldest=1)
    assert straight.carry_out(plan).ok
    for taken_back in (False, True):
        crashed = before.copied()
        again = planned(crashed, "r2", oldest=1)
        crashed.home.crash_at(0 if step == "first" else len(again.steps) - 1, point)  # type: ignore[arg-type]
        with pytest.raises(Crash):
            crashed.carry_out(again)
        crashed.home.heal()
        state = read(crashed.home, crashed.sites)
        assert crashed.carry_out(rollback(state) if taken_back else resume(state)).ok
        expected = before if taken_back else straight
        assert crashed.moving()["box"]["instances"] == expected.moving()["box"]["instances"]
