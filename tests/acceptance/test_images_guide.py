"""The guide to images works as written, on a server of the lab and with the lab's Docker as the local one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.projects import lab_of
from tests.acceptance.test_docs import run_blocks
from tests.lab.hosted_app import ON_HOSTS

from towline.lab.images import bake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.lab.host import Lab

pytestmark = [*ON_HOSTS]


@pytest.fixture
def folder(tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose lab is down afterwards; the commands speak to the Docker of the tests."""
    bake(lab.docker, ["python:3.11-slim"])
    for name in ("DOCKER_HOST", "DOCKER_BUILDKIT"):
        if name in lab.docker.environment:
            monkeypatch.setenv(name, lab.docker.environment[name])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with lab_of(tmp_path / "press"):
        yield tmp_path


def test_the_guide_to_images_is_true(checkout: Path, folder: Path) -> None:
    """Every command in order: a plan that builds, a deploy that sends, one that sends little, and the way back."""
    said = run_blocks(checkout / "docs" / "guides" / "images.md", folder)
    assert re.search(r"load the image press-web:[0-9a-f]{12}", said), said
    assert said.count("VERIFIED") == 2, said
    assert said.count("done in") == 1
