"""The journal: torn lines, the first `before` of a step, what is open, what stands, and how passes are called."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.unit.release_scenes import empty_sites

from towline.core.errors import Defect, StalePlan
from towline.release.journal import fold, parse, pass_name, read
from towline.steps.kinds import Shift
from towline.steps.model import Batch, Line, Plan, Stage, to_json

SHIFT = Shift("api", ("127.0.0.1:1",))
PLAN = Plan("shop", "test", 1, "deploy", (Stage("shift", (Batch("box", 0, (SHIFT, SHIFT)),)),), {})


def line(run: str, event: str, **more: object) -> Line:
    plain: dict[str, object] = {"at": "", "run": run, "event": event, "fence": 1, "site": "box"}
    return replace(Line(**plain), **more)  # type: ignore[arg-type]


def planned(run: str, plan: Plan = PLAN) -> Line:
    return line(run, "plan", plan=to_json(plan))


def step(run: str, event: str, index: int = 0, upstream: str = "") -> Line:
    before = {"upstreams": [upstream]} if event == "began" else None
    return line(run, event, stage=0, index=index, step=SHIFT, before=before)


def text(*lines: Line) -> str:
    return "".join(json.dumps(to_json(one)) + "\n" for one in lines)


def test_lines_come_back_as_they_were() -> None:
    """What was written is what is read, empty lines aside."""
    lines = (planned("1"), step("1", "began"), step("1", "done"))
    assert parse(text(*lines) + "\n") == lines


@pytest.mark.parametrize("cut", [2, 20, 60, 200])
def test_torn_last_line_is_left_out(cut: int) -> None:
    """Whoever died in the middle of a write leaves a line that does not count."""
    whole = text(planned("1"), step("1", "began"))
    assert parse(whole[:-cut]) == (planned("1"),)


def test_torn_line_is_left_out_when_another_pass_follows() -> None:
    """A later pass completes a torn line with a line end: the journal stays readable for ever."""
    torn = text(step("1", "done"))[:50] + "\n"
    read_back = parse(text(planned("1"), step("1", "began")) + torn + text(planned("1.resume.1")))
    assert [one.run for one in read_back] == ["1", "1", "1.resume.1"]


@pytest.mark.parametrize("bad", ["{}", '{"at": 1}', "what", '{"event" "plan"} and more'])
def test_malformed_line_in_the_middle_is_a_defect(bad: str) -> None:
    """A line that is whole but wrong is nothing to guess about: its number is said."""
    with pytest.raises(Defect, match="line 2 of the journal"):
        parse(text(planned("1")) + bad + "\n" + text(planned("1.resume.1")))


def test_torn_line_inside_a_pass_is_a_defect() -> None:
    """A dead writer does not go on: a torn line between two of the same pass is damage."""
    torn = text(step("1", "began"))[:40] + "\n"
    with pytest.raises(Defect, match="line 2"):
        parse(text(planned("1")) + torn + text(step("1", "done")))


def test_first_before_of_a_step_is_kept() -> None:
    """A resume finds what the first try left behind; the way back is what the first try found."""
    state = fold(
        [planned("1"), step("1", "began", 0, "old"), planned("1.resume.1"), step("1.resume.1", "began", 0, "half")]
    )
    (begun,) = state.runs[0].begun
    assert begun.before == {"upstreams": ["old"]}
    assert begun.last == "began"


def test_copies_of_lines_change_nothing() -> None:
    """Lines that were copied to another site may be read twice."""
    lines = [planned("1"), step("1", "began", 0, "old"), step("1", "failed"), line("1", "ended", outcome="failed")]
    lines += [planned("1.resume.1"), step("1.resume.1", "began", 0, "new"), step("1.resume.1", "done")]
    assert fold([*lines, *lines]) == fold(lines)


def test_step_that_failed_before_it_began_is_not_taken_back() -> None:
    """A step that could not even be asked about changed nothing."""
    assert fold([planned("1"), step("1", "failed")]).runs[0].begun == ()


def test_steps_without_a_plan_are_a_defect() -> None:
    """A journal without its plans cannot be recovered from, and says so."""
    with pytest.raises(Defect, match="run 4, and no plan"):
        fold([step("4", "began")])


@pytest.mark.parametrize("outcome", ["done", "failed", ""])
def test_open_is_the_last_run_that_is_not_done(outcome: str) -> None:
    """A run is open while its last pass has not ended well."""
    ended = [line("1", "ended", outcome=outcome)] if outcome else []
    state = fold([planned("1"), *ended])
    assert (state.open is None) == (outcome == "done")
    assert state.releases == ((1,) if outcome == "done" else ())


def test_passes_are_named_after_what_they_go_on_with() -> None:
    """A deploy is "7", its resumes and rollbacks count up, and a resume of a rollback says so."""
    assert pass_name(fold([]), replace(PLAN, release=7)) == "7"
    lines = [planned("7", replace(PLAN, release=7))]
    resumed, back = replace(PLAN, intent="resume"), replace(PLAN, intent="rollback", release=0)
    assert pass_name(fold(lines), resumed) == "7.resume.1"
    lines.append(planned("7.resume.1", resumed))
    assert pass_name(fold(lines), resumed) == "7.resume.2"
    assert pass_name(fold(lines), back) == "7.rollback.1"
    lines.append(planned("7.rollback.1", back))
    assert pass_name(fold(lines), resumed) == "7.rollback.1.resume.1"


def test_number_that_is_taken_is_refused() -> None:
    """Two operators who planned the same release: the second one's plan is out of date."""
    with pytest.raises(StalePlan, match="release 1 was begun"):
        pass_name(fold([planned("1")]), PLAN)


def test_rollbacks_take_finished_releases_off_the_top() -> None:
    """What stands after a rollback is what stood before the release, and the next one goes further back."""
    plans = [planned(str(number), replace(PLAN, release=number)) for number in (1, 2, 3)]
    done = [line(str(number), "ended", outcome="done") for number in (1, 2, 3)]
    lines = [plans[0], done[0], plans[1], done[1], plans[2], done[2]]
    back = replace(PLAN, intent="rollback", release=2)
    lines += [planned("3.rollback.1", back), line("3.rollback.1", "ended", outcome="done")]
    assert fold(lines).releases == (1, 2)
    assert fold(lines).open is None


def test_journals_of_all_sites_are_one() -> None:
    """Steps are in the journal of their site, plans in the one at home; together they tell everything."""
    rehearsal = empty_sites("box", "box2")
    assert rehearsal.deploy("api web r1\nbox2/gen worker r1").ok
    assert all(one.event not in ("plan", "ended") for one in rehearsal.sites["box2"].journal())
    state = read(rehearsal.home, rehearsal.sites)
    assert {begun.site for begun in state.runs[0].begun} == {"box", "box2"}
    assert len(state.runs[0].begun) == len(state.runs[0].plan.steps)
