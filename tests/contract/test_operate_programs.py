"""The shell of maintenance, of a command inside, of the end of a target: run here by the shell that runs it there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.real_servers import free_port, until

from towline.artifacts.maintenance import HEADER, PAGE, unavailable
from towline.drivers.host.fresh import fresh_program
from towline.drivers.host.inside import inside_program
from towline.drivers.host.maintenance import set_maintenance
from towline.drivers.host.programs import part, program
from towline.steps.container import Container, Network
from towline.steps.container import Test as HealthTest
from towline.steps.maintenance import SetMaintenance

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("sh", "flock", "cmp")

SHOW, END = SetMaintenance("d1", 90), SetMaintenance(None)


def sh(text: str, home: Path, work: Path | None = None) -> subprocess.CompletedProcess[str]:
    """As a batch runs a step."""
    work = work or home.parent / "work"
    work.mkdir(exist_ok=True)
    environ = {**os.environ, "home": str(home), "work": str(work)}
    return subprocess.run(
        ["sh", "-c", part("words.sh") + text], env=environ, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A target with a front door, and a page that was stashed."""
    made = tmp_path / "home"
    for folder in ("stash", "door", "caddy"):
        (made / folder).mkdir(parents=True)
    (made / "stash/d1").write_text(PAGE)
    (made / "caddy/caddy.json").write_text(json.dumps(unavailable("/door")))
    return made


def holds(step: SetMaintenance, home: Path) -> bool:
    return sh(set_maintenance(step).holds, home).returncode == 0


def test_the_page_comes_and_goes(home: Path) -> None:
    """Each step says whether it holds, does it, and holds then; Caddy can read what is there."""
    assert holds(END, home)
    assert not holds(SHOW, home)
    shown = sh(set_maintenance(SHOW).apply, home)
    assert (shown.returncode, shown.stdout) == (0, "the page is shown\n"), shown.stderr
    assert holds(SHOW, home)
    assert not holds(SetMaintenance("d1", 91), home)
    assert not holds(END, home)
    assert (home / "door/maintenance").read_text() == PAGE
    assert (home / "door/maintenance").stat().st_mode & 0o777 == 0o644
    for _ in range(2):
        assert sh(set_maintenance(END).apply, home).returncode == 0
    assert holds(END, home)


def test_what_stands_in_the_way_is_said(home: Path) -> None:
    """A page that was never sent, and a front door of an earlier version, which would not look for it."""
    (home / "stash/d1").unlink()
    assert sh(set_maintenance(SHOW).apply, home).returncode == 1
    assert "never sent" in (home.parent / "work/sentence").read_text()
    (home / "caddy/caddy.json").write_text("{}")
    assert sh(set_maintenance(SHOW).apply, home).returncode == 1
    assert "knows of no maintenance yet" in (home.parent / "work/sentence").read_text()
    assert not (home / "door/maintenance").exists()


def test_a_forgotten_target_is_gone(tmp_path: Path) -> None:
    """Whoever gives its lock back afterwards makes nothing of it anew; another target of the app stays."""
    home, other = tmp_path / "shop/test", tmp_path / "shop/production"
    work = tmp_path / "work"
    for one in (home, other):
        one.mkdir(parents=True)
        assert sh(program(str(one), "acquire '\"ann\"' 6000 1\n"), one, work).stdout == "lease 1\n"
    old = sh(program(str(home), "forget 0\n", "forget.sh"), home, work)
    assert old.stdout == '!fenced 1 "ann"\n'
    assert home.is_dir()
    assert sh(program(str(home), "forget 1\n", "forget.sh"), home, work).returncode == 0
    assert sh(program(str(home), "give_back 1\n"), home, work).returncode == 0
    assert not home.exists()
    assert other.is_dir()
    assert sh(program(str(other), "forget 1\n", "forget.sh"), other, work).returncode == 0
    assert not (tmp_path / "shop").exists()


def test_backups_outlive_a_target_unless_their_data_went(tmp_path: Path) -> None:
    """They are the last way back to data: only those of stores that were named go with it."""
    home, work = tmp_path / "shop/test", tmp_path / "work"
    (home / "backups").mkdir(parents=True)
    for name in ("3.db.dump", "3.db.json", "3.books.dump"):
        (home / "backups" / name).write_text("")
    assert sh(program(str(home), "acquire '\"ann\"' 6000 1\n"), home, work).stdout == "lease 1\n"
    assert sh(program(str(home), "forget 1 db\n", "forget.sh"), home, work).returncode == 0
    assert [one.name for one in home.rglob("*") if one.is_file()] == ["3.books.dump"]
    assert sh(program(str(home), "forget 1 books\n", "forget.sh"), home, work).returncode == 0
    assert not home.exists()


