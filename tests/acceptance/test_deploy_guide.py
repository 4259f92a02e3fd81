"""The guide to deploying works as written, on a server of the lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.acceptance.projects import lab_of
from tests.acceptance.test_docs import run_blocks
from tests.lab.hosted_app import ON_HOSTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [*ON_HOSTS]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose lab is down afterwards."""
    with lab_of(tmp_path / "hello"):
        yield tmp_path


def test_the_guide_is_true(checkout: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command in order: two deploys that verify, a rollback."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    said = run_blocks(checkout / "docs" / "guides" / "deploying.md", folder)
    assert said.count("VERIFIED 7 of 7 checks") == 2, said
    assert "rollback" not in said.split("VERIFIED")[0]
    assert said.count("done in") == 1
