"""The local site's instances and tasks: what fails says why, what is left behind is cleared, nothing tells a secret."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.lab.local_lab import Lab, environment, make_lab, refuses, until

from towline.core.errors import Fenced, StepFailed
from towline.core.events import Progressed
from towline.drivers.local.driver import LocalSite
from towline.drivers.local.home import home_of
from towline.steps.kinds import (
    ConfirmStopped,
    Drain,
    EndSite,
    Probe,
    RunTask,
    StartInstance,
    StopInstance,
    WaitReady,
    instance_to_json,
)
from towline.steps.model import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.core.events import Event

TOKEN = "token-that-nobody-may-see"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A site with nothing on it."""
    lab = make_lab(tmp_path)
    try:
        yield lab
    finally:
        lab.close()


def env(lab: Lab, digest: str, **variables: str) -> str:
    """A stashed environment."""
    return lab.stash(digest, json.dumps({**environment(), **variables}))


def shell(lab: Lab, name: str, line: str, **changes: object) -> RunTask:
    """A task that runs a shell line in the project."""
    task = RunTask(name, "api", ("/bin/sh", "-c", line), str(lab.home.parent.parent), 20)
    return replace(task, **changes)  # type: ignore[arg-type]


def test_an_instance_lives_its_life(lab: Lab) -> None:
    """Start, ready, stop, confirmed; the facts follow, and the same start is already so."""
    instance = lab.app("api-1")
    saw = lab.start(instance)
    assert f"PID {lab.pid('api-1')}" in saw[1].saw
    fact = lab.site.observe().instances[0]
    assert (fact.name, fact.service, fact.revision, fact.state, fact.port) == (
        "api-1",
        "api",
        "api-1",
        "ready",
        lab.port("api-1"),
    )
    assert [line.already for line in lab.start(instance)] == [True, True]
    lines = lab.carry(Drain("api-1", 5), StopInstance("api-1", 5), ConfirmStopped("api-1"))
    assert "exit status 0" in lines[1].saw
    assert lab.site.observe().instances == ()
    assert refuses(lab.port("api-1"))
    assert lab.carry(StopInstance("api-1", 5))[0].already


def test_what_ran_before_is_written_down(lab: Lab) -> None:
    """Start and stop note the instance that ran under the name, whole, so that it can be started again."""
    instance = lab.app("api-1")
    lab.start(instance)
    lines = list(lab.site.carry_out(Batch("local", 0, (StopInstance("api-1", 5),)), lab.lease, "1"))
    assert lines[0].before == {"instance": instance_to_json(instance)}
    lines = list(lab.site.carry_out(Batch("local", 1, (StartInstance(instance),)), lab.lease, "1"))
    assert lines[0].before == {"instance": None}


def test_another_revision_under_the_same_name_replaces_it(lab: Lab) -> None:
    """As a store does whose settings change: one process, the new one."""
    first = lab.app("api-1")
    lab.start(first)
    before = lab.pid("api-1")
    lines = lab.start(replace(first, revision="other"))
    assert not lines[0].already
    assert lab.pid("api-1") != before
    assert lab.site.observe().instances[0].revision == "other"
    assert before is None or not psutil.pid_exists(before)


def test_a_taken_port_names_its_holder(lab: Lab) -> None:
    """The step fails before anything is started, and says which process has the port."""
    with socket.create_server(("127.0.0.1", lab.port("api-1"))):
        with pytest.raises(StepFailed, match=rf"needs port {lab.port('api-1')}.*\(PID {os.getpid()}\)") as caught:
            lab.carry(StartInstance(lab.app("api-1")))
        assert caught.value.hint == f"kill {os.getpid()}"
    assert lab.site.status() == ()


def test_a_crash_at_the_start_shows_its_last_lines_without_secrets(lab: Lab) -> None:
    """The evidence has the exit status and what was printed, masked; the instance stays to be looked at."""
    instance = lab.app("api-1", env=env(lab, "e", PORT="1", FAIL="yes", TOKEN=TOKEN))
    with pytest.raises(StepFailed) as caught:
        lab.start(instance)
    text = "\n".join([caught.value.sentence, *caught.value.evidence])
    assert "cannot start: token" in text
    assert "exit status 1" in text
    assert TOKEN not in text
    assert TOKEN not in (lab.home / "journal.jsonl").read_text()
    assert lab.site.observe().instances[0].state == "crashed"
    assert all(TOKEN not in line for one in lab.site.status() for line in one.last)
    lab.start(lab.app("api-1"))
    assert lab.state("api-1") == "ready"


