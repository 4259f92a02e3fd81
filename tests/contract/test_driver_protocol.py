"""What every driver makes true of its site, whatever it can run there: facts, lock, fence, stash, journal, batches."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.driver_bench import NOW, Bench, ok, opened, taken_over
from tests.contract.driver_cases import MARK, PROTOCOL_CASES, SITE

from towline.core.errors import Fenced, LockHeld
from towline.release.lock import held
from towline.release.resume import resume
from towline.steps.model import Batch, Line, Plan, Stage, to_json

if TYPE_CHECKING:
    from tests.contract.driver_cases import TinyApp

bench = pytest.fixture(params=PROTOCOL_CASES)(opened)

# Facts


def test_empty_site_answers(bench: Bench) -> None:
    """A site where nothing ever was has facts: nothing runs, ports are free, and looking changes nothing."""
    facts = bench.driver.observe()
    assert (facts.site, facts.instances, facts.stores, facts.upstreams, facts.tasks) == (SITE, (), (), {}, {})
    assert (facts.door, facts.releases, facts.begun, bench.driver.journal()) == (None, (), 0, ())
    assert len(facts.room.ports) >= 16
    assert facts.salt.reveal()
    again = bench.again().observe()
    assert (again.digest, again.salt) == (facts.digest, facts.salt)


# The lock


def test_lock_has_one_holder(bench: Bench) -> None:
    """A second operator is refused and told who holds it; the first may take it again, with a higher fence."""
    first = bench.driver.acquire("ann@laptop pid 1", 60.0)
    with pytest.raises(LockHeld, match="ann@laptop pid 1"):
        bench.again().acquire("bob@desk pid 2", 60.0)
    assert bench.driver.acquire("ann@laptop pid 1", 60.0).fence > first.fence


def test_lock_that_was_given_back_is_free(bench: Bench) -> None:
    """The fence grows over releases of the lock too; an old lease cannot give a newer one back."""
    first = bench.driver.acquire("ann@laptop pid 1", 60.0)
    bench.driver.release(first)
    second = bench.again().acquire("bob@desk pid 2", 60.0)
    assert second.fence > first.fence
    bench.driver.release(first)
    with pytest.raises(LockHeld, match="bob@desk pid 2"):
        bench.driver.acquire("ann@laptop pid 1", 60.0)


def test_lock_that_ran_out_is_taken_over(bench: Bench) -> None:
    """An operator that is gone blocks nobody for longer than its lease."""
    old, new = taken_over(bench)
    assert new.fence > old.fence


def test_renewed_lock_lasts(bench: Bench) -> None:
    """A renewal counts from now: a lock that would have run out is still held."""
    lease = bench.driver.acquire("ann@laptop pid 1", 0.2)
    bench.driver.renew(lease, 60.0)
    over = time.monotonic() + 0.3
    while time.monotonic() < over:
        with pytest.raises(LockHeld):
            bench.again().acquire("bob@desk pid 2", 60.0)


def test_lock_and_look_are_one_question_to_a_distant_site(bench: Bench) -> None:
    """What is seen under the lock is what a look of its own sees; who holds it lets nobody in."""
    before = bench.driver.observe()
    with held({bench.driver.site: bench.driver}, "ann@laptop pid 1", look=True) as hold:
        assert hold.seen[bench.driver.site].digest == before.digest
        with (
            pytest.raises(LockHeld, match="ann@laptop pid 1"),
            held({bench.driver.site: bench.again()}, "bob@desk pid 2", look=True),
        ):
            pass
    bench.driver.release(bench.again().acquire("bob@desk pid 2", 60.0))


def test_old_operator_changes_nothing_after_a_takeover(bench: Bench) -> None:
    """Renewing, stashing, recording and acting are refused under an old lease, and nothing has changed."""
    app = bench.app
    old, _ = taken_over(bench)
    before = (bench.driver.observe().digest, bench.driver.journal())
    batch = Batch(SITE, 0, (app.task("once", marker="m1"),))
    with pytest.raises(Fenced, match="bob@desk pid 2"):
        bench.driver.renew(old, 60.0)
    with pytest.raises(Fenced):
        bench.driver.stash(app.contents, old)
    with pytest.raises(Fenced):
        bench.driver.record(Line(at=NOW, run="1", event="ended", fence=old.fence, outcome="done"), old)
    with pytest.raises(Fenced):
        list(bench.driver.carry_out(batch, old, "1"))
    assert (bench.driver.observe().digest, bench.driver.journal()) == before


# Stash and batches


def test_stash_twice_is_stash_once(bench: Bench) -> None:
    """Contents are addressed by digest: again is no change, and no fact."""
    app = bench.app
    task = app.task("once", marker="m1")
    before = bench.driver.observe().digest
    with held({SITE: bench.driver}, "operator") as hold:
        for driver in (bench.driver, bench.driver, bench.again()):
            driver.stash(app.contents, hold.leases[SITE])
    assert bench.driver.observe().digest == before
    assert [line.event for line in bench.carry(task)] == ["began", "done"]


def test_failed_step_ends_the_batch_with_evidence(bench: Bench) -> None:
    """The program's last words are in the line; what comes after is not begun; the next try may succeed."""
    app = bench.app
    bench.case.breaks(bench.driver, "tidy")
    lines = bench.carry(app.task("broken", marker="m1"), app.task("once", marker="m2"), app=app)
    assert [(line.event, line.index) for line in lines] == [("began", 0), ("failed", 0)]
    assert lines[-1].sentence
    assert "the last words of the task" in "\n".join(lines[-1].evidence)
    assert MARK not in repr(lines)
    assert bench.driver.observe().tasks == {}
    bench.carry(app.task("once", marker="m2"), app=app)


