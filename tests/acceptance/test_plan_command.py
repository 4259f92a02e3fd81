"""`towline plan TARGET` as a person types it: steps, what changes, bill, estimate, verdict; where no steps can be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.projects import Project

DAY = ("--on", "2026-11-22")


def plan(folder: Path, *words: str, status: int) -> subprocess.CompletedProcess[str]:
    """`towline plan ...` in a folder; it ends with `status` and never with a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "towline.cli.main", "plan", *words, *DAY],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def parts(told: dict[str, Any]) -> dict[str, str]:
    """What becomes of each service and store."""
    return {one["name"]: one["what"] for one in told["changes"]["parts"]}


def test_first_and_next_deploy(tiny: Project) -> None:
    """Before the first `up` nothing runs; after it nothing changes; then exactly what was changed is told."""
    first = tiny.run("plan").must(10).out
    assert "what changes: nothing runs today" in first
    assert "no usage.yaml: the use is assumed, 100 people at work at once" in first
    assert "api: new, 1 copy" in first
    assert "0.00 USD  total" in first
    assert first.index("start api") < first.index("what changes") < first.index("bill a month")
    assert "verdict: " in first
    tiny.up()
    same = tiny.run("plan", "--json").must(0).json()
    assert same["empty"]
    assert same["today"] == {"known": True, "release": 1, "runs": True}
    assert set(parts(same).values()) == {"stays"}
    tiny.version("api", "two")
    tiny.change("towline.yaml", "worker: { max_job: 10s }", "worker: { max_job: 10s, scale: { min: 2 } }")
    told = tiny.run("plan", "laptop", "--json").must(10).json()
    assert parts(told) == {"api": "changed", "worker": "1 copy to 2"}
    memory = told["changes"]["memory"]
    assert memory["after"] == memory["before"] + told["changes"]["parts"][1]["after"]["memory"]
    assert told["verdict"]["feasible"]
    assert "there" in told["estimate"]["carries"]["memory"]
    assert told["estimate"]["ways"]["request"]["mid_ms"] == 20
    tiny.run("down").must()
    down = tiny.run("plan").must(10).out
    assert "nothing runs today; the last finished release was 1" in down


def test_the_use_is_read(tiny: Project) -> None:
    """With a usage.yaml the capacity is of that use, and too few copies are a wish that is missed, with the number."""
    (tiny.path / "usage.yaml").write_text("users: 200\njobs: {per_user_hour: 6, seconds: 30s, slots: 2, within: 10s}\n")
    told = json.loads(tiny.run("plan", "--json").must(10).out, parse_constant=pytest.fail)
    assert told["estimate"]["ways"]["pickup"]["high_ms"] is None
    assert told["usage"]["file"] == "usage.yaml"
    assert told["usage"]["rests_on"]["users at work"] == "200"
    assert told["estimate"]["carries"]["headroom"]["worker"] < 1
    assert any("1 copy of worker" in one for one in told["verdict"]["unmet"])
    (tiny.path / "usage.yaml").write_text("users: -3\n")
    assert "usage.yaml:1" in tiny.run("plan").must(2).err


@pytest.mark.parametrize("name", ["cooly", "cooly/managed", "kirby-gen", "repolens", "nutri"])
def test_where_no_steps_can_be(checkout: Path, tmp_path: Path, name: str) -> None:
    """A target elsewhere shows everything but steps, says so, writes nothing, and ends with a status of its own."""
    folder = shutil.copytree(checkout / "examples" / name, tmp_path / "app", ignore=shutil.ignore_patterns(".towline"))
    before = sorted(folder.rglob("*"))
    told = json.loads(plan(folder, "production", "--json", status=11).stdout)
    assert (told["stages"], told["release"], told["empty"]) == (None, None, None)
    assert told["cannot"].startswith("no steps: ")
    assert told["today"] == {"known": False, "release": None, "runs": None}
    assert set(parts(told).values()) <= {"built files", "1 copy"}
    bill = told["bill"]
    assert Decimal(bill["total"]) == sum(Decimal(line["counted"]) for line in bill["lines"])
    assert told["changes"]["bill"] == {"before": None, "after": bill["total"], "more": None}
    assert told["verdict"]["feasible"]
    assert "request" in told["estimate"]["ways"]
    text = plan(folder, "--target", "production", status=11).stdout
    assert text.splitlines()[0].endswith(told["cannot"])
    assert "bill a month" in text
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("{ kind: host, region: hetzner/nbg1 }", "does not say where it is"),
        ("{ kind: host, region: hetzner/nbg1, ssh: nobody@127.0.0.1:9 }", "127.0.0.1"),
    ],
)
def test_a_host_that_cannot_be_asked(checkout: Path, tmp_path: Path, host: str, said: str) -> None:
    """A server that is not bought yet, or does not answer, is priced all the same, and what runs there is not known."""
    folder = shutil.copytree(
        checkout / "examples" / "cooly", tmp_path / "app", ignore=shutil.ignore_patterns(".towline")
    )
    page = folder / "towline.yaml"
    page.write_text(page.read_text().replace("box: { kind: host, region: hetzner/nbg1 }", f"box: {host}"))
    told = json.loads(plan(folder, "alone", "--json", status=11).stdout)
    assert said in told["cannot"]
    assert told["today"]["known"] is False
    assert told["bill"]["lines"]


def test_every_own_target_agrees_with_compare(checkout: Path) -> None:
    """The bill of a target is the one that `compare` shows for it: its copies are enough for the use."""
    cooly = checkout / "examples" / "cooly"
    words = [sys.executable, "-m", "towline.cli.main", "compare", "--json", *DAY]
    compared = json.loads(subprocess.run(words, cwd=cooly, capture_output=True, text=True, check=True).stdout)
    totals = {one["shape"]: one["bill"]["total"] for one in compared["shapes"]}
    for target in ("production", "alone"):
        told = json.loads(plan(cooly, target, "--json", status=11).stdout)
        assert told["bill"]["total"] == totals[target]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("moon",), "moon"),
        (("production", "--target", "alone"), "two targets"),
        (("production", "--usage", "none.yaml"), "There is no file"),
        (("production", "--offers", "none.toml"), "none.toml"),
    ],
    ids=" ".join,
)
def test_bad_words(checkout: Path, words: tuple[str, ...], said: str) -> None:
    """Unknown targets and files are told; exit status 2."""
    assert said in plan(checkout / "examples" / "cooly", *words, status=2).stderr
