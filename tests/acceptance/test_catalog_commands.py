"""The catalogue on the command line: what is printed where, exit statuses, JSON, and the guide as people type it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.test_docs import run_blocks
from tests.acceptance.typed import typed

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


def catalog(folder: Path, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """`towline catalog ...` in a folder."""
    return typed(folder, "catalog", *words, status=status)


def answer(folder: Path, *words: str, status: int = 0) -> Any:
    """The one JSON document on stdout."""
    return json.loads(catalog(folder, *words, "--json", status=status).stdout)


def test_the_guide(checkout: Path, tmp_path: Path) -> None:
    """Every command of the guide works, and says what the guide says."""
    said = run_blocks(checkout / "docs" / "guides" / "catalogue.md", tmp_path)
    assert "render/postgres/basic-256mb" in said
    assert "8.49 EUR per month" in said
    counts = re.findall(r"^(\d+) offers of (\d+) providers; 0 mistakes", said, re.MULTILINE)
    (offers, providers), with_own = counts
    assert with_own == (str(int(offers) + 1), str(int(providers) + 1))
    assert "175 USD per month" in said
    assert "attic/server/old" in said
    assert "wrong.toml:2: `mnth` is no unit; did you mean `month`?" in said


def test_list_narrows(tmp_path: Path) -> None:
    """Provider, kind and region narrow the list; every one of the answers fits."""
    every = answer(tmp_path, "list")["offers"]
    found = answer(tmp_path, "list", "--provider", "hetzner", "--kind", "server", "--region", "hetzner/hil")["offers"]
    assert 0 < len(found) < len(every)
    assert all(one["regions"] == ["hetzner/ash", "hetzner/hil"] and "server" in one["serves"] for one in found)
    table = catalog(tmp_path, "list", "--provider", "hetzner")
    assert "hetzner/server/cx33" in table.stdout
    assert "offers" in table.stderr
    assert "if in stock" in table.stdout


def test_show_is_the_whole_offer(tmp_path: Path) -> None:
    """Every number of an offer carries its source, date and confidence, in the table and as JSON."""
    one = answer(tmp_path, "show", "render/workspace/hobby", "--on", "2026-11-22")
    assert one["prices"]["egress"]["included"] == "5"
    assert one["prices"]["egress"]["read"] == "2026-09-05"
    assert one["prices"]["egress"]["source"] == "https://render.com/pricing"
    assert one["findings"] == []
    old = answer(tmp_path, "show", "render/workspace/hobby", "--on", "2027-11-22")["findings"]
    assert [finding["code"] for finding in old] == ["stale"]
    text = catalog(tmp_path, "show", "render/postgres/free").stdout
    assert "rule expires" in text
    assert "limit" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "render/servce/free"), "did you mean `render/service/free`?"),
        (("list", "--kind", "sever"), "did you mean `server`?"),
        (("list", "--provider", "hezner"), "did you mean `hetzner`?"),
        (("list", "--region", "hetzner/fsn2"), "did you mean `hetzner/fsn1`?"),
        (("list", "--offers", "none.toml"), "There is no file none.toml"),
        (("check", "none.toml"), "There is no file none.toml"),
        (("show", "x", "--on", "yesterday"), "yesterday"),
    ],
)
def test_mistyped(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """A mistyped name is answered with the nearest, and with exit status 2."""
    assert said in catalog(tmp_path, *words, status=2).stderr


def test_a_file_with_mistakes(tmp_path: Path) -> None:
    """A file with mistakes beside the project stops `list` and `show` with all of them, and `check` lists them."""
    own = tmp_path / "towline-offers.toml"
    own.write_text('[offers."render/service/standard"]\nprices.instance = { amount = -3, unit = "mnth" }\n')
    told = answer(tmp_path, "check", status=2)
    errors = [one["code"] for one in told["findings"] if one["level"] == "error"]
    assert errors == ["missing-key", "unknown-unit", "wrong-value"]
    refused = catalog(tmp_path, "list", status=2)
    assert refused.stdout == ""
    assert "3 mistakes found" in refused.stderr
    assert "hint: towline catalog check" in refused.stderr
    assert answer(tmp_path, "list", status=2)["error"]["code"] == "findings"
    own.write_bytes(b"\xff\xfe")
    assert "no UTF-8 text" in catalog(tmp_path, "list", status=2).stderr


def test_an_own_file_is_found_beside_the_project(tmp_path: Path) -> None:
    """The file beside towline.yaml is used without being named, and `--project` says where that is."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "towline-offers.toml").write_text(
        'date = 2026-11-20\n[offers."render/service/standard"]\nprices.instance = { amount = 20 }\n'
    )
    there = answer(tmp_path, "show", "render/service/standard", "--project", "app")
    assert there["prices"]["instance"]["tiers"][0]["amount"] == "20"
    assert there["prices"]["instance"]["confidence"] == "own"
    here = answer(tmp_path, "show", "render/service/standard")
    assert here["prices"]["instance"]["tiers"][0]["amount"] == "25"
