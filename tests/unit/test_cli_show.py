"""What a person sees: data on stdout, talk on stderr, the user's own words as they are."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from towline.cli.show import Screen
from towline.core import events
from towline.core.errors import Finding, Findings, SiteUnreachable, StepFailed, Where
from towline.ops.report import Check, Verdict

ODD = "a [red]b[/red] [/] [bold c] \\[x] :smile: [link=x]y"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wish of the terminal that runs the tests counts."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)


def finding(number: int, level: str, **more: object) -> Finding:
    return Finding(f"code-{number}", f"sentence {number}", level=level, **more)  # type: ignore[arg-type]


def test_findings_come_errors_first(capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise in the order in which they were found, each with place, code and hint lines."""
    Screen().findings(
        [
            finding(1, "warning", hint="one"),
            finding(2, "error", where=Where("compose.yaml", 3), hint="two\nthree"),
            finding(3, "warning"),
            finding(4, "error"),
        ]
    )
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "error compose.yaml:3: sentence 2 (code-2)\n"
        "    hint: two\n"
        "          three\n"
        "error sentence 4 (code-4)\n"
        "warning sentence 1 (code-1)\n"
        "    hint: one\n"
        "warning sentence 3 (code-3)\n"
    )


def test_an_error_with_all_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    """Sentence, place, evidence, then the hint after a blank line."""
    Screen().error(StepFailed("setup failed", where=Where("api"), hint="towline logs api", evidence=("l1", "l2")))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error api: setup failed\n    | l1\n    | l2\n\nhint: towline logs api\n"


def test_an_error_with_nothing_but_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """One line."""
    Screen().error(SiteUnreachable("no answer"))
    assert capsys.readouterr().err == "error no answer\n"


def test_findings_as_an_error_are_all_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Each of them, then how many."""
    Screen().error(Findings((finding(1, "error"), finding(2, "error"))))
    assert capsys.readouterr().err == (
        "error sentence 1 (code-1)\n"
        "error sentence 2 (code-2)\n"
        "error 2 mistakes found; nothing was started\n"
        "\nhint: towline check\n"
    )


def test_an_error_as_json_is_one_document_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing on stderr, so that a program needs to read one of them only."""
    error = Findings((finding(1, "error", hint="ü"),))
    Screen(as_json=True).error(error)
    out, err = capsys.readouterr()
    assert json.loads(out) == {"ok": False, "error": error.as_json()}
    assert "ü" in out
    assert out.endswith("}\n")
    assert err == ""


def test_words_of_the_user_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Square brackets, backslashes and colons mean something to the printer, and must not when others wrote them."""
    screen = Screen()
    screen.findings([Finding("c", ODD, where=Where(ODD), hint=ODD)])
    screen.error(StepFailed(ODD, where=Where(ODD), hint=ODD, evidence=(ODD,)))
    screen.listener(events.StageBegan(1, 2, ODD))
    screen.listener(events.StepBegan("local", ODD))
    screen.listener(events.Progressed("local", ODD, ODD))
    screen.listener(events.StepDone("local", ODD, already=False, seconds=0.4, saw=ODD))
    screen.listener(events.StepBroke("local", ODD, ODD))
    screen.listener(events.Noted(ODD))
    screen.table((ODD,), [(ODD,)])
    screen.verdict(Verdict((Check(ODD, ok=False, saw=ODD, hint=ODD),), 1.0))
    out, err = capsys.readouterr()
    assert err.count(ODD) == 3 + 4 + 1 + 2 + 2 + 1 + 1
    assert out.count(ODD) == 4


def test_a_moving_line_shows_words_as_they_are() -> None:
    """On a terminal, too, where the step at work is one line that changes."""
    screen = Screen()
    screen.talk.file = StringIO()
    screen.talk._force_terminal = True
    screen.listener(events.Progressed("local", "pip [red]x[/red]", "got [dim]y[/dim] [/]"))
    assert screen._status is not None
    shown = str(screen._status.status)
    screen.quiet()
    assert vars(screen)["_status"] is None
    assert shown == "pip [red]x[/red]  got [dim]y[/dim] [/]"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="[]/\\ab:=@ \"'#.(),{}", max_size=30).filter(lambda text: text.strip() == text != ""))
def test_any_words_are_shown_as_they_are(capsys: pytest.CaptureFixture[str], words: str) -> None:
    """Whatever brackets and backslashes come together."""
    screen = Screen()
    capsys.readouterr()
    screen.error(StepFailed(words, where=Where(words), hint=words, evidence=(words,)))
    assert capsys.readouterr().err == f"error {words}: {words}\n    | {words}\n\nhint: {words}\n"
    screen.listener(events.StepDone("local", words, already=False, seconds=0.4, saw=words))
    assert capsys.readouterr().err == f"    ✓ {words}  0.4 s  {words}\n"


def test_progress_in_a_file_is_finished_steps_only(capsys: pytest.CaptureFixture[str]) -> None:
    """No moving lines where nothing moves; what was there already is said to be."""
    screen = Screen()
    for event in (
        events.StageBegan(2, 3, "start"),
        events.StepBegan("local", "start api"),
        events.Progressed("local", "start api", "collecting"),
        events.StepDone("local", "start api", already=False, seconds=0.44, saw="pid 5"),
        events.StepDone("local", "start db", already=True, seconds=0.01, saw="pid 6"),
        events.StepBroke("local", "start web", "it ended with status 1", ("evidence",)),
        events.Noted("the data stays"),
    ):
        screen.listener(event)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "2/3 start\n"
        "    ✓ start api  0.4 s  pid 5\n"
        "    ✓ start db  already so\n"
        "    ✗ start web  it ended with status 1\n"
        "the data stays\n"
    )


def test_a_table_has_no_trailing_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns are straight, and a line ends where its last word does."""
    Screen().table(("NAME", "STATE"), [("api", "ready"), ("a-long-name", ""), ("db", "x" * 150)])
    out, err = capsys.readouterr()
    assert err == ""
    assert out == f"NAME         STATE\napi          ready\na-long-name\ndb           {'x' * 150}\n"


def test_a_verdict_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Checks and summary on stdout, the summary last; hints of what failed on stderr."""
    checks = (
        Check("db", ok=True, saw="1 ready", hint="unused"),
        Check("api", ok=False, saw="0", hint="towline logs api"),
    )
    Screen().verdict(Verdict(checks, 1.0))
    out, err = capsys.readouterr()
    assert out == "   check  what was seen\n✓  db     1 ready\n✗  api    0\nFAILED 1 of 2 checks in 1.0 s\n"
    assert err == "hint: towline logs api\n"


def test_a_verdict_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """One document."""
    verdict = Verdict((Check("db", ok=True, saw="1 ready"),), 1.0)
    Screen(as_json=True).verdict(verdict)
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == (verdict.as_json(), "")


@pytest.mark.parametrize(("no_color", "coloured"), [("1", False), (None, True)])
def test_no_color_is_respected(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, no_color: str | None, *, coloured: bool
) -> None:
    """Even where colour was asked for: no colour is sent, and the words are the same."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    Screen().error(SiteUnreachable("no answer"))
    err = capsys.readouterr().err
    assert ("\x1b[31m" in err) is coloured
    assert "error" in err
    assert "no answer" in err
