"""Which folders and files of a build context an image has as they are, told from real folders."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from towline.spec.read import read_with_mistakes

if TYPE_CHECKING:
    from pathlib import Path

    from towline.spec.container import Mount

DOCKERFILE = """\
FROM python:3.11-slim
WORKDIR /app
COPY requirements.txt .
COPY tool /src/tool
RUN pip install /src/tool
COPY settings.ini conf/
COPY web web
COPY gone gone
COPY ../outside outside
CMD ["python", "-m", "web"]
"""


def copied(project: Path) -> dict[str, Mount]:
    """What is told of the one service of a project, by the place in its image."""
    reading = read_with_mistakes(project, env={"PATH": os.environ["PATH"]})
    assert reading.view is not None
    return {mount.target: mount for mount in reading.view.ground["api"].copied}


def test_folders_files_and_what_is_only_built_from(tmp_path: Path) -> None:
    """A folder under the working folder can be mounted, a file too; what goes elsewhere is part of what is built."""
    (tmp_path / "outside").mkdir()
    project = tmp_path / "project"
    for folder in ("web", "tool"):
        (project / folder).mkdir(parents=True)
    for file in ("requirements.txt", "settings.ini"):
        (project / file).touch()
    (project / "Dockerfile").write_text(DOCKERFILE)
    (project / "compose.yaml").write_text("services: {api: {build: ., ports: ['8000:8000']}}\n")
    (project / "towline.yaml").write_text("app: copied\n")
    found = copied(project)
    assert {target: mount.kind for target, mount in found.items()} == {
        "/app/requirements.txt": "file",
        "/src/tool": "part",
        "/app/conf/settings.ini": "file",
        "/app/web": "bind",
    }
    assert found["/app/web"].source == str(project / "web")
