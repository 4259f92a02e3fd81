"""The README's first command on a clean clone: it makes its environment, does a real job and verifies it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.needs("make", "git", "pgrep")
@pytest.mark.timeout(900)
def test_make_demo_once_in_a_clean_clone(tmp_path: Path) -> None:
    """`make demo ONCE=1` installs, verifies and stops; a second time only the verdict is new."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    # What a developer has not committed yet is part of what is tested here.
    changed = subprocess.run(["git", "diff", "HEAD", "--binary"], cwd=ROOT, capture_output=True, check=True).stdout
    if changed:
        subprocess.run(["git", "apply", "--whitespace=nowarn"], cwd=clone, input=changed, check=True)
    first, second = make_demo(clone), make_demo(clone)
    for said in (first, second):
        last = said.stdout.strip().splitlines()[-1]
        found = re.fullmatch(r"VERIFIED (\d+) of (\d+) checks in [\d.]+ s", last)
        assert found is not None, said.stdout + said.stderr
        assert found[1] == found[2]
        assert int(found[1]) >= 10
    assert "Installing" in first.stderr
    assert "Installing" not in second.stderr
    left = subprocess.run(["pgrep", "-f", str(clone)], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def make_demo(clone: Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a newcomer does, without the environment of these tests."""
    ours = ("VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    said = subprocess.run(
        ["make", "demo", "ONCE=1"], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
    return said
