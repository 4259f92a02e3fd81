"""Data files: cases as files of a user's own offers in, findings out; and what an own file changes.

`TOWLINE_REGENERATE=1` writes what is found into the files, to be reviewed as a diff.
"""

from __future__ import annotations

import os
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towline.catalog.judge import CODES, doubts
from towline.catalog.measures import UNITS, amount_in, plain, quantity
from towline.catalog.read import Catalog, built_in, look
from towline.catalog.toml_lines import read_toml
from towline.core.errors import Finding, UsageError

CASES = sorted((Path(__file__).resolve().parent.parent / "cases" / "catalog" / "mistakes").glob("*.txt"))
BASE = built_in()
OWN = "towline-offers.toml"


def sections(text: str) -> dict[str, str]:
    """The parts of a case file by their divider; what stands above the first is its title."""
    parts = re.split(r"^--- (.+)$", text, flags=re.MULTILINE)
    return {"title": parts[0], **dict(zip(parts[1::2], [part.strip("\n") for part in parts[2::2]], strict=True))}


def read(own: str) -> tuple[Catalog, list[Finding]]:
    """The built-in catalogue with `own` over it, and what is wrong."""
    return look(BASE, read_toml(own, OWN))


def printed(findings: list[Finding]) -> str:
    """Findings as the case files hold them."""
    return "\n".join(
        f"{one.level} {one.where} {one.code}: {one.sentence}" + (f"\n    {one.hint}" if one.hint else "")
        for one in findings
    )


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_findings(path: Path) -> None:
    """All mistakes of the file are told at once, and nothing else."""
    parts = sections(path.read_text())
    found = {**parts, "findings": printed(read(parts[OWN])[1])}
    if os.environ.get("TOWLINE_REGENERATE"):
        body = "".join(f"--- {name}\n{text}\n" for name, text in found.items() if name != "title")
        path.write_text(parts["title"] + body)
    assert found == parts


def test_every_mistake_has_a_case() -> None:
    """Each code that is an error stands in a case file; `defined-twice` is proved below."""
    told = {code for path in CASES for code in re.findall(r"^error \S+ ([\w-]+):", path.read_text(), re.MULTILINE)}
    assert told | {"defined-twice"} == {code for code, (level, _) in CODES.items() if level == "error"}


def test_two_files_may_not_define_the_same() -> None:
    """Two built-in files with one name are refused, at the second."""
    twice = read_toml('[providers.render]\ntitle = "Render again"\n', "again.toml")
    found = look([*BASE, twice], None)[1]
    assert [(one.code, str(one.where)) for one in found if one.code == "defined-twice"] == [
        ("defined-twice", "again.toml:1")
    ]


def test_an_own_price_wins_and_says_so() -> None:
    """An own number replaces the built-in one with its own date and source; the rest of the offer stays."""
    own = 'date = 2026-11-20\n[offers."render/service/pro-plus"]\nprices.instance = { amount = 175 }\n'
    catalog, findings = read(own)
    assert findings == []
    offer, before = catalog.offer("render/service/pro-plus"), look(BASE, None)[0].offer("render/service/pro-plus")
    instance = offer.prices["instance"]
    assert (instance.amount, before.prices["instance"].amount) == (Decimal(175), None)
    assert (instance.evidence.confidence, instance.evidence.read) == ("own", date(2026, 11, 20))
    assert instance.evidence.note == ""
    assert offer.limits == before.limits
    assert catalog.own == {"render/service/pro-plus"}


def test_an_own_rate_is_the_newest() -> None:
    """Rates of the own file stand beside the built-in ones."""
    own = (
        'date = 2026-11-20\n[[rates]]\nbase = "USD"\nquote = "GBP"\nrate = 0.75\nread = 2026-11-20\nurl = "the bank"\n'
    )
    catalog, findings = read(own)
    assert findings == []
    assert len(catalog.rates) == len(look(BASE, None)[0].rates) + 1


WHOLE = [sections(path.read_text())[OWN] for path in CASES]
PIECES = [
    "",
    "[",
    "]",
    "{",
    "}",
    '"',
    "=",
    "3",
    "-1",
    "1e400",
    "true",
    "[]",
    "unknown",
    "\n",
    ",",
    ".",
    "\u00e9",
    "[[offers]]",
]


