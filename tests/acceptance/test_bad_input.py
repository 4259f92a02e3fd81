"""What a user gets wrong: every mistake in one report, with its place and what to do, and never a traceback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.projects import APPS, TOWLINE, Project, free_port

if TYPE_CHECKING:
    from pathlib import Path

TEN = """\
app: tiny
services:
  api: { kind: wbe }
  worker: { max_job: soon, singel: true }
  wroker: { kind: worker }
stores:
  queue: { kind: reddis }
bind:
  api: { DATABASE_URL: db.url }
  wrker: { REDIS_URL: queue.url }
release: { in: apy, run: "true" }
verify:
  job: { service: nobody, path: /jobs, follow: "/jobs/{id}" }
targets:
  laptop: { shape: laptop, sites: { box: { kind: hots } } }
frobnicate: 1
"""

MISTAKES = {
    3: "wbe",
    4: "singel",
    5: "wroker",
    7: "reddis",
    9: "db",
    10: "wrker",
    11: "apy",
    13: "nobody",
    15: "hots",
    16: "frobnicate",
}
"""The lines of the page above that are wrong, with the word that a finding on each has to name."""


def findings(one: Project, *words: str, env: dict[str, str] | None = None) -> dict[str, dict[str, str]]:
    """The findings of `check --json` by their code; each has a sentence, and each error something to do about it."""
    done = one.run("check", "--json", *words, env=env)
    told = done.json()
    found = told["findings"] if "findings" in told else told["error"]["findings"]
    errors = [one for one in found if one["level"] == "error"]
    assert done.status == (2 if errors else 0)
    assert all(one["sentence"] and one["hint"] for one in errors), errors
    return {one["code"]: one for one in found}


def test_ten_mistakes_are_one_report(tiny: Project) -> None:
    """Ten mistakes on ten lines: each is told at once, with its line and its word; nothing is started."""
    (tiny.path / "towline.yaml").write_text(TEN)
    told = tiny.run("up", "--json").must(2).json()["error"]["findings"]
    places = {one["where"] for one in told if str(one["where"]).startswith("towline.yaml:")}
    for line, word in MISTAKES.items():
        on_line = [one for one in told if one["where"] == f"towline.yaml:{line}"]
        assert any(word in one["sentence"] for one in on_line), f"line {line}: {on_line}"
    assert len(places) >= 10
    text = tiny.run("up", "--detach").must(2).err
    assert all(f"towline.yaml:{line}: " in text for line in MISTAKES)
    assert "did you mean" in text.lower()
    assert not tiny.processes()
    assert not tiny.journal.exists()


def test_mistakes_of_compose_and_page_come_together(tiny: Project) -> None:
    """A Compose file that Compose refuses does not hide what is wrong with the page."""
    tiny.change("towline.yaml", "kind: web,", "kind: wbe,")
    tiny.change("compose.yaml", "    ports:\n", "    prots: []\n    ports:\n")
    text = tiny.run("check").must(2).err
    assert "wbe" in text
    assert "prots" in text
    assert "compose.yaml:" in text


def test_broken_page_is_one_finding(tiny: Project) -> None:
    """A page that is no YAML is told with the line where it breaks."""
    with (tiny.path / "towline.yaml").open("a") as page:
        page.write("services: {api: [\n")
    done = tiny.run("up", "--detach").must(2)
    assert "towline.yaml:" in done.err
    assert "hint:" in done.err


def test_folder_without_compose_file(tiny: Project) -> None:
    """Without a Compose file the report says which file is wanted."""
    (tiny.path / "compose.yaml").unlink()
    assert findings(tiny)["no-compose-file"]["hint"]
    assert "compose.yaml" in tiny.run("up").must(2).err


def test_folder_without_page_shows_what_to_write(tiny: Project) -> None:
    """Without towline.yaml the hint is a page to begin with, which then is good enough to check."""
    (tiny.path / "towline.yaml").unlink()
    hint = findings(tiny)["no-page"]["hint"]
    assert "towline.yaml" in tiny.run("up").must(2).err
    (tiny.path / "towline.yaml").write_text(hint.partition("\n\n")[2])
    tiny.run("check").must()


def test_missing_env_file_is_named(tiny: Project) -> None:
    """An env file that is not there is named, with the line that asks for it."""
    tiny.change("compose.yaml", "    ports:\n", "    env_file: [gone.env]\n    ports:\n")
    text = tiny.run("check").must(2).err
    assert "gone.env" in text
    assert "compose.yaml:" in text


def test_taken_port_names_who_has_it(tiny: Project) -> None:
    """A port that the app must have and somebody else listens on: the finding names the program and its pid."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        page = tiny.path / "towline.yaml"
        page.write_text(
            f"{page.read_text()}\ntargets:\n  laptop: {{ sites: {{ local: {{ kind: local, port: {port} }} }} }}\n"
        )
        finding = findings(tiny)["port-taken"]
        assert str(port) in finding["sentence"]
        assert f"pid {os.getpid()}" in finding["sentence"]
        tiny.run("up", "--detach").must(2)
    tiny.up()
    assert tiny.url().endswith(f":{port}")
    tiny.run("check").must()  # the port is taken now, and by the app itself