def test_task_with_a_marker_runs_once_and_without_one_always(bench: Bench) -> None:
    """The marker it was last done with is a fact."""
    app = bench.app
    once, always = app.task("once", marker="m1"), app.task("always", marker=None)
    assert [line.already for line in bench.done(once, once, always, always, app=app)] == [False, True, False, False]
    assert bench.driver.observe().tasks == {"tidy": "m1"}
    assert [line.already for line in bench.done(app.task("again", marker="m2"), app=app)] == [False]


def test_batch_comes_in_order_and_is_so_the_second_time(bench: Bench) -> None:
    """Each step gives `began` with what it found, then `done` with what it saw; again, all is so already."""
    app = bench.app
    steps = tuple(
        replace(app.task("once", marker="m1"), name=name) for name in ("tidy", "sweep it", "wash: 'all' \"$x\"")
    )
    first = bench.carry(*steps, app=app)
    assert [(line.event, line.index) for line in first] == [
        (event, number) for number in range(len(steps)) for event in ("began", "done")
    ]
    assert [line.step for line in first if line.event == "began"] == list(steps)
    assert all(line.saw for line in first if line.event == "done")
    assert all(line.before is not None for line in first if line.event == "began")
    before = bench.driver.observe().digest
    assert [line.already for line in bench.done(*steps)] == [True] * len(steps)
    assert bench.driver.observe().digest == before


# Runs


def two_stages(bench: Bench, app: TinyApp) -> Plan:
    """A plan of two stages with a task each."""
    first, second = (replace(app.task(word, marker=word), name=word) for word in ("first", "second"))
    stages = tuple(Stage(one.name, (Batch(SITE, number, (one,)),)) for number, one in enumerate((first, second)))
    return Plan("tiny", "test", 1, "deploy", stages, {SITE: bench.driver.observe().digest})


def test_run_is_in_the_journal_of_the_next_process(bench: Bench) -> None:
    """Plan, steps and outcome come back as they were written, whoever reads them; no value is among them."""
    app = bench.app
    plan = two_stages(bench, app)
    with held({SITE: bench.driver}, "operator") as hold:
        bench.driver.stash(app.contents, hold.leases[SITE])
    ok(bench.carry_out(plan))
    lines = bench.driver.journal()
    assert bench.again().journal() == lines
    assert [line.event for line in lines] == ["plan", "began", "done", "began", "done", "ended"]
    assert lines[0].plan == to_json(plan)
    assert lines[-1].outcome == "done"
    facts = bench.again().observe()
    assert (facts.releases, facts.begun, facts.tasks) == ((1,), 1, {"first": "first", "second": "second"})
    assert bench.state().releases == (1,)
    assert MARK not in json.dumps([*map(to_json, lines), to_json(facts)])


def test_run_that_broke_off_is_finished_by_another(bench: Bench) -> None:
    """An operator who is gone between two stages: what holds is not done again, and the run ends."""
    app = bench.app
    plan = two_stages(bench, app)
    with held({SITE: bench.driver}, "ann@laptop pid 1") as hold:
        lease = hold.leases[SITE]
        bench.driver.stash(app.contents, lease)
        bench.driver.record(Line(at=NOW, run="1", event="plan", fence=lease.fence, plan=to_json(plan)), lease)
        list(bench.driver.carry_out(plan.stages[0].batches[0], lease, "1"))
    bench.driver = bench.again()
    ok(bench.carry_out(resume(bench.state())))
    done = [(line.step.title, line.already) for line in bench.driver.journal() if line.event == "done" and line.step]
    assert len([one for one in done if not one[1]]) == 2
    assert bench.driver.observe().releases == (1,)
