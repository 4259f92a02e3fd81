"""The life of an app, command by command: each is a process of its own, as in a terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import uuid
from typing import TYPE_CHECKING

from tests.acceptance.projects import TOWLINE, Project, ask
from tests.processes import lives
from tests.real_servers import until

if TYPE_CHECKING:
    from pathlib import Path


def test_up_detached_serves_and_is_verified(tiny: Project) -> None:
    """After `up --detach` the app answers at the address that is printed, and goes on when the command has ended."""
    done = tiny.up()
    *_, address, last = done.out.splitlines()
    url = address.split()[-1]
    assert re.fullmatch(r"VERIFIED (\d+) of \1 checks in \d+\.\d s", last)
    assert ask(url).json()["version"] == "one"
    assert f"api.{tiny.name}.localhost" in url


def test_up_with_json_is_one_document(tiny: Project) -> None:
    """`up --json` prints one document with addresses and verdict, and leaves the app running."""
    told = tiny.run("up", "--json").must().json()
    assert told["verdict"]["ok"] is True
    assert ask(told["addresses"]["api"]).json()["version"] == "one"


def test_status_names_every_process(running: Project) -> None:
    """`status` shows each service with its pid, which really lives; as JSON it says the same."""
    found = running.instances()
    assert set(found) == {"door", "api", "worker"}
    assert all(one["state"] == "ready" and lives(one["pid"]) for one in found.values())
    table = running.run("status").must().out
    assert all(str(one["pid"]) in table for one in found.values())
    only = running.run("status", "worker", "--json").must().json()["instances"]
    assert [one["service"] for one in only] == ["worker"]


def test_status_of_nothing_says_what_to_do(tiny: Project) -> None:
    """Before the first `up` there is nothing, which is no error, and a hint."""
    done = tiny.run("status").must()
    assert "towline up" in done.err
    assert tiny.run("status", "--json").must().json()["instances"] == []


def test_plan_tells_whether_something_is_to_do(tiny: Project) -> None:
    """`plan` ends with 10 when `up` would change something and with 0 when not, and changes nothing itself."""
    first = tiny.run("plan").must(10)
    assert "start api" in first.out
    assert not tiny.processes()
    tiny.up()
    tiny.run("plan").must(0)
    before = tiny.pids()
    tiny.version("api", "two")
    told = tiny.run("plan", "--json").must(10).json()
    assert told["stages"]
    assert told["digest"]
    assert tiny.pids() == before


def test_second_up_changes_nothing(running: Project) -> None:
    """`up` on what runs already keeps every process, and verifies."""
    before, lines = running.pids(), running.journal_lines()
    again = running.up()
    assert "nothing was changed" in again.err
    assert running.pids() == before
    assert running.journal_lines() == lines


def test_logs_have_names_and_follow(tiny: Project) -> None:
    """`logs` names the process before each line; `-f` shows new lines until Ctrl-C; `--json` is an object a line."""
    tiny.up()
    lines = tiny.run("logs", "api", "worker").must().out.splitlines()
    assert any(re.search(r"api +\| api one listens", line) for line in lines)
    assert any(re.search(r"worker +\| worker one takes jobs", line) for line in lines)
    assert "worker one" not in tiny.run("logs", "api").must().out
    told = [json.loads(line) for line in tiny.run("logs", "--json", "api").must().out.splitlines()]
    assert {one["service"] for one in told} == {"api"}
    follower = tiny.start("logs", "-f", "worker", "-n", "1")
    assert follower.stdout is not None
    assert "worker one takes jobs" in follower.stdout.readline()
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.extend(follower.stdout or ()))
    reader.start()

    def followed() -> bool:
        """A line of a new version; the first may be printed before the follower has asked for new ones."""
        tiny.version("worker", f"v{uuid.uuid4().hex[:6]}")
        tiny.up()
        return any(re.search(r"worker +\| worker v\w+ takes jobs", line) for line in seen)

    until(followed, "a new line is shown")
    follower.send_signal(signal.SIGINT)
    assert follower.wait(20) == 130
    reader.join()


def test_exec_runs_as_the_service_would(running: Project) -> None:
    """`exec` has the folder and environment of the service, and passes the exit status on."""
    script = "import os, sys; print(os.getcwd(), os.environ['VERSION']); sys.exit(7)"
    done = running.run("exec", "api", "--", "python3", "-c", script).must(7)
    assert done.out.split() == [str(running.path / "api"), "one"]
    told = running.run("exec", "--json", "api", "--", "python3", "-c", script).must(7).json()
    assert told["status"] == 7


def test_verify_proves_from_outside(running: Project) -> None:
    """`verify` walks a job through the app and says so as JSON; a service that is ill makes it end with 5."""
    told = running.run("verify", "--json").must().json()
    assert told["ok"] is True
    assert {"the job is done", "no store is open beyond this machine"} <= {one["name"] for one in told["checks"]}
    (running.notes / "sick").touch()
    try:
        ill = running.run("verify", "--json").must(5).json()
        assert [one["name"] for one in ill["checks"] if not one["ok"]] == ["api answers at the front door"]
        assert running.run("verify").must(5).out.splitlines()[-1].startswith("FAILED")
    finally:
        (running.notes / "sick").unlink()


def test_up_that_does_not_verify_ends_with_5(tiny: Project) -> None:
    """When all runs and the job is not done, `up` says what was seen and ends with 5; the app is left for a look."""
    tiny.change("towline.yaml", "within: 15s", "within: 1s")
    tiny.change("compose.yaml", 'JOB_SECONDS: "0.1"', 'JOB_SECONDS: "3"')
    done = tiny.run("up", "--detach").must(5)
    assert "the job was not done within 1 s" in done.out
    assert "FAILED" in done.out
    assert set(tiny.pids()) == {"door", "api", "worker"}


def test_down_from_another_process_keeps_data(tiny: Project) -> None:
    """`down` ends every process in order; the next `up` is a new release of the same app at the same address."""
    tiny.up()
    url = tiny.url()
    pids = set(tiny.processes())
    assert len(pids) >= 4
    done = tiny.run("down").must()
    assert str(tiny.path) in done.out or ".towline" in done.out
    assert not any(lives(pid) for pid in pids)
    assert not tiny.processes()
    assert tiny.run("down").must().out.startswith("Nothing of")
    tiny.addresses.clear()
    tiny.up()
    assert tiny.url() == url
    assert [one["intent"] for one in tiny.runs()] == ["deploy", "down", "deploy"]


def test_purge_wants_the_right_name(tiny: Project) -> None:
    """`down --purge` with another name ends with 2 and neither stops nor deletes; with its own name all data goes."""
    tiny.up()
    before = tiny.pids()
    done = tiny.run("down", "--purge", "tinny").must(2)
    assert "nothing was deleted" in done.err
    assert f"--purge {tiny.name}" in done.err
    assert tiny.pids() == before
    assert tiny.home.joinpath("blobs").is_dir()
    tiny.run("down", "--purge", tiny.name).must()
    assert not tiny.processes()
    assert not [one for one in ("blobs", "data", "secrets.json", "logs") if (tiny.home / one).exists()]
    tiny.up()


def test_crash_loop_is_shown(tiny: Project) -> None:
    """A worker that keeps crashing is shown as such by `status`, with its restarts, and by `verify` with 5."""
    tiny.up()
    (tiny.notes / "crash-worker").touch()

    def crashes() -> bool:
        worker = tiny.instances()["worker"]
        return bool(worker["state"] != "ready" and worker["restarts"] >= 1)

    until(crashes, "the worker crashes again and again")
    worker = tiny.instances()["worker"]
    assert any("worker cannot live" in line for line in worker["last"])
    assert "worker cannot live" in tiny.run("logs", "worker").must().out
    seen = {one["name"]: one for one in tiny.run("verify", "--json").must(5).json()["checks"]}
    assert seen["worker is alive"]["ok"] is False
    (tiny.notes / "crash-worker").unlink()
    tiny.up()
    assert tiny.instances()["worker"]["state"] == "ready"


def test_killed_process_comes_back(running: Project) -> None:
    """A process that is killed from outside is started again, and the app is well."""
    old = running.pids()["api"]
    os.kill(old, signal.SIGKILL)
    until(lambda: (one := running.instances()["api"])["state"] == "ready" and one["pid"] != old, "it is back")
    running.run("verify").must()


def test_resume_of_nothing_is_refused(running: Project) -> None:
    """Nothing is left to resume after a good run, which is said with 3 and a hint."""
    done = running.run("resume").must(3)
    assert "nothing is left to resume" in done.err
    assert "hint:" in done.err


def test_closed_pipe_is_no_error(running: Project, tmp_path: Path) -> None:
    """`towline logs | head -1` ends without a complaint."""
    err = tmp_path / "err"
    line = 'set -o pipefail; "$0" logs -n 1000 2>"$1" | head -n 1'
    done = subprocess.run(
        ["bash", "-c", line, TOWLINE, str(err)],
        cwd=running.path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.count("\n") == 1
    assert err.read_text() == ""