def test_one_that_never_answers_is_not_ready(lab: Lab) -> None:
    """The limit is kept, and the sentence says what was asked."""
    instance = lab.app("api-1", ready=Probe("http", within=1.5, path="/health", status=204))
    with pytest.raises(StepFailed, match=r"was not ready within 1\.5 s.*200"):
        lab.start(instance)


def test_a_program_that_is_not_there_is_named(lab: Lab) -> None:
    """A missing program is the user's mistake, not a crash loop."""
    with pytest.raises(StepFailed, match="no-such-program"):
        lab.start(lab.app("api-1", command=("no-such-program",)))


def test_a_worker_is_ready_when_it_lives(lab: Lab) -> None:
    """Without a port there is nothing to ask, to drain or to take."""
    worker = lab.app("w-1", "worker", port=None, ready=Probe("lives", 5), command=("/bin/sh", "-c", "sleep 300"))
    lab.start(worker)
    assert lab.carry(Drain("w-1", 5))[0].saw == "nothing to drain"
    assert lab.site.listeners("w-1") == ()
    assert lab.carry(StopInstance("w-1", 5), ConfirmStopped("w-1"))[1].saw == "no process is left"


def test_a_worker_that_ignores_the_signal_is_killed_at_the_limit(lab: Lab) -> None:
    """And what it started goes with it."""
    line = "trap '' TERM; sleep 301 & echo child $!; while :; do sleep 0.1; done"
    lab.start(lab.app("w-1", "worker", port=None, ready=Probe("lives", 5), command=("/bin/sh", "-c", line)))
    child = until(lambda: [one.text for one in lab.site.logs(("worker",), 10) if "child" in one.text])[0].split()[1]
    lines = lab.carry(StopInstance("w-1", 0.5), ConfirmStopped("w-1"))
    assert "SIGKILL" in lines[0].saw
    until(lambda: not psutil.pid_exists(int(child)), what="the child has gone")


def test_a_listener_left_on_the_port_is_no_clean_stop(lab: Lab) -> None:
    """Whatever listens there that is none of ours is named."""
    lab.start(lab.app("api-1"))
    lab.stop("api-1")
    with (
        socket.create_server(("127.0.0.1", lab.port("api-1"))),
        pytest.raises(StepFailed, match=rf"PID {os.getpid()}\) still listens on its port"),
    ):
        lab.carry(ConfirmStopped("api-1"))
    lab.start(lab.app("api-2"))
    with pytest.raises(StepFailed, match="has not stopped"):
        lab.carry(ConfirmStopped("api-2"))


def test_a_successor_on_the_same_port_does_not_spoil_the_confirmation(lab: Lab) -> None:
    """Asked again by a resume, after the new instance has the port."""
    lab.start(lab.app("api-1"))
    lab.stop("api-1")
    lab.start(lab.app("api-2", port=lab.port("api-1"), env=env(lab, "e", PORT=str(lab.port("api-1")))))
    lab.carry(ConfirmStopped("api-1"))


def test_an_instance_comes_back_after_a_kill(lab: Lab) -> None:
    """The supervisor starts it again, and the status counts it."""
    lab.start(lab.app("api-1"))
    before = lab.pid("api-1")
    assert before
    os.kill(before, signal.SIGKILL)
    until(lambda: lab.pid("api-1") not in (None, before) and lab.state("api-1") == "ready")
    assert lab.site.status()[0].restarts == 1


def test_status_and_logs_tell_what_people_ask(lab: Lab) -> None:
    """Pid, port, memory, uptime; lines by service, also when nothing runs; the process's real environment."""
    lab.start(lab.app("api-1", env=env(lab, "e", PORT=str(lab.port("api-1")), NAME="api-1", TOKEN=TOKEN)))
    status = until(lambda: next((one for one in lab.site.status() if one.memory > 1_000_000), None), 10)
    assert status is not None
    assert (status.service, status.port, status.state) == ("api", lab.port("api-1"), "ready")
    assert status.uptime > 0
    assert lab.site.listeners("api-1") == (("127.0.0.1", lab.port("api-1")),)
    found = lab.site.environment("api-1")
    assert found is not None
    assert found["NAME"].reveal() == "api-1"
    assert TOKEN not in repr(found)
    until(lambda: [one for one in lab.site.logs(("api",), 5) if "api-1 listens" in one.text])
    assert list(lab.site.logs(("other",), 5)) == []
    lab.close()
    lines = [one for one in lab.site.logs(("api",), 100) if "api-1 listens" in one.text]
    assert [(one.instance, one.service, one.stream) for one in lines] == [("api-1", "api", "stdout")]
    assert lab.site.environment("api-1") is None


