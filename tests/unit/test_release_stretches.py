"""What travels together: stages in a row that concern one site alone, with the lines around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.release_scenes import Rehearsal, empty_sites

from towline.core.events import StageBegan
from towline.lab.fake import FakeSite
from towline.release.engine import run
from towline.release.journal import read
from towline.release.lock import held
from towline.release.resume import resume
from towline.steps.model import as_stretch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.core.events import Event
    from towline.steps.model import Batch, Lease, Line, Stretch


class Asked(FakeSite):
    """A site that keeps what it was asked to carry out, and which lines it was asked to write."""

    def __init__(self, site: FakeSite) -> None:
        super().__init__(site.site, site.keep)
        self.work: list[Stretch] = []
        self.recorded: list[str] = []

    def carry_out(self, work: Batch | Stretch, lease: Lease, run: str) -> Iterator[Line]:
        self.work.append(as_stretch(work))
        return super().carry_out(work, lease, run)

    def record(self, line: Line, lease: Lease) -> None:
        self.recorded.append(line.event)
        super().record(line, lease)


def asked(rehearsal: Rehearsal) -> dict[str, Asked]:
    """The same sites, which keep what they are asked."""
    made = {name: Asked(site) for name, site in rehearsal.sites.items()}
    rehearsal.sites.update(made)
    rehearsal.home = made[rehearsal.home.site]
    return made


def test_one_site_is_sent_everything_at_once() -> None:
    """All stages, the plan before them and the end after them, in one question."""
    rehearsal = empty_sites("box")
    plan = rehearsal.prepare("db postgres r1\napi web r1 after=db\ngen worker r1")
    box = asked(rehearsal)["box"]
    assert rehearsal.carry_out(plan).ok
    assert len(plan.stages) > 3
    [work] = box.work
    assert work.batches == tuple(batch for stage in plan.stages for batch in stage.batches)
    assert (work.opening is not None, work.closing is not None, box.recorded) == (True, True, [])
    lines = box.journal()
    assert (lines[0].event, lines[-1].event, lines[-1].outcome) == ("plan", "ended", "done")


def test_sites_wait_for_each_other_between_stages_that_concern_both() -> None:
    """Such a stage goes to each of them by itself; what one of them does alone before and after goes together."""
    rehearsal = empty_sites("box", "box2")
    plan = rehearsal.prepare("db postgres r1\napi web r1 after=db\nbox2/gen worker r1 after=db")
    sites = asked(rehearsal)
    assert rehearsal.carry_out(plan).ok
    for name, site in sites.items():
        done = [batch for work in site.work for batch in work.batches]
        assert done == [batch for stage in plan.stages for batch in stage.batches if batch.site == name]
    both = {batch.stage for stage in plan.stages if len(stage.batches) == 2 for batch in stage.batches}
    assert both
    for site in sites.values():
        for work in site.work:
            assert len(work.batches) == 1 or not {batch.stage for batch in work.batches} & both
    assert len(sites["box"].work) < sum(batch.site == "box" for stage in plan.stages for batch in stage.batches)


def test_another_site_writes_no_line_of_the_engine() -> None:
    """Plan and end are in the journal at home, also where another site is the only one that acts."""
    rehearsal = empty_sites("box", "box2")
    plan = rehearsal.prepare("box2/gen worker r1")
    sites = asked(rehearsal)
    assert rehearsal.carry_out(plan).ok
    assert sites["box"].recorded == ["plan", "ended"]
    assert [(work.opening, work.closing) for work in sites["box2"].work] == [(None, None)]
    assert {line.event for line in sites["box2"].journal()} == {"began", "done"}


def test_stages_are_told_in_order_also_when_they_travel_together() -> None:
    """Each once, before the first of its steps; those that are never reached are not told."""
    rehearsal = empty_sites("box")
    plan = rehearsal.prepare("db postgres r1\napi web r1 after=db")
    rehearsal.home.fail("start api.r1.1", "its port is taken")
    told: list[Event] = []
    with held(rehearsal.sites, "operator") as hold:
        outcome = run(plan, rehearsal.sites, hold, rehearsal.home, told.append)
    assert not outcome.ok
    names = [stage.name for stage in plan.stages]
    began = [event.name for event in told if isinstance(event, StageBegan)]
    assert began == names[: names.index("start api") + 1]
    assert rehearsal.home.journal()[-1].outcome == "failed"


def test_resume_of_a_stretch_begins_where_it_broke_off() -> None:
    """The stages that are wholly done are not sent again."""
    rehearsal = empty_sites("box")
    plan = rehearsal.prepare("db postgres r1\napi web r1 after=db")
    rehearsal.home.fail("start api.r1.1", "its port is taken")
    assert not rehearsal.carry_out(plan).ok
    rehearsal.home.heal()
    box = asked(rehearsal)["box"]
    assert rehearsal.carry_out(resume(read(rehearsal.home, rehearsal.sites))).ok
    [work] = box.work
    assert work.batches[0].stage == [stage.name for stage in plan.stages].index("start api")
