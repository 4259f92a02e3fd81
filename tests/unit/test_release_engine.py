"""The engine: what is recorded and told, failures, sites side by side, and operators that lose their lock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

import pytest
from tests.unit.release_scenes import Rehearsal, empty_sites

from towline.core.errors import Fenced, LockHeld, SiteUnreachable, StalePlan
from towline.core.events import StageBegan, StepBegan, StepBroke, StepDone
from towline.lab.fake import FakeSite
from towline.lab.keep import Memory
from towline.release.engine import run
from towline.release.journal import read
from towline.release.lock import Hold, differences, held, refuse_stale
from towline.release.resume import resume

if TYPE_CHECKING:
    from towline.core.events import Event
    from towline.lab.world import World
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Lease, Line, Plan

SCENE = "db postgres r1\napi web r1 after=db\nbox2/gen worker r1"
PATIENCE = 20.0
"""Seconds after which a test that waits for another thread gives up."""


class Clock:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_every_line_is_told_and_copied_in_the_callers_thread() -> None:
    """Events and copies come in order, from one thread, and say what the journal says."""
    rehearsal = empty_sites("box", "box2")
    events: list[Event] = []
    copies: list[Line] = []
    threads: set[int] = set()

    def listen(event: Event) -> None:
        threads.add(threading.get_ident())
        events.append(event)

    plan = rehearsal.prepare(SCENE)
    with held(rehearsal.sites, "operator") as hold:
        outcome = run(plan, rehearsal.sites, hold, rehearsal.home, listen, copies.append)
    assert outcome.ok
    assert (outcome.run, outcome.changed, outcome.already, outcome.failed) == ("1", len(plan.steps), 0, ())
    assert threads == {threading.get_ident()}
    stages = [event for event in events if isinstance(event, StageBegan)]
    assert [(one.number, one.of, one.name) for one in stages] == [
        (number, len(plan.stages), stage.name) for number, stage in enumerate(plan.stages, start=1)
    ]
    for kind in (StepBegan, StepDone):
        told = sorted(event.title for event in events if isinstance(event, kind))
        assert told == sorted(step.title for step in plan.steps)
    journals = [line for site in rehearsal.sites.values() for line in site.journal()]
    assert sorted(copies, key=repr) == sorted(journals, key=repr)
    assert (copies[0].event, copies[-1].event, copies[-1].outcome) == ("plan", "ended", "done")


def test_failure_waits_for_the_other_sites_of_its_stage_and_stops_there() -> None:
    """The batch beside the failed one is carried out to its end; no later stage begins."""
    rehearsal = empty_sites("box", "box2")
    events: list[Event] = []
    plan = rehearsal.prepare("api web r1\nbox2/gen worker r1 x3")
    rehearsal.home.fail("start api.r1.1", "its port is taken", "held by pid 7")
    with held(rehearsal.sites, "operator") as hold:
        outcome = run(plan, rehearsal.sites, hold, rehearsal.home, events.append)
    assert [(line.site, line.sentence) for line in outcome.failed] == [("box", "its port is taken")]
    assert [(event.sentence, event.evidence) for event in events if isinstance(event, StepBroke)] == [
        ("its port is taken", ("held by pid 7",))
    ]
    assert len(rehearsal.whole()["box2"]["instances"]) == 3
    assert rehearsal.home.journal()[-1].outcome == "failed"
    state = read(rehearsal.home, rehearsal.sites)
    assert state.open is not None
    assert state.open.outcome == "failed"


def test_unreachable_site_leaves_the_run_open() -> None:
    """An error of a driver is raised after the other sites have ended, and the journal knows of no end."""
    rehearsal = empty_sites("box", "box2")
    plan = rehearsal.prepare("api web r1\nbox2/gen worker r1 x3")

    class Cut:
        def __call__(self, moment: Literal["before", "after"], world: World, step: AnyStep) -> None:
            if step.title.startswith("start gen.r1.2"):
                rehearsal.sites["box2"].cut()

    far = FakeSite("box2", rehearsal.worlds["box2"], watchers=(Cut(),))
    rehearsal.sites["box2"] = far
    with pytest.raises(SiteUnreachable, match="`box2` does not answer"):
        rehearsal.carry_out(plan)
    state = read(rehearsal.home, rehearsal.copied().sites)
    assert state.open is not None
    assert state.open.outcome == "open"
    assert rehearsal.whole()["box"]["instances"]["api.r1.1"]["state"] == "ready"
    far.heal()
    after = rehearsal.copied()
    assert after.carry_out(resume(read(after.home, after.sites))).ok
    assert len(after.whole()["box2"]["instances"]) == 3


def test_site_that_falls_silent_is_an_error() -> None:
    """A batch whose lines stop before its steps do is never taken for done."""
    rehearsal = empty_sites("box")
    plan = rehearsal.prepare("api web r1")

    class Silent(FakeSite):
        def carry_out(self, batch, lease, run):  # type: ignore[no-untyped-def]
            yield from list(super().carry_out(batch, lease, run))[:1]

    rehearsal.sites["box"] = rehearsal.home = Silent("box", rehearsal.worlds["box"])
    with pytest.raises(SiteUnreachable, match="fell silent after 0 of 7 steps"):
        rehearsal.carry_out(plan)


def test_frozen_operator_changes_nothing_after_a_takeover() -> None:
    """A is frozen past its lease, B takes over and deploys; A wakes up, is told so, and nothing has changed."""
    clock, keep = Clock(), Memory()
    frozen, woken = threading.Event(), threading.Event()
    a = Rehearsal({"box": keep})
    plan = a.prepare("db postgres r1\napi web r1")
    a.home = a.sites["box"] = FakeSite("box", Freezing(keep, frozen, woken), clock)
    errors: list[BaseException] = []
    lease = a.home.acquire("ann@laptop pid 1", 30.0)
    thread = threading.Thread(target=_run_fenced, args=(a, plan, lease, errors))
    thread.start()
    assert frozen.wait(PATIENCE)

    b = FakeSite("box", keep, clock)
    with pytest.raises(LockHeld, match="ann@laptop pid 1 holds `box` for another 30 s"):
        b.acquire("bob@desk pid 2", 30.0)
    clock.now = 31.0
    with held({"box": b}, "bob@desk pid 2", 30.0) as hold:
        assert run(resume(read(b, {"box": b})), {"box": b}, hold, b).ok
        seen = keep.copied()
        woken.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert [type(error) for error in errors] == [Fenced]
        assert "bob@desk pid 2 has taken over" in str(errors[0])
        with keep.opened() as now, seen.opened() as then:
            assert now == then
        assert keep.lines() == seen.lines()


class Freezing(Memory):
    """An operator's view of a world: it stands still after a copy of `api` was seen ready, with no lock held."""

    def __init__(self, keep: Memory, frozen: threading.Event, woken: threading.Event) -> None:
        super().__init__(keep._world)
        self._lines, self._lock = keep._lines, keep._lock
        self._frozen, self._woken = frozen, woken

    def append(self, line: Line) -> None:
        super().append(line)
        if line.event == "done" and line.step is not None and line.step.title == "wait until api.r1.1 is ready":
            self._frozen.set()
            assert self._woken.wait(PATIENCE)