def test_taken_port_of_a_service(tiny: Project) -> None:
    """The same for the port of a service that cannot take another one."""
    port = free_port()
    tiny.change("compose.yaml", 'PORT: "8000"', f'LISTEN: "{port}"')
    tiny.change("compose.yaml", '"8000:8000"', f'"{port}:{port}"')
    with socket.create_server(("127.0.0.1", port)):
        sentence = findings(tiny)["port-taken"]["sentence"]
    assert f"pid {os.getpid()}" in sentence
    assert "`api`" in sentence


@pytest.mark.needs("unshare", "mount")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk for itself")
def test_full_disk_is_told_with_numbers(tmp_path: Path) -> None:
    """On a disk with next to nothing left, `up` is refused before anything is started, with what is free and needed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=20m none "$1" && cp -r "$2" "$1/tiny" && cd "$1/tiny" && exec "$0" up --detach'
    argv = ["unshare", "-m", "sh", "-c", script, TOWLINE, str(disk), str(APPS / "tiny")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(f"no disk of its own here: {done.stderr.strip()}")
    assert done.returncode == 2, done.stderr
    assert "disk-full" in done.stderr
    assert "MB" in done.stderr
    assert not list(disk.iterdir())


def test_data_of_a_newer_server_is_refused(tiny: Project) -> None:
    """Data that a newer PostgreSQL wrote is never opened: told before anything is started."""
    with (tiny.path / "compose.yaml").open("a") as file:
        file.write("\n  db:\n    image: postgres:18\n")
    with (tiny.path / "towline.yaml").open("a") as file:
        file.write("\nstores:\n  db: { kind: postgres }\n")
    place = tiny.home / "data/db"
    place.mkdir(parents=True)
    (place / "PG_VERSION").write_text("99\n")
    finding = findings(tiny)["data-of-another-major"]
    assert "postgres 99" in finding["sentence"]
    assert "`db`" in finding["sentence"]
    tiny.run("up", "--detach").must(2)
    assert not tiny.processes()
    assert (place / "PG_VERSION").read_text() == "99\n"


def test_missing_program_says_how_to_get_it(tiny: Project, tmp_path: Path) -> None:
    """A service that needs Node.js, where there is none: the hint is the line that installs it."""
    tiny.change("towline.yaml", "{ max_job: 10s }", "{ max_job: 10s, run: node worker.js }")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python3", "sh"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    finding = findings(tiny, env={**os.environ, "PATH": str(programs)})["no-program"]
    assert "`node`" in finding["sentence"]
    assert "apt-get install -y nodejs" in finding["hint"]


@pytest.mark.parametrize(
    ("words", "status", "named"),
    [
        (("logs", "nobody"), 2, "nobody"),
        (("status", "nobody"), 2, "nobody"),
        (("exec", "nobody", "true"), 2, "nobody"),
        (("exec", "api", "--", "no-such-program"), 2, "no-such-program"),
        (("up", "--target", "moon"), 2, "moon"),
        (("plan", "--target", "moon"), 2, "moon"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_wrong_word_is_told(running: Project, words: tuple[str, ...], status: int, named: str) -> None:
    """A wrong name is repeated, with what could have been meant and a hint; as JSON the same on stdout."""
    done = running.run(*words).must(status)
    assert done.out == ""
    assert named in done.err
    assert "hint:" in done.err
    command, *rest = words
    told = running.run(command, "--json", *rest).must(status).json()
    assert "error" in told
    assert named in str(told)


def test_folder_that_never_ran(tiny: Project) -> None:
    """`down`, `rollback` and `resume` where nothing ever was say so."""
    assert "never" in tiny.run("down").must(2).err
    for words in (("rollback",), ("resume",)):
        assert "hint:" in tiny.run(*words).must(3).err


def test_no_such_folder(tiny: Project) -> None:
    """A project folder that is not there is named."""
    done = tiny.run("up", "-C", "nowhere")
    assert done.status == 2
    assert "nowhere" in done.err
