"""An app in a folder of a repository that is built from its root: everything of it starts in that folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.projects import Project

SETUP = (
    "mkdir -p .venv/bin ../notes && pwd >> ../notes/set-up"
    """ && printf '#!/bin/sh\\nexec python3 "$@"\\n' > .venv/bin/of-this-folder && chmod +x .venv/bin/of-this-folder"""
)


@pytest.fixture
def nested(tiny: Project) -> Project:
    """The tiny app with its API built from the repository's root; its program exists only in its own folder."""
    tiny.change("compose.yaml", "build: ./api", "build: { context: ., dockerfile: api/Dockerfile }")
    page = f"kind: web, cwd: api, run: of-this-folder api.py, setup: {json.dumps(SETUP)},"
    tiny.change("towline.yaml", "kind: web,", page)
    with (tiny.path / "towline.yaml").open("a") as file:
        file.write("\nrelease: { in: api, run: pwd > ../notes/released }\n")
    (tiny.path / ".dockerignore").write_text("notes\n")
    (tiny.path / "api/requirements.txt").write_text("one==1\n")
    (tiny.path / "shared").mkdir()
    (tiny.path / "shared/words.txt").write_text("one\n")
    return tiny


def lines(of: Project, name: str) -> list[str]:
    """What a command noted."""
    return (of.notes / name).read_text().splitlines()


def test_everything_of_it_starts_in_its_folder(nested: Project) -> None:
    """The process, its `setup`, the release command and `exec`, with the folder's own programs on their PATH."""
    nested.up()
    folder = str(nested.path / "api")
    assert str(Path(f"/proc/{nested.pids()['api']}/cwd").readlink()) == folder
    assert lines(nested, "set-up") == [folder]
    assert lines(nested, "released") == [folder]
    assert nested.run("exec", "api", "--", "pwd").must().out.strip() == folder
    assert nested.run("exec", "api", "--", "of-this-folder", "-c", "print(1)").must().out.strip() == "1"
    assert "of-this-folder" in nested.run("exec", "worker", "--", "of-this-folder").must(2).err


def test_its_locks_are_its_folders_and_its_code_is_the_whole_context(nested: Project) -> None:
    """A lock file beside the Compose file is nobody's; one in the folder is; and shared code is code of the service."""
    nested.up()
    before = nested.pids()
    nested.run("plan").must(0)
    (nested.path / "shared/words.txt").write_text("two\n")
    nested.up()
    after = nested.pids()
    assert after["api"] != before["api"]
    assert after["worker"] == before["worker"]
    assert len(lines(nested, "set-up")) == 1
    (nested.path / "api/requirements.txt").write_text("one==2\n")
    nested.up()
    assert len(lines(nested, "set-up")) == 2
    nested.run("plan").must(0)


def test_a_folder_that_is_not_there(nested: Project) -> None:
    """Is a mistake of the page, with its line and what to do, before anything is started."""
    nested.change("towline.yaml", "cwd: api", "cwd: apy")
    done = nested.run("up").must(2)
    assert "towline.yaml:4: The folder in which `api` would start does not exist" in done.err
    assert "hint: correct `cwd`" in done.err
    assert not nested.processes()