def test_a_command_inside_is_one_command(tmp_path: Path) -> None:
    """Whatever its words are, they arrive as they are; without its container it is 125."""
    folder = tmp_path / "bin"
    folder.mkdir()
    docker = folder / "docker"
    docker.write_text('#!/bin/sh\ncase "$3" in ps) echo c1 ;; exec) printf "<%s>" "$@"; exit 7 ;; esac\n')
    docker.chmod(0o755)
    environ = {"PATH": f"{folder}:{os.environ['PATH']}"}
    words = ["sh", "-c", "echo \"$HOME\" 'it'; exit 7"]
    text = inside_program("/var/lib/towline/shop/production", "api.1", words, terminal=False)
    ran = subprocess.run(["sh", "-c", text], env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 7
    assert ran.stdout == f"<-H><unix:///var/run/docker.sock><exec><-i><c1><sh><-c><{words[2]}>"
    docker.write_text("#!/bin/sh\n")
    gone = subprocess.run(["sh", "-c", text], env=environ, capture_output=True, text=True, check=False)
    assert (gone.returncode, gone.stderr) == (125, "api.1 does not run\n")


ENGINE = """#!/bin/sh
shift 2
case "$1 $2" in "network inspect") printf '%s\n' {home} {home}; exit ;; esac
case $1 in
  create) printf '%s=%s\\n' TOKEN "$TOKEN" >>{log}; printf '<%s>' "$@" >>{log}; echo c1 ;;
  start) printf '%s\\n' "$*"; cat; exit 7 ;;
  *) printf '\\n%s' "$*" >>{log} ;;
esac
"""
"""A `docker` that has every network and writes down what else it is asked; its containers say their input, and end with
7."""

FRESH = Container(
    "shop-test-run.a1", "shop-api:1", command=("sh", "-c", "it's \"$HOME\""),
    networks=(Network("shop-test-app"), Network("shop-test-db", internal=True)), test=HealthTest(()),
)  # fmt: skip


def test_a_command_in_a_container_of_its_own(tmp_path: Path) -> None:
    """With its environment, in all its networks; its status comes through, and nothing of it is left."""
    home, folder, log = tmp_path / "shop/test", tmp_path / "bin", tmp_path / "log"
    (home / "stash/.env").mkdir(parents=True)
    (home / "stash/.env/e1").write_text("export TOKEN='a value'\n")
    folder.mkdir()
    (folder / "docker").write_text(ENGINE.format(log=log, home=home))
    (folder / "docker").chmod(0o755)
    environ = {"PATH": f"{folder}:{os.environ['PATH']}"}
    text = fresh_program(str(home), FRESH, "e1", terminal=False)
    ran = subprocess.run(["sh", "-c", text], input="in\n", env=environ, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, "start -ai shop-test-run.a1\nin\n", "")
    asked, *others = log.read_text().removeprefix("\n").split("\nTOKEN=")[-1].splitlines()[1:]
    assert "a value" not in text
    assert f"<--label><towline.home={home}>" in asked
    assert '<-i><-e><TOKEN><shop-api:1><sh><-c><it\'s "$HOME">' in asked
    assert "<--network><shop-test-app>" in asked
    assert others == ["network connect shop-test-db shop-test-run.a1", "rm -fv shop-test-run.a1"]
    gone = fresh_program(str(home), FRESH, "e2", terminal=True)
    ran = subprocess.run(["sh", "-c", gone], env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 125
    assert "an environment was never sent to this host" in ran.stderr


def test_a_container_of_its_own_goes_with_whoever_asked(tmp_path: Path) -> None:
    """A terminal that hangs up ends it, whatever its command does."""
    home, folder, log = tmp_path / "shop/test", tmp_path / "bin", tmp_path / "log"
    for one in (home, folder):
        one.mkdir(parents=True)
    asked = f'echo "$3" >>{log}; case $3 in network) echo {home} ;; start) trap "" HUP; sleep 30 ;; esac'
    (folder / "docker").write_text(f"#!/bin/sh\n{asked}\n")
    (folder / "docker").chmod(0o755)
    environ = {"PATH": f"{folder}:{os.environ['PATH']}"}
    text = fresh_program(str(home), FRESH, None, terminal=False)
    process = subprocess.Popen(["sh", "-c", text], env=environ, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        until(lambda: log.exists() and "start" in log.read_text(), "the container is started")
        process.send_signal(signal.SIGHUP)
        assert process.wait(20) == 129
        assert log.read_text().splitlines()[-1] == "rm"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def test_caddy_answers_with_the_page_whatever_is_asked(tmp_path: Path, checkout: Path) -> None:
    """The real front door: every method, the header, braces in a page as they are; and the app when it is gone."""
    import httpx

    caddy, port, door = checkout / ".venv/bin/caddy", free_port(), tmp_path / "door"
    door.mkdir()
    app = {"handle": [{"handler": "static_response", "status_code": 200, "body": "the app"}]}
    server = {"listen": [f"127.0.0.1:{port}"], "routes": [unavailable(str(door)), app]}
    server["automatic_https"] = {"disable": True}
    config = {"admin": {"disabled": True}, "apps": {"http": {"servers": {"one": server}}}}
    (tmp_path / "caddy.json").write_text(json.dumps(config))
    environ = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    process = subprocess.Popen(
        [caddy, "run", "--config", tmp_path / "caddy.json"], env=environ, stderr=subprocess.DEVNULL
    )

    def asked(method: str = "GET") -> httpx.Response:
        return httpx.request(method, f"http://127.0.0.1:{port}/a/b?c", timeout=20)

    def lives() -> bool:
        try:
            return asked().text == "the app"
        except httpx.HTTPError:
            return False

    try:
        until(lives, "Caddy")
        (door / "maintenance.retry").write_text("90")
        (door / "maintenance").write_text("<p>{noon} {http.request.host}</p>\n")
        for method in ("GET", "POST", "DELETE", "PATCH"):
            answer = asked(method)
            assert (answer.status_code, answer.headers["Retry-After"], answer.headers[HEADER]) == (503, "90", "on")
            assert answer.text == "<p>{noon} {http.request.host}</p>"
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert asked("HEAD").status_code == 503
        (door / "maintenance").unlink()
        assert asked().text == "the app"
    finally:
        process.terminate()
        process.wait(30)
