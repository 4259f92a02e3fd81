"""`towline render` as a person types it: what it writes, what it leaves alone, and what it answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.projects import Project
from tests.render_scenes import project

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```sh run\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def shop(checkout: Path, tmp_path: Path) -> Project:
    """Postcards with a target on a server."""
    return Project(project(checkout, "postcards", tmp_path), "postcards")


def files(shop: Project) -> dict[str, str]:
    """Everything that lies in the default folder."""
    out = shop.path / "deploy" / "server"
    return {path.relative_to(out).as_posix(): path.read_text() for path in sorted(out.rglob("*")) if path.is_file()}


def states(out: str) -> dict[str, str]:
    """Each file of the table with its state."""
    rows = re.findall(r"^\S*deploy/server/(\S+)\s+(new|changed|same|foreign)\s", out, re.MULTILINE)
    return dict(rows)


def test_it_writes_once_and_then_nothing(shop: Project) -> None:
    """The first run writes all, each with where it comes from; a second finds all the same, and touches nothing."""
    first = states(shop.run("render", "server").must().out)
    assert {"compose.yaml", "Caddyfile", ".env.example", "README.md"} <= set(first)
    assert set(first.values()) == {"new"}
    written = files(shop)
    assert set(written) == set(first)
    shared = {".github/workflows/test.yml", ".github/dependabot.yml"}
    for path, text in written.items():
        whose = "for every target" if path in shared else "target server"
        assert f"Rendered by towline from compose.yaml and towline.yaml, {whose}" in text[:400], path
    out = shop.path / "deploy" / "server"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = shop.run("render", "server").must()
    assert set(states(again.out).values()) == {"same"}
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert (out / "compose.yaml").stat().st_mode & 0o777 == 0o644


def test_check_writes_nothing(shop: Project) -> None:
    """--check: status 10 while something would be new or another, 0 once all is there."""
    assert "new" in states(shop.run("render", "server", "--check").must(10).out).values()
    assert not (shop.path / "deploy").exists()
    shop.run("render", "server").must()
    shop.run("render", "server", "--check").must()
    page = shop.path / "towline.yaml"
    page.write_text(page.read_text().replace("max_job: 30s", "max_job: 45s"))
    changed = {
        path for path, state in states(shop.run("render", "server", "--check").must(10).out).items() if state != "same"
    }
    assert "compose.yaml" in changed
    shop.run("render", "server").must()
    assert "stop_grace_period: 45s" in files(shop)["compose.yaml"]


def test_a_file_of_somebody_else_is_left_alone(shop: Project) -> None:
    """A file without towline's line is never overwritten, and then nothing is written at all; --force writes."""
    own = shop.path / "deploy" / "server" / "compose.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("services: {}\n")
    refused = shop.run("render", "server").must(3)
    assert "compose.yaml in deploy/server was not rendered by towline" in refused.err
    assert "--force" in refused.err
    assert files(shop) == {"compose.yaml": "services: {}\n"}
    assert states(shop.run("render", "server", "--check").must(10).out)["compose.yaml"] == "foreign"
    shop.run("render", "server", "--only", "Caddyfile").must()
    shop.run("render", "server", "--force").must()
    assert "postcards-server" in files(shop)["compose.yaml"]


def test_what_is_no_longer_rendered_is_named(shop: Project) -> None:
    """A file of an earlier rendering that has no place any more stays, and is told."""
    out = shop.path / "deploy" / "server"
    shop.run("render", "server").must()
    left = out / "compose.gone.yaml"
    left.write_text((out / "compose.yaml").read_text())
    (out / "notes.md").write_text("my own\n")
    told = shop.run("render", "server").must()
    assert "compose.gone.yaml is of an earlier rendering" in told.err
    assert "notes.md" not in told.err
    assert left.exists()
    assert shop.run("render", "server", "--json").json()["left_over"] == ["compose.gone.yaml"]


def test_one_file_to_stdout(shop: Project) -> None:
    """--stdout prints the bytes of the file and nothing else, and writes nothing; an unknown path names the nearest."""
    shown = shop.run("render", "server", "--stdout", "compose.yaml").must()
    assert shown.err == ""
    assert not (shop.path / "deploy").exists()
    shop.run("render", "server").must()
    assert files(shop)["compose.yaml"] == shown.out
    assert "did you mean `compose.yaml`" in shop.run("render", "server", "--stdout", "compose.yml").must(2).err


def test_json(shop: Project) -> None:
    """One document with target, folder, and each file with its state; stderr stays empty."""
    done = shop.run("render", "server", "--json", "--only", "compose.yaml").must()
    document = done.json()
    assert (done.err, document["target"], document["written"]) == ("", "server", True)
    assert [(one["path"], one["state"]) for one in document["files"]] == [("compose.yaml", "new")]
    assert set(files(shop)) == {"compose.yaml"}


def test_elsewhere(shop: Project, tmp_path: Path) -> None:
    """--out writes to another folder, relative to where the command is typed; the project is named with -C."""
    shop.run("render", "server", "--out", str(tmp_path / "there")).must()
    assert (tmp_path / "there" / "compose.yaml").is_file()
    assert not (shop.path / "deploy").exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("sever",), 2, "did you mean `server`"),
        (("server", "--only", "*.toml"), 2, "no file fits `*.toml`"),
        (("server", "-C", "nowhere"), 2, "there is no folder nowhere"),
        (("server", "--out", "compose.yaml"), 2, "compose.yaml"),
        ((), 2, "Missing argument"),
    ],
)
def test_what_cannot_be(shop: Project, words: tuple[str, ...], status: int, said: str) -> None:
    """A wrong target, pattern or folder is one sentence with a way out, and nothing is written."""
    refused = shop.run("render", *words).must(status)
    assert said in " ".join(refused.err.split())
    assert not (shop.path / "deploy").exists()


def test_a_mistake_in_the_files(shop: Project) -> None:
    """All that is wrong with the files is told at once, as JSON too; what only a laptop needs is no mistake here."""
    compose = shop.path / "compose.yaml"
    compose.write_text(compose.read_text().replace("image: postgres:18.6", "imag: postgres"))
    refused = shop.run("render", "server", "--json").must(2)
    assert json.loads(refused.out)["ok"] is False
    assert "imag" in refused.out


def test_the_guide(shop: Project) -> None:
    """What the guide tells people to type works in the order in which it stands there."""
    script = "\n".join(BLOCK.findall((ROOT / "docs" / "guides" / "render.md").read_text()))
    assert script
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-ec", script.replace("production", "server")],
        cwd=shop.path,
        env={"PATH": path, "HOME": str(shop.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
