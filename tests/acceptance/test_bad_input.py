"""What a user gets wrong: every mistake in one report, with its place and what to do, and never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.projects import APPS, TOWLINE, Project
from tests.real_servers import free_port

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


HALF_RIGHT = {
    "compose.yaml": """\
name: tiny
services:
  api:
    build: ./api
    env_file: [gone.env]
    environment:
      PORT: "8000"
      PASSWORD: ${NEVER_SET:?the mail server asks for it}
    ports: ["8000:8000"]
  worker:
    build: ./worker
    environment: {QUEUE_URL: "redis://redis:6379", CACHE_URL: "redis://redis:6379"}
  db: {image: "postgres:18"}
  redis: {image: "valkey/valkey:9"}
""",
    "towline.yaml": """\
app: tiny
services:
  api: { kind: web, redy: /health }
  worker: { run: no-such-program work }
  wroker: { max_job: 10s }
bind:
  api: { DATABASE_URL: bd.url }
  worker: { QUEUE_URL: redis.url, CACHE_URL: redis.url }
verify:
  job: { service: worker, path: jobs, follow: "/jobs/{id}" }
targets:
  laptop: { sites: { local: { kind: local, port: PORT } } }
""",
}
"""A project with one mistake of each sort."""

IN_ITS_FILES = {
    ("unknown-key", "towline.yaml:3", "did you mean `ready`?"),
    ("unknown-service", "towline.yaml:5", "did you mean `worker`?"),
    ("unknown-reference", "towline.yaml:7", "`bd`"),
    ("redis-two-uses", "towline.yaml:8", "`QUEUE_URL`"),
    ("wrong-value", "towline.yaml:10", "begins with `/`"),
    ("job-not-web", "towline.yaml:10", "`worker`"),
    ("missing-env-file", "compose.yaml:5", "`gone.env`"),
    ("missing-variable", "compose.yaml:8", "`NEVER_SET`"),
}
ON_ITS_MACHINE = {
    ("no-program", "towline.yaml:4", "`no-such-program`"),
    ("port-taken", "towline.yaml:12", f"pid {os.getpid()}"),
    ("data-of-another-major", "data/db", "postgres 99"),
}
FULL_DISK = {("disk-full", ".towline/laptop", "MB")}
ON_A_SMALL_DISK = 'mount -t tmpfs -o size=20m none "$1" && cp -r "$2" "$1/p" && cd "$1/p" && shift 2 && exec "$0" "$@"'


def half_right(folder: Path, port: int, **instead: str) -> Path:
    """The project above in a folder, its database's data by a server of the future; `instead` replaces files."""
    shutil.copytree(APPS / "tiny", folder)
    for name, text in HALF_RIGHT.items():
        (folder / name).write_text(instead.get(name.partition(".")[0], text.replace("PORT }", f"{port} }}")))
    data = folder / ".towline/laptop/data/db"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("99\n")
    return folder


def are_told(told: list[dict[str, str]], expected: set[tuple[str, str, str]]) -> None:
    """Each finding is told, once, where it is and with something to do about it; nothing else is an error."""
    errors = sorted((one for one in told if one["level"] == "error"), key=lambda one: one["code"])
    assert [one["code"] for one in errors] == sorted(code for code, _, _ in expected)
    for one, (code, place, word) in zip(errors, sorted(expected), strict=True):
        assert str(one["where"]).endswith(place), one
        assert word in one["sentence"], (code, one)
        assert one["hint"], one


@pytest.mark.parametrize("command", ["check", "up", "plan"])
def test_mistakes_of_files_and_machine_are_one_report(tmp_path: Path, command: str) -> None:
    """What is wrong with the files hides nothing of the machine: all of it is told in one run, and nothing starts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        folder = half_right(tmp_path / "tiny", listener.getsockname()[1])
        project = Project(folder, "tiny")
        told = project.run(command, "--json").must(2).json()
        are_told(told.get("findings") or told["error"]["findings"], IN_ITS_FILES | ON_ITS_MACHINE)
        text = project.run(command).must(2).err
    assert text.count("error ") - text.count("error 11 mistakes") == len(IN_ITS_FILES | ON_ITS_MACHINE)
    assert not project.processes()
    assert not project.journal.exists()


@pytest.mark.needs("unshare", "mount")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk for itself")
def test_full_disk_is_in_the_same_report(tmp_path: Path) -> None:
    """All of the above, and on a disk that is full besides."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        folder = half_right(tmp_path / "tiny", listener.getsockname()[1])
        argv = ["unshare", "-m", "sh", "-c", ON_A_SMALL_DISK, TOWLINE, str(disk), str(folder), "check", "--json"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(f"no disk of its own here: {done.stderr.strip()}")
    assert done.returncode == 2, done.stderr
    are_told(json.loads(done.stdout)["findings"], IN_ITS_FILES | ON_ITS_MACHINE | FULL_DISK)


def test_files_that_cannot_be_read_hide_only_what_is_in_them(tmp_path: Path) -> None:
    """A Compose file or a page that is no YAML: what the other one and the machine tell is told all the same."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        folder = half_right(tmp_path / "compose", port, compose="services: {api: [\n")
        told = Project(folder, "compose").run("check", "--json").must(2).json()["findings"]
        of_page = {one for one in IN_ITS_FILES if one[0] in ("unknown-key", "wrong-value")}
        machine = {one for one in ON_ITS_MACHINE if one[0] != "no-program"}
        are_told(told, {("yaml-syntax", "compose.yaml:2", "bracket"), *of_page, *machine})
        folder = half_right(tmp_path / "page", port, towline="services: {api: [\n")
        told = Project(folder, "page").run("check", "--json").must(2).json()["findings"]
        of_compose = {one for one in IN_ITS_FILES if one[1].startswith("compose.yaml")}
        machine = {one for one in ON_ITS_MACHINE if one[0] == "data-of-another-major"}
        are_told(told, {("yaml-syntax", "towline.yaml:2", "bracket"), *of_compose, *machine})


def test_an_unknown_target_is_no_place_to_look_at(tiny: Project) -> None:
    """Where it would be nobody can tell, so nothing is made there and nothing is said of a machine."""
    told = tiny.run("check", "--target", "moon", "--json").must(2).json()["findings"]
    assert [one["code"] for one in told] == ["unknown-target"]
    assert not (tiny.path / ".towline").exists()


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
