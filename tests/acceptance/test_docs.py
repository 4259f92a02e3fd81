"""What the docs tell people to type is typed here, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```sh run\n(.*?)^```", re.DOTALL | re.MULTILINE)
OTHER_SHELL = re.compile(r"^```(?:sh|shell|bash|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)

ELSEWHERE = {
    "make demo": "test_fresh_clone.py",
    "make test": "this very run",
    "cd your-app": "test_life.py, with an app of its own",
    "docker build": "needs a registry; the guide says so",
    "towline deploy production --allow": "test_migrations_on_host.py",
    "towline backup production": "test_migrations_on_host.py",
    "towline verify --target production": "test_host_farewell.py",
}
"""Shell blocks that are not run here, by how they begin, and who does."""


def run_blocks(page: Path, folder: Path) -> str:
    """Run the blocks of a page as one shell session; what it printed."""
    script = "set -e\n" + "\n".join(BLOCK.findall(page.read_text()))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stdout
    return done.stdout + done.stderr


def test_tutorial(tmp_path: Path) -> None:
    """The tutorial works from its first line to its last, and says at each stop what it promises."""
    try:
        said = run_blocks(ROOT / "docs" / "tutorial.md", tmp_path)
    finally:
        subprocess.run(
            [sys.executable, "-m", "towline.cli.main", "down"],
            cwd=tmp_path / "counter",
            capture_output=True,
            check=False,
        )
    assert said.count("VERIFIED") == 4, said
    assert "it failed, as it should" in said
    assert "No such file" in said or "can't open file" in said, "the failing copy's own last lines are shown"
    assert "The data of counter is deleted." in said


@pytest.mark.needs("age", "age-keygen")
def test_secrets_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide to secrets works from its first line to its last; two values are revealed, when asked for."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    said = run_blocks(ROOT / "docs" / "guides" / "secrets.md", tmp_path)
    assert said.count("a-key-of-the-payment-provider") == 3, said
    assert "missing" in said
    assert (tmp_path / "shop" / "deploy" / "production" / ".env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("docs/**/*.md")), ROOT / "README.md"], ids=lambda page: page.name)
def test_every_shell_block_is_run_somewhere(page: Path) -> None:
    """A shell block that nobody runs is not in the docs."""
    blocks = OTHER_SHELL.findall(page.read_text())
    unknown = [block for block in blocks if not any(block.startswith(known) for known in ELSEWHERE)]
    guide_test = ROOT / "tests" / "acceptance" / "test_combined_guide.py"
    if page.name == "combined-container.md":
        assert "guide" in guide_test.read_text()
        return
    assert not unknown, f"not run by any test: {unknown}"
