"""The identity of code: its names and contents, nothing that a checkout or a tool adds."""

from __future__ import annotations

import os
import shutil
import socket
from typing import TYPE_CHECKING

import pytest

from towline.artifacts.source import code_filter, source_digest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A small service."""
    root = tmp_path / "api"
    write(root, {"main.py": "print(1)", "lib/a.py": "a", "lib/deep/b.py": "b", "README.md": "read me"})
    return root


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def changes(context: Path, files: dict[str, str], *left_out: str) -> bool:
    """Whether writing these files makes it other code."""
    before = source_digest(context, left_out)
    write(context, files)
    return source_digest(context, left_out) != before


def test_it_is_sixteen_digits_and_stays(context: Path) -> None:
    """Short enough for a name, and the same each time."""
    digest = source_digest(context)
    assert len(digest) == 16
    assert int(digest, 16) >= 0
    assert source_digest(context) == digest


def test_times_and_owners_and_the_place_do_not_count(context: Path, tmp_path: Path) -> None:
    """A fresh checkout elsewhere is the same code."""
    digest = source_digest(context)
    other = tmp_path / "elsewhere"
    shutil.copytree(context, other)
    os.utime(other / "main.py", (1, 1))
    if os.geteuid() == 0:
        os.chown(other / "main.py", 12345, 12345)
    (other / "an-empty-folder").mkdir()
    assert source_digest(other) == digest


@pytest.mark.parametrize(
    "name", ["main.py", "lib/deep/b.py", "new.py", "lib/new.py", ".hidden", "lib/.env", "Dockerfile"]
)
def test_content_counts(context: Path, name: str) -> None:
    """Changed and new files, in any depth, hidden ones too."""
    assert changes(context, {name: "other"})


def test_names_count(context: Path) -> None:
    """The same content elsewhere is other code, and so is one file fewer."""
    before = source_digest(context)
    (context / "main.py").rename(context / "app.py")
    renamed = source_digest(context)
    (context / "app.py").unlink()
    assert len({before, renamed, source_digest(context)}) == 3


def test_content_does_not_flow_from_one_file_into_the_next(tmp_path: Path) -> None:
    """Where one file ends and the next begins is part of the identity."""
    made = []
    for number, (a, b) in enumerate((("12", "3"), ("1", "23"))):
        write(tmp_path / str(number), {"a": a, "b": b})
        made.append(source_digest(tmp_path / str(number)))
    assert made[0] != made[1]


@pytest.mark.parametrize(
    "name",
    [
        ".git/HEAD",
        "node_modules/x/index.js",
        "lib/node_modules/x.js",
        ".venv/bin/python",
        "venv/x",
        "lib/__pycache__/a.txt",
        "lib/a.pyc",
        ".towline/local/secrets.json",
        ".mypy_cache/x",
        ".pytest_cache/x",
        ".ruff_cache/x",
        "lib/.DS_Store",
        "towline.yaml",
        "compose.yaml",
        "docker-compose.yml",
        ".env",
        ".env.local",
    ],
)
def test_what_tools_leave_is_no_code(context: Path, name: str) -> None:
    """Nor are the files that Towline reads by itself; a `.dockerignore` that takes everything back changes nothing."""
    assert not changes(context, {name: "x"})
    (context / ".dockerignore").write_text("*\n!**\n")
    assert not changes(context, {name: "y"})


def test_pages_below_the_context_are_code(context: Path) -> None:
    """Only those at its top are Towline's."""
    assert changes(context, {"lib/towline.yaml": "x"})
    assert changes(context, {"lib/compose.yaml": "x"})


