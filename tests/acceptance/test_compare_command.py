"""`towline compare` as a person types it: what is printed where, exit statuses, JSON, the page, and bad input."""

from __future__ import annotations

import json
import re
import shutil
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.test_docs import run_blocks
from tests.acceptance.typed import typed

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


@pytest.fixture
def cooly(checkout: Path, tmp_path: Path) -> Path:
    """An example app, copied."""
    return shutil.copytree(checkout / "examples" / "cooly", tmp_path / "cooly")


def compare(folder: Path, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """`towline compare ...` in a folder."""
    return typed(folder, "compare", *words, status=status)


def answer(folder: Path, *words: str, status: int = 0) -> Any:
    """The one JSON document on stdout."""
    return json.loads(compare(folder, *words, "--json", status=status).stdout)


def test_the_guide(checkout: Path, tmp_path: Path) -> None:
    """Every command of the guide works, and says what the guide says."""
    said = run_blocks(checkout / "docs" / "guides" / "bill.md", tmp_path)
    assert "hybrid: API and database at Render, workers, queue and bucket on one server" in said
    assert "exit status 10" in said
    assert "exit status 11" in said
    assert "no steps: this version of Towline carries nothing out at `cloud` (render)" in said
    assert "the wish that costs most is availability" in said
    assert "10 to " in said
    assert (tmp_path / "compare.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("name", ["cooly", "cooly/managed", "kirby-gen", "repolens", "nutri"])
def test_every_example(checkout: Path, name: str) -> None:
    """Each example compares, its own target is among the shapes, and every bill is the sum of its lines."""
    found = answer(checkout / "examples" / name, "--on", "2026-11-22")
    shapes = {one["shape"]: one for one in found["shapes"]}
    assert shapes["production"]["feasible"]
    assert found["recommended"] in shapes
    for one in found["shapes"]:
        if one["bill"] is not None:
            assert Decimal(one["bill"]["total"]) == sum(Decimal(line["counted"]) for line in one["bill"]["lines"])


def test_the_same_question_has_the_same_answer(cooly: Path) -> None:
    """Two runs print the same bytes, in JSON and as a page."""
    first, second = (compare(cooly, "--on", "2026-11-22", "--json").stdout for _ in range(2))
    assert first == second
    compare(cooly, "--on", "2026-11-22", "--html", "one.html")
    compare(cooly, "--on", "2026-11-22", "--html", "two.html")
    assert (cooly / "one.html").read_bytes() == (cooly / "two.html").read_bytes()


def test_a_table_for_people(cooly: Path) -> None:
    """The table marks the recommended one; its bill follows; what is said about it goes to stderr."""
    done = compare(cooly)
    marked = [line for line in done.stdout.splitlines() if line.startswith("->")]
    assert len(marked) == 1
    assert "rests on: users at work 100" in done.stdout
    assert "note:" not in done.stdout


def test_a_sweep(cooly: Path) -> None:
    """Totals of every shape at each point, and tiers that cover the range."""
    found = answer(cooly, "--sweep", "users=10..2000:3")["sweep"]
    assert [one["users"] for one in found["points"]] == [10, 141, 2000]
    assert (found["tiers"][0]["from"], found["tiers"][-1]["to"]) == (10, 2000)
    assert all(set(one["totals"]) == set(found["points"][0]["totals"]) for one in found["points"])


def test_own_prices_change_the_bill(cooly: Path) -> None:
    """A price in towline-offers.toml is the one that is billed."""
    before = next(one for one in answer(cooly)["shapes"] if one["shape"] == "alone")
    (cooly / "towline-offers.toml").write_text(
        'date = 2026-11-20\n[offers."hetzner/server/cx23"]\nprices.instance = { amount = 2 }\n'
    )
    after = next(one for one in answer(cooly)["shapes"] if one["shape"] == "alone")
    assert Decimal(after["bill"]["total"]) < Decimal(before["bill"]["total"])
    assert any(line["confidence"] == "own" for line in after["bill"]["lines"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("near: mars/base\n", r"usage\.yaml:1: There is no region `mars/base`"),
        ("offers: {db: render/postgres/gold}\n", r"There is no offer `render/postgres/gold`"),
        ("currency: XAU\n", r"no currency that there is a rate for"),
        ("users: -3\n", r"usage\.yaml:1: .*a number that is not negative is wanted"),
        ("wishes: {area: europa}\n", r"usage\.yaml:1: There is no area `europa`; did you mean `europe`\?"),
        ("jobs: {secconds: 3}\n", r"Unknown key `secconds` of `jobs`; did you mean `seconds`\?"),
        ("users: [\n", r"This is no YAML"),
        ("wishes: {budget: much}\n", r"is not an amount of money"),
    ],
)
def test_bad_usage(cooly: Path, text: str, said: str) -> None:
    """Each mistake is told with its line and what is possible; exit status 2."""
    (cooly / "usage.yaml").write_text(text)
    assert re.search(said, compare(cooly, status=2).stderr)


def test_an_offer_for_something_else(cooly: Path) -> None:
    """A service is no server, however large: the target that names it cannot be, and is told so."""
    (cooly / "usage.yaml").write_text("offers: {box: render/service/pro-ultra}\n")
    alone = next(one for one in answer(cooly)["shapes"] if one["shape"] == "alone")
    assert not alone["feasible"]
    assert "it is for web, private, worker, and not for server" in alone["refused"][0]


def test_the_budget_of_a_target(cooly: Path) -> None:
    """What towline.yaml says that a target may cost is a wish for that target alone, in any currency."""
    page = cooly / "towline.yaml"
    text = page.read_text()
    page.write_text(text.replace("    shape: vps\n", "    shape: vps\n    budget: 5 EUR/month\n"))
    found = {one["shape"]: one for one in answer(cooly)["shapes"]}
    assert any("over the budget of 5.57 USD" in one for one in found["alone"]["unmet"])
    assert not any("budget" in one for one in found["vps"]["unmet"])
    page.write_text(text.replace("    shape: vps\n", "    shape: vps\n    budget: a lot\n"))
    assert "`budget`: 'a lot' is not an amount of money" in compare(cooly, status=2).stderr


def test_bad_words(cooly: Path, tmp_path: Path) -> None:
    """Unknown shapes, files, folders and ranges, and a Compose file that is none, are told; exit status 2."""
    assert "did you mean `hybrid`?" in compare(cooly, "--show", "hybrit", status=2).stderr
    assert "There is no file" in compare(cooly, "--usage", "none.yaml", status=2).stderr
    assert "no range to sweep over" in compare(cooly, "--sweep", "users", status=2).stderr
    assert "there is no folder" in compare(tmp_path, "-C", "nowhere", status=2).stderr
    (cooly / "compose.yaml").write_text("- not\n- compose\n")
    assert compare(cooly, status=2).stderr


def test_a_budget_that_nothing_meets(cooly: Path) -> None:
    """Exit status 10, the cheapest there is, and still every shape with its price."""
    with (cooly / "usage.yaml").open("a") as file:
        file.write("wishes: {budget: $1}\n")
    done = compare(cooly, status=10)
    assert re.search(
        r"nothing fits the budget: the cheapest that meets every other wish is .* at \d+\.\d\d USD", done.stderr
    )
    assert "over the budget of 1.00 USD" in done.stdout


def test_the_schema_is_one(tmp_path: Path) -> None:
    """`--schema` needs no project, and what it prints is JSON with a place for every section."""
    found = json.loads(compare(tmp_path, "--schema").stdout)
    assert {"users", "jobs", "wishes"} <= set(found["properties"])
