"""The verdict of `verify`: good only when something was seen and all of it was good."""

from __future__ import annotations

import pytest

from towline.ops.report import Check, Verdict

GOOD = Check("db is alive", ok=True, saw="1 ready")
BAD = Check("api is alive", ok=False, saw="0 of 1 ready", hint="towline logs api")


@pytest.mark.parametrize(
    ("checks", "ok", "summary"),
    [
        ((GOOD, GOOD), True, "VERIFIED 2 of 2 checks in 1.2 s"),
        ((GOOD, BAD, GOOD), False, "FAILED 2 of 3 checks in 1.2 s"),
        ((BAD,), False, "FAILED 0 of 1 checks in 1.2 s"),
        ((), False, "FAILED 0 of 0 checks in 1.2 s"),
    ],
)
def test_the_summary_counts_what_was_good(checks: tuple[Check, ...], summary: str, *, ok: bool) -> None:
    """No checks at all prove nothing, so they are no success."""
    verdict = Verdict(checks, 1.2345)
    assert verdict.ok is ok
    assert verdict.summary == summary


def test_json_has_every_check() -> None:
    """In the order in which they were made, with their hints."""
    assert Verdict((GOOD, BAD), 1.23456).as_json() == {
        "ok": False,
        "seconds": 1.235,
        "checks": [
            {"name": "db is alive", "ok": True, "saw": "1 ready", "hint": None},
            {"name": "api is alive", "ok": False, "saw": "0 of 1 ready", "hint": "towline logs api"},
        ],
    }
