"""Old sums done again: what documents once said of four systems, reproduced or contradicted, item by item.

A case holds what was claimed and of which parts it is the sum, and no figure that the planner computes: those stand in
`found`. `TOWLINE_REGENERATE=1` writes it, to be reviewed as a diff.
"""

from __future__ import annotations

import ast
import operator
import os
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path

import pytest
from tests.unit.test_catalog_bills import sections

from towline.ops.compare import asked
from towline.planner.compare import Verdict, verdict

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "tests" / "cases" / "planner"
CASES = sorted(one for one in FOLDER.glob("*.txt") if "--- claims" in one.read_text())
TODAY = date(2026, 11, 22)
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


@dataclass(frozen=True)
class Claim:
    """What was claimed: a name, a number or a range, and the parts that it is the sum of."""

    name: str
    low: Decimal
    high: Decimal
    sum: str

    @staticmethod
    def of(line: str) -> Claim:
        name, _, rest = line.partition(": ")
        claimed, _, parts = rest.partition(" = ")
        low, _, high = claimed.partition("..")
        return Claim(name, Decimal(low), Decimal(high or low), parts)

    def holds(self, computed: Decimal) -> bool:
        """Whether the claim is what comes out, in the digits in which it is written."""
        digits = Decimal(1).scaleb(self.low.as_tuple().exponent) if self.low == self.high else Decimal("0.01")  # type: ignore[arg-type]
        return self.low <= computed.quantize(digits, ROUND_HALF_UP) <= self.high


def value(text: str, known: dict[str, Decimal]) -> Decimal:
    """A sum over the names of a case; only the four operations."""

    def of(node: ast.expr) -> Decimal:
        if isinstance(node, ast.BinOp):
            return OPERATORS[type(node.op)](of(node.left), of(node.right))  # type: ignore[no-any-return]
        if isinstance(node, ast.Constant):
            return Decimal(str(node.value))
        return known[ast.unparse(node)]

    return of(ast.parse(text, mode="eval").body)


@cache
def verdict_of(path: Path) -> tuple[Verdict, Decimal]:
    """The target of a case, priced; and the rate that its euros were taken at."""
    parts = sections(path.read_text())
    project = ROOT / parts["project"]
    found = asked(project, project / parts["usage"], FOLDER / parts["prices"], TODAY)
    rates = found.scene.catalog.rates
    day = max(one.read for one in rates if one.read.year == 2025)
    if parts.get("rates") != "today":
        rates = tuple(one for one in rates if one.read <= day)
    usage = replace(found.usage, accept=()) if "accept" in parts else found.usage
    shape, slots = next(one for one in found.scene.own if one[0].key == parts["target"])
    scene = replace(found.scene, catalog=replace(found.scene.catalog, rates=rates))
    return verdict(scene, usage, shape, slots), max(rates, key=lambda one: one.read).rate


def known_values(found: Verdict, rate: Decimal, said: str) -> dict[str, Decimal]:
    """What a sum may name: each owner of the bill, its meters, the total, ways in seconds, users, and what was said."""
    known = {name: Decimal(number) for name, number in (line.split() for line in said.splitlines())}
    assert found.chosen.bill is not None
    for one in found.chosen.bill.lines:
        owner = one.owner.removesuffix(" account")
        known[owner] = known.get(owner, Decimal(0)) + one.line.counted.amount
        known[f"{owner}.{one.line.meter}"] = one.line.counted.amount
    known |= {way.name: Decimal(str(round(way.high / 1000, 3))) for way in found.estimate.ways}
    if found.carries is not None and found.carries.people is not None:
        known["users"] = Decimal(found.carries.people.concurrent)
    return {**known, "total": found.chosen.bill.total.amount, "rate": rate}


def report(path: Path) -> str:
    """What comes out of a case, line by line."""
    parts = sections(path.read_text())
    found, rate = verdict_of(path)
    if found.chosen.bill is None:
        return "\n".join(f"cannot be: {why}" for why in found.chosen.refused)
    known = known_values(found, rate, parts.get("said", ""))
    lines = [
        f"{one.line.counted!s:>12}  {one.owner} {one.line.meter}"
        for one in found.chosen.bill.lines
        if one.line.counted.amount
    ]
    for claim in map(Claim.of, parts["claims"].splitlines()):
        computed = value(claim.sum, known)
        word = "reproduced" if claim.holds(computed) else "contradicted"
        claimed = f"{claim.low}" if claim.low == claim.high else f"{claim.low} to {claim.high}"
        terms = ", ".join(f"{name} {known[name]}" for name in dict.fromkeys(names_in(claim.sum)))
        lines.append(f"{claim.name}: {word}; {round(computed, 2)} from {terms}; claimed {claimed}")
    broken = [one.sentence for one in found.chosen.risks]
    return "\n".join([*lines, *(f"risk: {sentence}" for sentence in broken)])


def names_in(text: str) -> list[str]:
    """The names of a sum, in their order."""
    tree = ast.parse(text, mode="eval")
    dotted = [ast.unparse(one) for one in ast.walk(tree) if isinstance(one, ast.Attribute)]
    plain = [one.id for one in ast.walk(tree) if isinstance(one, ast.Name)]
    return dotted + [one for one in plain if not any(name.startswith(f"{one}.") for name in dotted)]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_figures(path: Path) -> None:
    """What is reproduced, what is contradicted and by which items is what the file says."""
    text = path.read_text()
    parts = sections(text)
    found = {**parts, "found": report(path)}
    if os.environ.get("TOWLINE_REGENERATE"):
        body = "".join(f"--- {name}\n{part}\n" for name, part in found.items() if name != "title")
        path.write_text(parts["title"] + body)
    assert found == parts


def test_no_case_holds_what_the_planner_computes() -> None:
    """Beside claims and quoted numbers a case has no figure but those under `found`."""
    for path in CASES:
        parts = sections(path.read_text())
        for claim in map(Claim.of, parts["claims"].splitlines()):
            numbers = [one.value for one in ast.walk(ast.parse(claim.sum)) if isinstance(one, ast.Constant)]
            assert set(numbers) <= {12, 100}, f"{path.name}: {claim.sum}"


def test_the_sums_that_hold() -> None:
    """The figures that were right come out: one platform, a hybrid, its saving, a year, a free container."""
    text = "\n".join(report(path) for path in CASES)
    for line in (
        "platform total: reproduced; 21.00",
        "grand total: reproduced; 28.00",
        "saving: reproduced; 57.00",
        "production: reproduced; 92.00",
        "with monitoring: reproduced; 122.00",
        "in a year: reproduced; 1464.00",
        "sum: reproduced; 36.00",
        "sum: reproduced; 300.00",
        "total: reproduced; 0.00",
    ):
        assert line in text


def test_what_is_not_priced_is_listed() -> None:
    """Times, and figures without inputs, are told apart instead of being dropped."""
    listed = sections((FOLDER / "not-priced.txt").read_text())["listed"].splitlines()
    assert len(listed) == 5
