"""What the tests of this room share: a tiny app of its own for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.acceptance.projects import APPS, Project, project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Project]:
    """A copy of the tiny app, down; what a test brings up is taken down, and no process may be left."""
    with project(APPS / "tiny", tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The tiny app, up: for tests that only look and leave it as they found it."""
    with project(APPS / "tiny", tmp_path_factory.mktemp("running")) as made:
        made.up()
        yield made
