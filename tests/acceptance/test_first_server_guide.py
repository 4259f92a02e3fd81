"""The guide from a bare server to https, and the runbook that goes on with it, work as written on a lab server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.acceptance.projects import lab_of
from tests.acceptance.test_docs import run_blocks
from tests.lab.hosted_app import ON_HOSTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [*ON_HOSTS, pytest.mark.needs("curl", "openssl")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose lab is down afterwards."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with lab_of(tmp_path / "shop"):
        yield tmp_path


def test_from_a_bare_server_to_https_and_through_the_runbook(checkout: Path, folder: Path) -> None:
    """Hardened, deployed, asked over https; then broken in each way, and well again by what the page says."""
    guides = checkout / "docs" / "guides"
    both = folder / "both.md"
    both.write_text((guides / "first-server.md").read_text() + (guides / "runbook.md").read_text())
    said = run_blocks(both, folder)
    assert "\n200\n" in said, said
    assert "not deployed, as it should be" in said
    assert "it stays closed" in said
    assert "notAfter=" in said
    assert "No module named no" in said or "no.such.module" in said