def test_logs_can_be_followed(lab: Lab) -> None:
    """New lines of a service come as they are printed, those of others do not."""
    count = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done"
    lab.start(lab.app("w-1", "worker", port=None, ready=Probe("lives", 5), command=("/bin/sh", "-c", count)))
    lab.start(lab.app("o-1", "other", port=None, ready=Probe("lives", 5), command=("/bin/sh", "-c", count)))
    follow = lab.site.logs(("worker",), 2, follow=True)
    lines = [next(follow) for _ in range(8)]
    follow.close()  # type: ignore[attr-defined]
    assert {one.service for one in lines} == {"worker"}
    numbers = [int(one.text.split()[1]) for one in lines]
    assert numbers == sorted(set(numbers))


def test_nothing_outlives_a_killed_supervisor(lab: Lab) -> None:
    """SIGKILL of the supervisor: its processes end, the site is seen as empty, and a new start works."""
    lab.start(lab.app("api-1"))
    lab.start(lab.app("w-1", "worker", port=None, ready=Probe("lives", 5), command=("sleep", "300")))
    pids = [one.pid for one in lab.site.status()]
    supervisor = psutil.Process(pids[0]).ppid()
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not any(pid and psutil.pid_exists(pid) and not zombie(pid) for pid in pids))
    assert lab.site.observe().instances == ()
    lab.start(lab.app("api-1"))


def zombie(pid: int) -> bool:
    """Whether it has ended and only its entry is left."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_supervisor_sees_nothing_of_the_callers_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret of the shell in which towline was started reaches no server and no service."""
    monkeypatch.setenv("SECRET_OF_THE_SHELL", TOKEN)
    lab = make_lab(tmp_path)
    try:
        lab.start(lab.app("w-1", port=None, env=None, ready=Probe("lives", 5), command=("sleep", "300")))
        pid = lab.pid("w-1")
        assert pid
        assert TOKEN not in "".join(psutil.Process(pid).environ().values())
        assert TOKEN not in "".join(psutil.Process(psutil.Process(pid).ppid()).environ().values())
    finally:
        lab.close()


def test_a_task_runs_once_for_its_marker(lab: Lab) -> None:
    """Done with a marker it is not done again; another marker, or none, runs it."""
    task = shell(lab, "migrate", "echo run >> runs; echo said", marker="m1")
    assert not lab.carry(task)[0].already
    assert lab.carry(task)[0].already
    assert lab.site.observe().tasks == {"migrate": "m1"}
    lab.carry(replace(task, marker="m2"))
    lab.carry(replace(task, marker=None))
    lab.carry(replace(task, marker=None))
    runs = (lab.home.parent.parent / "runs").read_text()
    assert runs.count("run") == 4
    assert "said" in [one.text for one in lab.site.logs(("migrate",), 10)]