def _run_fenced(a: Rehearsal, plan: Plan, lease: Lease, errors: list[BaseException]) -> None:
    try:
        run(plan, a.sites, Hold({"box": lease}, 1000.0), a.home)
    except Fenced as error:
        errors.append(error)


def test_heartbeat_notices_a_takeover_and_ends_the_run_at_once() -> None:
    """While a step takes long, the renewal is refused: the run ends without waiting for the step."""
    clock, keep, going = Clock(), Memory(), threading.Event()
    release = threading.Event()

    class Slow(FakeSite):
        def apply(self, step: AnyStep) -> str:
            going.set()
            assert release.wait(PATIENCE)
            return super().apply(step)

    rehearsal = Rehearsal({"box": keep})
    plan = rehearsal.prepare("gen worker r1")
    rehearsal.home = rehearsal.sites["box"] = Slow("box", keep, clock)

    def take_over() -> None:
        assert going.wait(PATIENCE)
        clock.now = 100.0
        FakeSite("box", keep, clock).acquire("bob@desk pid 2", 1000.0)

    thread = threading.Thread(target=take_over)
    thread.start()
    try:
        with pytest.raises(Fenced), held(rehearsal.sites, "ann@laptop pid 1", 0.3) as hold:
            run(plan, rehearsal.sites, hold, rehearsal.home)
        assert going.is_set()
        assert not release.is_set(), "the step was still going on"
    finally:
        release.set()
        thread.join(PATIENCE)


