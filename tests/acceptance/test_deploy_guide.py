"""The guide to deploying works as written, on a server of the lab."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.test_docs import run_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.needs("docker", "dockerd", "iptables", "mmdebstrap", "ssh"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a Docker daemon"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose lab is down afterwards."""
    yield tmp_path
    project = tmp_path / "hello"
    if project.is_dir():
        argv = [sys.executable, "-m", "towline.cli.main", "lab", "down"]
        subprocess.run(argv, cwd=project, capture_output=True, check=False, timeout=300)


def test_the_guide_is_true(checkout: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command in order: two deploys that verify, a rollback."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    said = run_blocks(checkout / "docs" / "guides" / "deploying.md", folder)
    assert said.count("VERIFIED 7 of 7 checks") == 2, said
    assert "rollback" not in said.split("VERIFIED")[0]
    assert said.count("done in") == 1
