"""Old sums done again: what documents once said of four systems, reproduced or contradicted, item by item.

A case holds what was claimed and of which parts it is the sum, and no figure that the planner computes: those stand in
`found` and in the bills. `TOWLINE_REGENERATE=1` writes them, and docs/old-sums.md, to be reviewed as a diff.
"""

from __future__ import annotations

import ast
import os
from itertools import groupby
from pathlib import Path

import pytest
from tests.acceptance.old_sums import CASES, FOLDER, HEAD, ROOT, claims_of, found_in, rows_of, table
from tests.unit.test_catalog_bills import sections

PAGE = ROOT / "docs" / "old-sums.md"
SYSTEMS = {
    "cooly": "Cooly: pages, API and database at a platform, workers on a server",
    "kirby-gen": "Kirby-Gen: everything at one platform",
    "nutri": "Nutri: one server with a panel",
    "repolens": "RepoLens: two processes in one container",
}
INTRO = """\
<!-- Printed by tests/acceptance/test_old_sums.py with TOWLINE_REGENERATE=1. Change the cases, not this page. -->
# Old sums done again

Documents of 2025 said what four systems would cost and how fast they would be. Here each figure stands beside the one
that the planner computes from the same parts: with the prices that the documents quoted (`examples/prices-2025.toml`,
some of which no vendor ever had), and with today's of the catalogue, on 2026-11-22, where the offers that are gone have
the nearest of today in their place. Amounts are US dollars a month without tax unless the figure says otherwise. The
last column says whether the document's figure is what its own prices give, and else which item does not add up.
"""


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_figures(path: Path) -> None:
    """What is reproduced, what is contradicted and by which items, then and today, is what the file says."""
    parts = sections(path.read_text())
    given = {name: part for name, part in parts.items() if name not in _COMPUTED}
    found = {**given, **found_in(path)}
    if os.environ.get("TOWLINE_REGENERATE"):
        body = "".join(f"--- {name}\n{part}\n" for name, part in found.items() if name != "title")
        path.write_text(parts["title"] + body)
    assert found == parts


_COMPUTED = {"found", "bill", "bill of today", "rules that it breaks"}


def test_the_page() -> None:
    """The page of the docs holds one table for each system, out of the cases."""
    told = _page()
    if os.environ.get("TOWLINE_REGENERATE"):
        PAGE.write_text(told)
    assert PAGE.read_text() == told


def _page() -> str:
    parts = [INTRO]
    for system, paths in groupby(CASES, key=lambda path: Path(sections(path.read_text())["project"]).parts[1]):
        parts += [f"## {SYSTEMS[system]}\n", *_of_system([*paths]), ""]
    listed = sections((FOLDER / "not-priced.txt").read_text())["listed"].splitlines()
    parts += ["## What is no sum of prices\n", *(f"- {line}" for line in listed)]
    return "\n".join(parts) + "\n"


def _of_system(paths: list[Path]) -> list[str]:
    rows, notes = [], []
    for path in paths:
        given = sections(path.read_text())
        title, about = given["title"].strip(), f"`towline compare --project {given['project']}"
        about += f" --usage {given['project']}/{given['usage']} --offers {given['prices']}"
        about += f" --on {given['on']} --show {given['target']}`"
        swapped = "; ".join(line.replace(" ", ": `", 1) + "`" for line in given.get("today", "").splitlines())
        notes.append(f"- {title} {about}.{f' Today {swapped}.' if swapped else ''}")
        for number, one in enumerate(rows_of(path)):
            setup = f"**{path.stem}**" if number == 0 else ""
            rows.append((setup, one.figure, one.said, one.then, one.today, one.word))
    return [table(("case", *HEAD), rows), "", *notes]


def test_no_case_holds_what_the_planner_computes() -> None:
    """Beside claims and quoted numbers a case has no figure but those under `found`."""
    for path in CASES:
        for claim in claims_of(path):
            numbers = [one.value for one in ast.walk(ast.parse(claim.sum)) if isinstance(one, ast.Constant)]
            assert set(numbers) <= {12, 100}, f"{path.name}: {claim.sum}"


@pytest.mark.parametrize(
    ("case", "figure", "then"),
    [
        ("cooly-hybrid", "platform total", "21.00"),
        ("cooly-hybrid", "grand total", "28.00"),
        ("cooly-hybrid", "saving", "57.00"),
        ("kirby-production", "production", "92.00"),
        ("kirby-production", "with monitoring", "122.00"),
        ("kirby-production", "in a year", "1464.00"),
        ("kirby-small", "sum", "36.00"),
        ("kirby-large", "sum", "300.00"),
        ("repolens-free", "total", "0.00"),
    ],
)
def test_the_sums_that_hold(case: str, figure: str, then: str) -> None:
    """The figures that were right come out: one platform, a hybrid, its saving, a year, a free container."""
    (row,) = (one for one in rows_of(FOLDER / f"{case}.txt") if one.figure == figure)
    assert (row.then, row.word) == (then, "holds")


@pytest.mark.parametrize(
    ("case", "figure", "item"),
    [
        ("cooly-hybrid", "header", "does not"),
        ("cooly-managed", "queue and cache", "queue"),
        ("cooly-alone", "total", "low end only"),
        ("kirby-large", "list without the bucket", "media 5"),
        ("nutri", "total", "backups"),
        ("repolens-larger", "total", "512 MB are there"),
    ],
)
def test_what_does_not_add_up_is_named(case: str, figure: str, item: str) -> None:
    """A figure that does not hold says which of its items is to blame."""
    (row,) = (one for one in rows_of(FOLDER / f"{case}.txt") if one.figure == figure)
    assert item in row.word


def test_what_is_not_priced_is_listed() -> None:
    """Times, and figures without inputs, are told apart instead of being dropped."""
    listed = sections((FOLDER / "not-priced.txt").read_text())["listed"].splitlines()
    assert len(listed) == 5