@st.composite
def mutilated(draw: st.DrawFn) -> str:
    """A file of a case with some of its pieces cut out, doubled or replaced."""
    text = draw(st.sampled_from(WHOLE))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.sampled_from([*PIECES, text[start:end] * 2])) + text[end:]
    return text


@settings(max_examples=120, deadline=None)
@given(mutilated() | st.text(max_size=60))
def test_whatever_is_written_gives_findings_and_no_traceback(own: str) -> None:
    """Any text is a catalogue or findings, each with a known code."""
    _, findings = look([], read_toml(own, OWN))
    assert all(one.code in CODES for one in findings)


def test_names_are_suggested() -> None:
    """A mistyped offer or region is answered with the nearest, or with what there is."""
    catalog = look(BASE, None)[0]
    with pytest.raises(UsageError, match="did you mean `hetzner/server/cx33`"):
        catalog.offer("hetzner/servr/cx33")
    with pytest.raises(UsageError) as refused:
        catalog.region("hetzner/moon")
    assert refused.value.hint == "regions of hetzner: `ash`, `fsn1`, `hel1`, `hil`, `nbg1` and `sin`"


@pytest.mark.parametrize(
    ("text", "measure", "found"),
    [("5 GB", "GB", "5"), ("20 TiB", "GB", "21990.23255552"), ("1M", "count", "1000000"), ("7", "count", "7")],
)
def test_quantities(text: str, measure: str, found: str) -> None:
    """Quantities are exact, in the own unit of their measure."""
    assert amount_in(text, measure) == Decimal(found)


def test_quantities_of_another_measure_are_refused() -> None:
    """Hours are no gigabytes, and a unit that nobody knows is told with those that are."""
    with pytest.raises(ValueError, match="measured in hour"):
        amount_in("5 hour", "GB")
    with pytest.raises(ValueError, match="is no unit: month"):
        quantity("5 parsec")


@given(st.decimals(0, 10**9, places=6), st.sampled_from(sorted(UNITS)))
def test_plain_numbers_read_back(number: Decimal, unit: str) -> None:
    """A number as it is printed is the number, and its unit is found again."""
    text = plain(number)
    assert Decimal(text.replace(",", "")) == number
    assert "E" not in text
    assert quantity(f"{text.replace(',', '')} {unit}") == (number, UNITS[unit])


def test_lines_are_found() -> None:
    """Tables, dotted keys, quoted names and items of lists know their lines."""
    text = 'a = 1\n\n[b."c/d"]\n# e = 2\nf.g = { h = 1 }\ni = [\n  1,\n  { j = 2 },\n]\n[[k]]\nl = 1\n[[k]]\nl = 2\n'
    lines = read_toml(text, "x").lines
    expected = {
        ("a",): 1, ("b", "c/d"): 3, ("b", "c/d", "f", "g"): 5, ("b", "c/d", "i", 0): 7, ("b", "c/d", "i", 1): 8,
        ("k", 0): 10, ("k", 1, "l"): 13,
    }  # fmt: skip
    assert {path: lines[path] for path in expected} == expected


def test_doubts_are_told_once_a_kind() -> None:
    """Old, contested, second-hand and missing numbers are warnings; what is no longer sold is not worth one."""
    catalog = look(BASE, None)[0]
    found = doubts(catalog, date(2026, 11, 22))
    assert {one.code for one in found} == {"stale", "conflict", "third-party", "missing"}
    assert all(one.level == "warning" and one.hint and one.where and one.where.line for one in found)
    assert not [one for one in found if "legacy" in one.sentence]
    assert "old-rate" in {one.code for one in doubts(catalog, date(2027, 2, 1))}
    fresh = {one.sentence for one in doubts(catalog, date(2024, 1, 1)) if one.code == "stale"}
    assert fresh == set()


def test_what_is_fresh_today_is_old_in_a_year() -> None:
    """A number read 80 days ago is no finding, and one of 91 days is."""
    catalog = look(BASE, None)[0]
    name = "hetzner/server/cx33"
    instance = catalog.offer(name).prices["instance"].evidence
    assert instance.age(date(2026, 11, 22)) == 80
    later = [one.sentence for one in doubts(catalog, date(2026, 12, 3)) if name in one.sentence]
    assert "instance" in later[0]
