"""`towline init` as a person types it: what it writes, what it never overwrites, and that the app then comes up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.projects import APPS, Project, project

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FIRST_BLOCK = re.compile(r"^```sh run\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Project]:
    """The tiny app without its page."""
    with project(APPS / "tiny", tmp_path) as made:
        (made.path / "towline.yaml").unlink()
        yield made


def test_the_app_of_the_tutorial_comes_up_with_the_guessed_page(tmp_path: Path) -> None:
    """What the guide says, typed: store, packages, bindings and kinds are guessed well enough to be VERIFIED."""
    app = FIRST_BLOCK.search((ROOT / "docs" / "tutorial.md").read_text())
    words = FIRST_BLOCK.search((ROOT / "docs" / "guides" / "init.md").read_text())
    assert app is not None
    assert words is not None
    subprocess.run(["bash", "-ec", app[1]], cwd=tmp_path, check=True, capture_output=True)
    made = Project(tmp_path / "counter", "counter")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        done = subprocess.run(
            ["bash", "-ec", words[1]],
            cwd=made.path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "wrote towline.yaml" in done.stdout
        assert "0 mistakes" in done.stdout
        assert "VERIFIED" in done.stdout
        page = (made.path / "towline.yaml").read_text()
        assert "DATABASE_URL: db.url # holds the address of db (web, worker)" in page
    finally:
        if made.journal.exists():
            made.run("down", "--purge", "counter").must()
    assert not made.processes()


def test_a_page_that_is_there_is_never_overwritten(bare: Project) -> None:
    """The second `init` refuses and says how; --stdout prints and writes nothing; --force writes."""
    bare.run("init").must()
    page = bare.path / "towline.yaml"
    page.write_text("app: mine\n")
    refused = bare.run("init").must(3)
    assert "towline.yaml is there already; nothing was written" in refused.err
    assert page.read_text() == "app: mine\n"
    shown = bare.run("init", "--stdout").must()
    assert page.read_text() == "app: mine\n"
    bare.run("init", "--force").must()
    assert page.read_text() == shown.out


def test_json_tells_every_guess_with_its_reason(bare: Project) -> None:
    """One document: files, guesses with reason and confidence, findings; stderr stays empty."""
    done = bare.run("init", "--stdout", "--json").must()
    document = done.json()
    assert done.err == ""
    assert document["written"] == []
    assert not (bare.path / "towline.yaml").exists()
    kinds = {one["field"][1]: one["value"] for one in document["guesses"] if one["field"][2:] == ["kind"]}
    assert kinds == {"api": "web", "worker": "worker"}
    assert all(one["reason"] and one["confidence"] for one in document["guesses"])
    assert {one["code"] for one in document["findings"]} >= {"todo", "no-memory-limit"}


@pytest.mark.parametrize(
    ("files", "words", "status", "said"),
    [
        ({}, (), 2, "no Compose file in this folder, no render.yaml and no Procfile"),
        ({"compose.yaml": "services: ["}, (), 2, "compose.yaml:1"),
        ({"compose.yaml": "services: {a: {imag: x}}"}, (), 2, "imag"),
        ({"compose.yaml": "- 1\n"}, (), 2, "compose.yaml"),
        ({"render.yaml": "services: {"}, (), 2, "render.yaml"),
        ({"render.yaml": "services: []"}, (), 2, "render.yaml names no service"),
        ({"Procfile": "# nothing\n"}, (), 2, "Procfile names no service"),
        ({}, ("--compose", "gone.yaml"), 2, "there is no Compose file gone.yaml"),
        ({}, ("--compose", "/etc/hostname"), 2, "outside of the project"),
        ({}, ("--project", "gone"), 2, "there is no folder gone"),
    ],
)
def test_what_cannot_be_read_is_told(
    files: dict[str, str], words: tuple[str, ...], status: int, said: str, tmp_path: Path
) -> None:
    """A broken or missing file gives its place and an exit status, never a traceback, and nothing is written."""
    made = Project(tmp_path, "none")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert said in made.run("init", *words).must(status).err
    assert json.loads(made.run("init", "--json", *words).must(status).out)["ok"] is False
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


def test_several_compose_files_are_named_on_the_page(tmp_path: Path) -> None:
    """Files that Compose would not find by itself stand below `compose:`, and `check` reads them from there."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "base.yaml").write_text(
        'services: {api: {build: .., ports: ["8000:8000"], command: [run]}}\n'
    )
    (tmp_path / "deploy" / "more.yaml").write_text("services: {jobs: {build: .., command: [rq, worker]}}\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    made = Project(tmp_path, "several")
    made.run("init", "--compose", "deploy/base.yaml", "--compose", "deploy/more.yaml").must()
    assert "compose: [deploy/base.yaml, deploy/more.yaml]" in (tmp_path / "towline.yaml").read_text()
    found = made.run("check", "--json").json()["findings"]
    assert {one["code"] for one in found if one["level"] == "error"} <= {"no-program"}


def test_a_render_yaml_becomes_both_files(tmp_path: Path) -> None:
    """Without a Compose file both files are written; --stdout shows them as one stream with their names."""
    (tmp_path / "render.yaml").write_text(
        "services: [{type: web, name: api, runtime: python, startCommand: python app.py}]\n"
        "databases: [{name: db, postgresMajorVersion: '17'}]\n"
    )
    made = Project(tmp_path, "both")
    shown = made.run("init", "--stdout").must().out
    assert shown.startswith("# compose.yaml\n")
    assert "\n---\n# towline.yaml\n" in shown
    assert "wrote compose.yaml and towline.yaml" in made.run("init").must().out
    assert (tmp_path / "compose.yaml").is_file()
