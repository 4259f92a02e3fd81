"""The tree of errors is what its module says: one exit status a kind, one code a class, plain data for `--json`."""

from __future__ import annotations

import json
import re

import pytest

from towline.core import errors
from towline.core.errors import Finding, Findings, StepFailed, TowlineError, Where


def tree(kind: type[TowlineError]) -> list[type[TowlineError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in tree(child))]


def documented() -> dict[str, tuple[int, str]]:
    """Class to exit status and parent, read from the drawing in the module's docstring."""
    found, parents = {}, {0: "TowlineError"}
    for bars, name, status in re.findall(r"^ {4}([|` ]*-- )(\w+) +(\d+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(bars) // 4
        parents[depth] = name
        found[name] = (int(status), parents[depth - 1])
    return found


OWN = [kind for kind in tree(TowlineError) if kind.__module__ == "towline.core.errors"]


def test_the_drawing_is_the_tree() -> None:
    """Every class stands in the docstring under its parent, with its exit status."""
    real = {kind.__name__: (kind.exit_status, kind.__bases__[0].__name__) for kind in OWN if kind is not TowlineError}
    assert documented() == real
    assert len(real) == 10


def test_exit_statuses_tell_the_kinds_apart() -> None:
    """Scripts branch on them: the kinds of `Refused` share theirs, and so do the two mistakes of a user."""
    by_status: dict[int, set[str]] = {}
    for kind in OWN:
        by_status.setdefault(kind.exit_status, set()).add(kind.__name__)
    assert by_status == {
        1: {"TowlineError"},
        2: {"Findings", "UsageError"},
        3: {"Refused", "StalePlan", "LockHeld", "Fenced"},
        4: {"StepFailed"},
        5: {"CheckFailed"},
        6: {"SiteUnreachable"},
        70: {"Defect"},
    }


def test_codes_are_unique_and_written_alike() -> None:
    """A code names one class, in small words with hyphens."""
    codes = [kind.code for kind in OWN]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


def test_only_an_unreachable_site_is_worth_another_try() -> None:
    """Trying again helps against nothing else."""
    assert [kind.__name__ for kind in OWN if kind.retryable] == ["SiteUnreachable"]


@pytest.mark.parametrize("kind", [kind for kind in OWN if kind is not Findings])
def test_as_json_has_everything_that_is_said(kind: type[TowlineError]) -> None:
    """Code, sentence, place and hint, in plain data; the text of the exception is the sentence."""
    full = kind("it broke", where=Where("compose.yaml", 7), hint="towline logs api")
    expected = {"code": kind.code, "sentence": "it broke", "where": "compose.yaml:7", "hint": "towline logs api"}
    assert json.loads(json.dumps(full.as_json())).items() >= expected.items()
    bare = kind("it broke")
    assert bare.as_json().items() >= {"where": None, "hint": None}.items()
    assert str(bare) == "it broke"


def test_evidence_is_in_the_json_of_a_failed_step() -> None:
    """The last lines of what failed, in order."""
    error = StepFailed("setup failed", evidence=("one", "two"))
    assert error.as_json()["evidence"] == ["one", "two"]
    assert StepFailed("setup failed").as_json()["evidence"] == []


@pytest.mark.parametrize(
    ("levels", "sentence"),
    [
        (["error"], "1 mistake found; nothing was started"),
        (["error", "error", "warning"], "2 mistakes found; nothing was started"),
        (["warning", "error"], "1 mistake found; nothing was started"),
    ],
)
def test_findings_count_errors_only(levels: list[str], sentence: str) -> None:
    """Warnings stop nothing, so they are no mistakes; all are listed."""
    found = tuple(Finding(f"code-{n}", f"s{n}", level=level) for n, level in enumerate(levels))  # type: ignore[arg-type]
    error = Findings(found)
    assert error.sentence == sentence
    assert error.hint == "towline check"
    assert error.findings == found
    plain = error.as_json()
    assert plain["findings"] == [finding.as_json() for finding in found]
    assert plain["code"] == "findings"


def test_a_finding_as_json() -> None:
    """All five fields, the place as a text."""
    full = Finding("port-taken", "taken", where=Where("towline.yaml", 3), hint="choose another", level="warning")
    assert full.as_json() == {
        "code": "port-taken",
        "level": "warning",
        "sentence": "taken",
        "where": "towline.yaml:3",
        "hint": "choose another",
    }
    assert Finding("x", "y").as_json() == {"code": "x", "level": "error", "sentence": "y", "where": None, "hint": None}


def test_a_place_with_and_without_a_line() -> None:
    """Line 0 is a line; none is none."""
    assert [str(Where("a")), str(Where("a", 0)), str(Where("a", 12))] == ["a", "a:0", "a:12"]
