"""Old sums done again: a case file to a table of what was said, what its own prices give, and what today's give."""

from __future__ import annotations

import ast
import operator
import tempfile
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from tests.unit.test_catalog_bills import sections

from towline.ops.compare import asked
from towline.planner.compare import Verdict, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "tests" / "cases" / "planner"
CASES = sorted(one for one in FOLDER.glob("*.txt") if "--- claims" in one.read_text())
TODAY = date(2026, 11, 22)
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
HEAD = ("figure", "the document", "its own prices", "today", "")


@dataclass(frozen=True)
class Claim:
    """What was claimed: a name, a number or a range, and the parts that it is the sum of."""

    name: str
    low: Decimal
    high: Decimal
    sum: str

    @staticmethod
    def of(line: str) -> Claim:
        """A claim as a case writes it: `total: 8..15 = total`."""
        name, _, rest = line.partition(": ")
        claimed, _, parts = rest.partition(" = ")
        low, _, high = claimed.partition("..")
        return Claim(name, Decimal(low), Decimal(high or low), parts)

    @property
    def text(self) -> str:
        """The number, or the range."""
        return f"{self.low}" if self.low == self.high else f"{self.low} to {self.high}"

    @property
    def names(self) -> list[str]:
        """The names of its sum, in their order."""
        tree = ast.parse(self.sum, mode="eval")
        dotted = [ast.unparse(one) for one in ast.walk(tree) if isinstance(one, ast.Attribute)]
        plain = [one.id for one in ast.walk(tree) if isinstance(one, ast.Name)]
        return dotted + [one for one in plain if not any(name.startswith(f"{one}.") for name in dotted)]

    def written(self, computed: Decimal) -> Decimal:
        """What comes out, in the digits in which the claim is written."""
        digits = self.low.as_tuple().exponent
        return computed.quantize(Decimal(1).scaleb(int(digits)), ROUND_HALF_UP)

    def holds(self, computed: Decimal) -> bool:
        """Whether the claim is what comes out."""
        if self.low == self.high:
            return self.written(computed) == self.low
        return self.low <= round(computed, 2) <= self.high


def value(text: str, known: Mapping[str, Decimal]) -> Decimal:
    """A sum over the names of a case; only the four operations."""

    def of(node: ast.expr) -> Decimal:
        if isinstance(node, ast.BinOp):
            return OPERATORS[type(node.op)](of(node.left), of(node.right))  # type: ignore[no-any-return]
        if isinstance(node, ast.Constant):
            return Decimal(str(node.value))
        return known[ast.unparse(node)]

    return of(ast.parse(text, mode="eval").body)


@dataclass(frozen=True)
class Priced:
    """A target under one price list: its verdict, what a sum may name (nothing where it cannot be), and its bill.

    `parts` are those of the names that something is paid for.
    """

    verdict: Verdict
    known: Mapping[str, Decimal]
    parts: frozenset[str]

    @property
    def bill(self) -> str:
        """Every line that costs something, or why it cannot be."""
        if self.verdict.chosen.bill is None:
            return "\n".join(f"cannot be: {why}" for why in self.verdict.chosen.refused)
        lines = (one for one in self.verdict.chosen.bill.lines if one.line.counted.amount)
        return "\n".join(f"{one.line.counted!s:>12}  {one.owner} {one.line.meter}" for one in lines)


@dataclass(frozen=True)
class Row:
    """One figure: what was said, what comes out under both price lists, and the word on it."""

    figure: str
    said: str
    then: str
    today: str
    word: str


@cache
def priced(path: Path, *, today: bool) -> Priced:
    """The target of a case under the prices of its document, or under today's."""
    parts = sections(path.read_text())
    project = ROOT / parts["project"]
    on = TODAY if today else date.fromisoformat(parts["on"])
    with tempfile.TemporaryDirectory() as folder:
        use = Path(folder) / "usage.yaml"
        use.write_text(_usage(project / parts["usage"], parts, today=today))
        found = asked(project, use, None if today else ROOT / parts["prices"], on)
    shape, slots = next(one for one in found.scene.own if one[0].key == parts["target"])
    judged = verdict(found.scene, found.usage, shape, slots)
    app = found.scene.app
    names = [*(one.name for one in app.services), *(one.name for one in app.stores)]
    bill = judged.chosen.bill
    owners = {one.owner.removesuffix(" account") for one in bill.lines} if bill is not None else set()
    rate = max(found.scene.catalog.rates, key=lambda one: one.read).rate
    return Priced(judged, _known(judged, names, rate, parts.get("said", "")), frozenset({*names, *owners}))