def test_a_task_gets_its_environment_and_nothing_else(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stashed environment is the whole of it."""
    monkeypatch.setenv("SECRET_OF_THE_SHELL", TOKEN)
    digest = env(lab, "e", ONLY="this one")
    lab.carry(shell(lab, "look", 'env > seen; test "$ONLY" = "this one"', env=digest))
    assert TOKEN not in (lab.home.parent.parent / "seen").read_text()


def test_a_failed_task_shows_its_last_lines_without_secrets(lab: Lab) -> None:
    """Exit status, last lines, masked also in its log; no marker is kept."""
    digest = env(lab, "e", TOKEN=TOKEN)
    with pytest.raises(StepFailed, match="migrate ended with status 3") as caught:
        lab.carry(shell(lab, "migrate", "echo before; echo $TOKEN >&2; exit 3", env=digest, marker="m"))
    assert "before" in caught.value.evidence
    assert TOKEN not in "".join(caught.value.evidence)
    assert all(TOKEN not in path.read_text() for path in lab.home.glob("logs/*"))
    assert lab.site.observe().tasks == {}


def test_a_task_has_a_limit_in_time(lab: Lab) -> None:
    """At the limit it is ended with all that it started."""
    with pytest.raises(StepFailed, match="was not done within 1"):
        lab.carry(shell(lab, "slow", "sleep 299 & echo $! > child; sleep 299", within=1.0))
    child = int((lab.home.parent.parent / "child").read_text())
    until(lambda: not psutil.pid_exists(child) or zombie(child))


def test_lines_of_a_task_are_heard_as_they_come(tmp_path: Path) -> None:
    """The listener gets each line, masked."""
    heard: list[Event] = []
    lab = make_lab(tmp_path)
    site = LocalSite(lab.home, listener=heard.append)
    digest = env(lab, "e", TOKEN=TOKEN)
    list(site.carry_out(Batch("local", 0, (shell(lab, "t", "echo one; echo $TOKEN", env=digest),)), lab.lease, "1"))
    assert [one.line for one in heard if isinstance(one, Progressed)] == ["one", "●●●●"]


def test_what_a_crashed_operator_left_running_is_ended_first(lab: Lab) -> None:
    """The operator is killed in the middle of a task: the task goes on, and the next try ends it before it begins."""
    folder = lab.home.parent.parent
    task = 'echo $$ >> pids; if [ -e "$0.second" ]; then exit 0; fi; sleep 298'
    script = (
        "import sys, pathlib; sys.path.insert(0, '.')\n"
        "from tests.lab.local_lab import make_lab; from towline.steps.kinds import RunTask\n"
        "lab = make_lab(pathlib.Path(sys.argv[1]))\n"
        "lab.carry(RunTask('migrate', 'api', ('/bin/sh', '-c', sys.argv[2], sys.argv[1] + '/t'), sys.argv[1], 300))\n"
    )
    operator = subprocess.Popen([sys.executable, "-c", script, str(folder), task])
    first = int(until(lambda: (folder / "pids").exists() and (folder / "pids").read_text().strip(), what="it began"))
    operator.kill()
    operator.wait(10)
    assert psutil.pid_exists(first)
    (folder / "t.second").touch()
    again = make_lab(folder)
    again.lease = again.site.acquire("the test", 600)
    again.carry(RunTask("migrate", "api", ("/bin/sh", "-c", task, str(folder / "t")), str(folder), 60))
    assert not psutil.pid_exists(first) or zombie(first)
    assert len((folder / "pids").read_text().split()) == 2
    lab.lease = again.site.acquire("the test", 600)


def test_a_fenced_operator_changes_nothing(lab: Lab) -> None:
    """After a takeover the old lease starts nothing, stashes nothing, writes nothing."""
    old = lab.lease
    lab.site.release(old)
    lab.lease = lab.site.acquire("somebody else", 60)
    before = (lab.home / "journal.jsonl").read_text() if (lab.home / "journal.jsonl").exists() else ""
    with pytest.raises(Fenced, match="somebody else"):
        list(lab.site.carry_out(Batch("local", 0, (StartInstance(lab.app("api-1")),)), old, "1"))
    with pytest.raises(Fenced):
        lab.site.stash({}, old)
    with pytest.raises(Fenced):
        lab.site.renew(old, 5)
    assert lab.site.status() == ()
    assert before == ((lab.home / "journal.jsonl").read_text() if before else "")


def test_ending_the_site_ends_everything(lab: Lab) -> None:
    """Every process ends politely, the sockets go with their folder, and asking again is already so."""
    run = home_of(lab.home, os.environ).run
    lab.start(lab.app("api-1"))
    pid = lab.pid("api-1")
    lab.carry(EndSite())
    assert pid
    assert not psutil.pid_exists(pid)
    assert not run.exists()
    assert lab.site.status() == ()
    assert lab.carry(EndSite())[0].already
    assert lab.carry(ConfirmStopped("api-1"))


def test_waiting_for_what_does_not_run_fails_at_once(lab: Lab) -> None:
    """Not after the limit, and in words."""
    lab.start(lab.app("api-1"))
    start = time.monotonic()
    with pytest.raises(StepFailed, match="nothing-of-that-name"):
        lab.carry(WaitReady("nothing-of-that-name", 60))
    assert time.monotonic() - start < 20
