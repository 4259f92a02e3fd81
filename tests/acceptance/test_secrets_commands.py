"""The commands for secrets as a user has them: pipes, exit statuses, JSON, and no value that nobody asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VALUE = "canary-of-the-vault-93bd1c"


@pytest.fixture
def towline(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `towline secrets ...` in a project that has a vault to fill."""
    (tmp_path / "compose.yaml").write_text(
        "services:\n  api:\n    image: shop:1\n    ports: ['8000:8000']\n    environment:\n"
        f"      API_TOKEN: {VALUE}-on-my-laptop\n      SESSION_SECRET: {VALUE}-too\n"
    )
    (tmp_path / "towline.yaml").write_text(
        "app: shop\nservices: {api: {kind: web}}\n"
        "targets: {production: {sites: {box: {kind: host, ssh: deploy@203.0.113.7}}}}\n"
    )

    def run(*words: str, stdin: str = "", target: str = "production") -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "towline.cli.main", "secrets", *words, "-t", target]
        environ = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")}
        return subprocess.run(argv, cwd=tmp_path, env=environ, input=stdin, capture_output=True, text=True, check=False)

    return run


def test_a_value_from_a_pipe_is_kept_and_only_revealed_when_asked(
    towline: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Set, list, import, rotate and key never print it, in either form; reveal prints it alone."""
    assert towline("set", "API_TOKEN", stdin=f"{VALUE}\n").returncode == 0
    assert towline("fill").returncode == 0
    for words in (["list"], ["list", "--json"], ["rotate", "SESSION_SECRET"], ["key"], ["key", "--json"]):
        done = towline(*words)
        assert VALUE not in done.stdout + done.stderr, words
    assert towline("reveal", "API_TOKEN").stdout == f"{VALUE}\n"


def test_what_a_host_may_be_told_besides_is_of_use(towline: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The name of the app, a limit, a login: nothing asks for them, and yet they change what is deployed."""
    for name in ("PUBLIC_HOST", "API_READ_ONLY", "API_MEMORY", "REGISTRY_USER", "WEBHOOK_SECRET"):
        assert "nothing of production asks" not in towline("set", name, stdin="a-value\n").stderr, name
    assert "nothing of production asks for NOBODY_READS_IT" in towline("set", "NOBODY_READS_IT", stdin="x\n").stderr
    states = {one["name"]: one["state"] for one in json.loads(towline("list", "--json").stdout)["secrets"]}
    assert {name for name, state in states.items() if state == "unused"} == {"NOBODY_READS_IT"}
    assert "WEB_MEMORY" not in states


def test_missing_names_are_an_exit_status(towline: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """10 while something is missing, 0 after; `export` refuses with every missing name and writes no half file."""
    before = towline("list", "--json")
    assert before.returncode == 10
    states = {one["name"]: one["state"] for one in json.loads(before.stdout)["secrets"]}
    assert states["API_TOKEN"] == states["SESSION_SECRET"] == "missing"
    refused = towline("export")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "API_TOKEN" in refused.stderr
    assert "SESSION_SECRET" in refused.stderr
    names = [name for name, state in states.items() if state == "missing"]
    for name in names:
        assert towline("set", name, stdin="x").returncode == 0
    assert towline("list").returncode == 0
    assert {line.partition("=")[0] for line in towline("export").stdout.splitlines()} == set(names)


def test_an_environment_file_comes_in_whole_or_not(
    towline: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """A broken line is told by its number; a good file by how many values it has, and those nobody asks for."""
    (tmp_path / "old.env").write_text(f"API_TOKEN='{VALUE}'\nthis is no line\n")
    broken = towline("import", "old.env")
    assert broken.returncode == 2
    assert "old.env:2" in broken.stderr
    assert VALUE not in broken.stderr
    (tmp_path / "old.env").write_text(f"API_TOKEN='{VALUE}'\nOLD_NAME=1\n")
    done = towline("import", "old.env")
    assert done.returncode == 0, done.stderr
    assert "OLD_NAME" in done.stderr
    assert towline("reveal", "API_TOKEN").stdout == f"{VALUE}\n"


@pytest.mark.parametrize(
    ("words", "target", "said"),
    [
        (("reveal", "API_TOKEN"), "production", "has no value on production"),
        (("list",), "prodction", "production"),
        (("share", "not-a-key"), "production", "is no public key"),
        (("set", "A-B"), "production", "is no name of a variable"),
        (("import", "absent.env"), "production", "cannot be read"),
    ],
)
def test_mistakes_are_told_with_a_hint(
    towline: Callable[..., subprocess.CompletedProcess[str]], words: tuple[str, ...], target: str, said: str
) -> None:
    """A sentence and a hint, exit status 2, no traceback."""
    done = towline(*words, target=target, stdin="x")
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