def test_heartbeat_keeps_the_lock_while_a_step_takes_long() -> None:
    """A step longer than the lease loses nothing: the lease is renewed meanwhile."""
    keep = Memory()
    renewals = threading.Semaphore(0)

    class Counting(FakeSite):
        def renew(self, lease, seconds):  # type: ignore[no-untyped-def]
            super().renew(lease, seconds)
            renewals.release()

        def apply(self, step: AnyStep) -> str:
            for _ in range(4):
                assert renewals.acquire(timeout=PATIENCE)
            return super().apply(step)

    rehearsal = Rehearsal({"box": keep})
    plan = rehearsal.prepare("gen worker r1")
    rehearsal.home = rehearsal.sites["box"] = Counting("box", keep)
    with held(rehearsal.sites, "ann@laptop pid 1", 0.03) as hold:
        assert run(plan, rehearsal.sites, hold, rehearsal.home).ok


def test_locks_are_all_held_or_none() -> None:
    """When one site is held by somebody else, the sites taken before are given back."""
    rehearsal = empty_sites("box", "box2")
    rehearsal.sites["box2"].acquire("bob@desk pid 2", 60.0)
    with pytest.raises(LockHeld, match="bob@desk pid 2"), held(rehearsal.sites, "ann@laptop pid 1"):
        pass
    assert rehearsal.sites["box"].acquire("somebody else", 60.0).fence == 2


def test_lock_is_given_back_by_those_that_can_be_reached() -> None:
    """A site that is cut off frees itself later; the others are freed now, and the block's own result stands."""
    rehearsal = empty_sites("box", "box2")
    with held(rehearsal.sites, "ann@laptop pid 1"):
        rehearsal.sites["box2"].cut()
    assert rehearsal.sites["box"].acquire("bob@desk pid 2", 60.0)


def test_plan_that_the_sites_have_left_is_refused_in_words() -> None:
    """What changed between the plan and the lock is said; nothing is done."""
    rehearsal = empty_sites("box")
    assert rehearsal.deploy("api web r1\ngen worker r1").ok
    seen = rehearsal.facts()
    plan, _ = rehearsal.plan("api web r2\ngen worker r1")
    refuse_stale(plan, rehearsal.facts(), seen)
    rehearsal.home.break_instance("gen.r1.1")
    with pytest.raises(StalePlan, match=r"out of date: on box, gen\.r1\.1 is crashed$"):
        refuse_stale(plan, rehearsal.facts(), seen)
    with pytest.raises(StalePlan, match="box is not as it was"):
        refuse_stale(plan, rehearsal.facts())


def test_differences_name_everything_that_a_digest_covers() -> None:
    """Whatever makes two facts unequal has words."""
    rehearsal = empty_sites("box")
    scenes = ("api web r1", "api web r2\npage static r1", "db postgres r1\napi web r2", "DOWN", "PURGE db")
    before = rehearsal.facts()["box"]
    said = []
    for scene in scenes:
        assert rehearsal.deploy(scene).ok
        after = rehearsal.facts()["box"]
        said.append(differences(before, after))
        assert (before.digest == after.digest) == (not said[-1])
        before = after
    words = "\n".join(one for changes in said for one in changes)
    for part in ("api.r1.1 is gone", "api.r2.1 is there", "release 2 was begun", "the traffic of api goes to 127"):
        assert part in words
    for part in ("`build page` was run", "`prepare:db` was forgotten", "the data of db changed", "other routes"):
        assert part in words


def test_second_operator_with_the_same_plan_is_refused() -> None:
    """The number of a release that somebody else has begun meanwhile is not used twice."""
    rehearsal = empty_sites("box")
    plan = rehearsal.prepare("api web r1")
    assert rehearsal.carry_out(plan).ok
    with pytest.raises(StalePlan, match="release 1 was begun by somebody else"):
        rehearsal.carry_out(plan)
