"""The supervisor runs the rendered file of processes: the release comes first and whole, and its failure is the end."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.contract.compose_projects import ENV

from towline.artifacts import combined_image
from towline.ops.render import material_of

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = sys.executable
COMPOSE = "name: shop\nservices:\n  api: {build: api, ports: ['3001:3001']}\n  worker: {build: api}\n"
# The API is a task here that ends with 0 once it has looked for what the release left, so that the run ends by itself.
PAGE = (
    "services:\n  api: {{kind: web, run: test -f done && echo served}}\n  worker: {{kind: worker, run: echo worked}}\n"
    "release: {{in: api, run: {release}}}\n"
    "targets:\n  production: {{shape: combined, sites: {{cloud: {{kind: render}}}}}}\n"
)


@pytest.mark.parametrize(
    ("release", "status", "said"),
    [("sleep 1 && touch done", 1, "served"), ("exit 3", 1, "release is needed")],
    ids=["waited for", "failed"],
)
def test_the_release_comes_first(tmp_path: Path, release: str, status: int, said: str) -> None:
    """Nothing starts before the release has ended with 0; when it fails, the container ends with a failure."""
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "requirements.txt").write_text("")
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "towline.yaml").write_text(PAGE.format(release=release))
    material = material_of(tmp_path, "production", tmp_path / "deploy" / "production", env=ENV)
    text = next(one.text for one in combined_image.files(material) if one.path.endswith("processes.toml"))
    here = text.replace('cwd = "/app/api"', f'cwd = "{tmp_path}"').replace('cwd = "/app/worker"', f'cwd = "{tmp_path}"')
    path = tmp_path / "processes.toml"
    # No server listens here: a process that is up counts as ready.
    path.write_text("\n".join(line for line in here.splitlines() if not line.startswith("ready")))
    argv = [PYTHON, "-m", "towline_supervisor", "run", str(path)]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert said in ran.stdout
    assert ran.returncode == status  # a vital process that ends by itself is a failure, also with 0
    assert ("served" in ran.stdout) == (said == "served")