def _usage(path: Path, parts: Mapping[str, str], *, today: bool) -> str:
    """The usage of a case: with the offers of today in the place of those that are gone, with nothing accepted."""
    yaml = YAML()
    page = yaml.load(path.read_text())
    if today:
        page["offers"].update(line.split() for line in parts.get("today", "").splitlines())
    if parts.get("accept") == "nothing":
        page["accept"] = []
    with tempfile.TemporaryFile("w+") as handle:
        yaml.dump(page, handle)
        handle.seek(0)
        return handle.read()


def _known(found: Verdict, names: list[str], rate: Decimal, said: str) -> Mapping[str, Decimal]:
    """What a sum may name: each owner of the bill, its meters, the total, ways in seconds, users, and what was said."""
    bill = found.chosen.bill
    if bill is None:
        return {}
    known = {name: Decimal(number) for name, number in (line.split() for line in said.splitlines())}
    known |= {name: Decimal(0) for name in names}
    known |= {line.owner.removesuffix(" account"): Decimal(0) for line in bill.lines}
    for one in bill.lines:
        owner = one.owner.removesuffix(" account")
        known[owner] += one.line.counted.amount
        known[f"{owner}.{one.line.meter}"] = one.line.counted.amount
    known |= {way.name: Decimal(str(round(way.high / 1000, 3))) for way in found.estimate.ways}
    if found.carries is not None and found.carries.people is not None:
        known["users"] = Decimal(found.carries.people.concurrent)
    return {**known, "total": bill.total.amount, "rate": rate}


def claims_of(path: Path) -> list[Claim]:
    """The claims of a case, in its order."""
    return [Claim.of(line) for line in sections(path.read_text())["claims"].splitlines()]


def rows_of(path: Path) -> list[Row]:
    """The table of a case."""
    then, today, claims = priced(path, today=False), priced(path, today=True), claims_of(path)
    return [
        Row(one.name, one.text, _shown(one, then.known), _shown(one, today.known), _word(one, then, claims))
        for one in claims
    ]


def _shown(claim: Claim, known: Mapping[str, Decimal]) -> str:
    return f"{value(claim.sum, known):.2f}" if known else "cannot be"


def _word(claim: Claim, then: Priced, claims: list[Claim]) -> str:
    if not then.known:
        return "; ".join(_first(why) for why in then.verdict.chosen.refused)
    computed = value(claim.sum, then.known)
    if claim.holds(computed):
        ends = {claim.low: "low", claim.high: "high"}
        end = ends.get(claim.written(computed)) if claim.low != claim.high else None
        return f"holds at its {end} end only" if end else "holds"
    items = [one for one in claims if _is_item(one, claim, then)]
    wrong = [one for one in items if not one.holds(value(one.sum, then.known))]
    if wrong:
        return f"does not: {', '.join(f'{one.name} {_shown(one, then.known)} and not {one.text}' for one in wrong)}"
    word = "does not, though each item does" if items else "does not"
    terms = ", ".join(f"{name} {then.known[name]}" for name in dict.fromkeys(claim.names))
    return f"{word}: {terms}" if len(claim.names) > 1 else word


def _is_item(one: Claim, of: Claim, then: Priced) -> bool:
    """Whether a claim is about a part of what another one sums up."""
    own, whole = ({name.partition(".")[0] for name in each.names} - {"rate"} for each in (one, of))
    return own < (then.parts | {"total"} if "total" in whole else whole) and "total" not in own


def _first(reason: str) -> str:
    """The reason without its explanation."""
    return ": ".join(reason.split(": ")[:2])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown writes it."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(one)} |".replace("  ", " ") for one in lines)


def found_in(path: Path) -> dict[str, str]:
    """What comes out of a case, by the sections of its file."""
    then, today = priced(path, today=False), priced(path, today=True)
    rows = [(one.figure, one.said, one.then, one.today, one.word) for one in rows_of(path)]
    found = {"found": table(HEAD, rows), "bill": then.bill, "bill of today": today.bill}
    broken = "\n".join(one.sentence for one in then.verdict.chosen.risks)
    return {**found, "rules that it breaks": broken} if broken else found