@pytest.mark.parametrize(
    ("lines", "name", "code"),
    [
        ("docs", "docs/a.txt", False),
        ("docs/", "docs/deep/a.txt", False),
        ("/docs", "docs/a.txt", False),
        ("./docs", "docs/a.txt", False),
        ("docs", "lib/docs/a.txt", True),
        ("*.log", "a.log", False),
        ("*.log", "lib/a.log", True),
        ("**/*.log", "lib/deep/a.log", False),
        ("**/*.log", "a.log", False),
        ("lib/*", "lib/deep/c.py", False),
        ("lib/*/c.py", "lib/deep/c.py", False),
        ("a?.txt", "ab.txt", False),
        ("a?.txt", "abc.txt", True),
        ("# docs", "docs/a.txt", True),
        ("\n  \n  docs  \n", "docs/a.txt", False),
        ("*\n!src", "src/a.py", True),
        ("*\n!src", "other/a.py", False),
        ("*\n!src/keep.py", "src/keep.py", True),
        ("*\n!src/keep.py", "src/drop.py", False),
        ("src\n!src/deep/keep.py", "src/deep/keep.py", True),
        ("*.md\n!README.md", "README.md", True),
        ("*.md\n!README.md\nREADME.md", "README.md", False),
        ("\ufeffdocs", "docs/a.txt", False),
        (".", "a.txt", True),
    ],
)
def test_dockerignore_is_honoured(context: Path, lines: str, name: str, *, code: bool) -> None:
    """As Docker reads it: patterns begin at the context, the last that matches decides, a folder means all in it."""
    (context / ".dockerignore").write_text(lines, encoding="utf-8")
    assert changes(context, {name: "something new"}) is code
    assert code_filter(context).match_file(name) is not code


def test_the_ignore_file_itself_is_code(context: Path) -> None:
    """Another list leaves other things out: look again."""
    assert changes(context, {".dockerignore": "docs"})


def test_what_a_build_writes_is_left_out(context: Path) -> None:
    """The output folder, at its place only, even if `.dockerignore` takes it back."""
    write(context, {".dockerignore": "!dist"})
    assert not changes(context, {"dist/index.html": "x"}, "/dist/")
    assert changes(context, {"lib/dist/index.html": "x"}, "/dist/")
    assert changes(context, {"dist/index.html": "y"})
    assert source_digest(context, iter(["/dist/"])) == source_digest(context, ["/dist/"])


def test_links_count_by_where_they_lead(context: Path) -> None:
    """To a file, a folder or nowhere: the link is code, what lies behind it outside the context is not."""
    outside = context.parent / "outside"
    write(outside, {"x.txt": "1"})
    for name, goals in {"file": ("main.py", "README.md"), "folder": ("lib", str(outside)), "no": ("a", "b")}.items():
        found = [source_digest(context)]
        for goal in goals:
            (context / name).unlink(missing_ok=True)
            (context / name).symlink_to(goal)
            found.append(source_digest(context))
        assert len(set(found)) == 3, name
    (context / "folder").unlink()
    (context / "folder").symlink_to(outside)
    assert not changes(context, {"../outside/x.txt": "2"})


def test_two_links_are_not_two_others(tmp_path: Path) -> None:
    """Where the goal of one link ends and the name of the next begins is part of the identity."""
    made = []
    for number, links in enumerate(({"a": "x", "bb": "y"}, {"a": "xb", "b": "y"})):
        (tmp_path / str(number)).mkdir()
        for name, goal in links.items():
            (tmp_path / str(number) / name).symlink_to(goal)
        made.append(source_digest(tmp_path / str(number)))
    assert made[0] != made[1]


def test_a_link_in_a_circle_ends(context: Path) -> None:
    """A folder that holds itself is one link."""
    (context / "lib" / "loop").symlink_to("..")
    assert len(source_digest(context)) == 16


def test_unusual_names(context: Path) -> None:
    """Blanks, line ends, quotes, other alphabets, bytes that are no UTF-8, and leading signs that patterns use."""
    seen = {source_digest(context)}
    names = [" a b ", "a\nb", "'\"", "źdźbło", "#x", "!x", "-rf", "*", "[a]", os.fsdecode(b"\xff\xfe")]
    for name in names:
        (context / name).write_text("x")
        seen.add(source_digest(context))
    assert len(seen) == len(names) + 1


def test_what_has_no_content_is_passed_over(context: Path) -> None:
    """A pipe would be read for ever, and a socket cannot be."""
    before = source_digest(context)
    os.mkfifo(context / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(context / "socket"))
        assert source_digest(context) == before


def test_an_empty_context_has_a_digest(tmp_path: Path) -> None:
    """Nothing is something too."""
    assert len(source_digest(tmp_path)) == 16
