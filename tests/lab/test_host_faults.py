"""A target on a host when things go wrong, over a real sshd: cut, frozen, killed, full, and two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.contract.loopback_sshd import LoopbackSshd
from tests.lab.host_scene import SITE, Host, events, in_background, taken
from tests.real_servers import until

from towline.core.errors import Fenced, LockHeld, Refused, SiteUnreachable, StepFailed
from towline.core.secret import Secret
from towline.drivers.host import journal as journals
from towline.drivers.host import lock as locks
from towline.lab.faults import SlowLink
from towline.release.journal import read
from towline.release.lock import held
from towline.release.resume import resume
from towline.steps.kinds import RunTask
from towline.steps.model import Batch, Lease, Line, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.needs("sshd", "ssh", "pgrep", "setsid", "flock")

ROOT = os.getuid() == 0
OPERATOR = Path(__file__).with_name("host_operator.py")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackSshd]:
    """An sshd that nobody stops."""
    with LoopbackSshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def host(sshd: LoopbackSshd, tmp_path: Path) -> Iterator[Host]:
    """A target where nothing ever was."""
    made = Host(sshd, tmp_path)
    yield made
    made.close()


# The connection


def test_batch_goes_on_when_the_connection_is_cut(host: Host) -> None:
    """The operator is told; the host does the rest and writes it down; another operator has nothing left to do."""
    steps = tuple(host.task(name, marker=name) for name in ("one", "two"))
    with SlowLink(("127.0.0.1", host.sshd.port), 0.0) as link:
        cut_off = host.another(link.port)
        lease = cut_off.acquire("ann@laptop pid 1", 2.0)
        lines = cut_off.carry_out(Batch(SITE, 0, steps), lease, "1")
        assert next(lines).event == "began"
        link.cut()
        with pytest.raises(SiteUnreachable):
            next(lines)
    host.go("one", "two")
    until(lambda: len(host.site.journal()) == 4, "the end of the batch")
    assert events(host.site.journal()) == [("began", 0), ("done", 0), ("began", 1), ("done", 1)]
    with held({SITE: host.site}, "ann@laptop pid 1") as hold:
        again = list(host.site.carry_out(Batch(SITE, 0, steps), hold.leases[SITE], "1.resume.1"))
    assert [line.already for line in again if line.event == "done"] == [True, True]
    assert host.told("runs") == ["one", "two"]


def test_a_run_outlives_an_operator_who_is_killed(host: Host, tmp_path: Path) -> None:
    """SIGKILL in the middle of a step: the host does what is its own to the end, and nobody has anything to resume."""
    operator = started(host, tmp_path, "one", "two")
    assert said(operator) == "began one: `sh -c"
    operator.kill()
    operator.communicate()
    host.go("one", "two")
    until(lambda: host.site.observe().releases == (1,), "the end of the run")
    assert (host.told("runs"), host.told("ends")) == (["one", "two"], ["one", "two"])
    with taken(host.site, "bob@desk pid 2"), pytest.raises(Refused, match="nothing is left"):
        resume(read(host.site, {SITE: host.site}))


# Two operators


def started(host: Host, folder: Path, *names: str) -> subprocess.Popen[str]:
    """An operator with a plan of waiting tasks."""
    plan = folder / "plan.json"
    plan.write_text(json.dumps(to_json(host.plan(*names))))
    argv = [sys.executable, str(OPERATOR), str(host.sshd.address()), str(host.home), str(ROOT), str(plan)]
    return subprocess.Popen([*argv, *host.sshd.options()], stdout=subprocess.PIPE, text=True)


def said(operator: subprocess.Popen[str]) -> str:
    """The next line of an operator, up to its command."""
    assert operator.stdout is not None
    return " ".join(operator.stdout.readline().split()[:4])


def test_frozen_operator_changes_nothing_after_a_takeover(host: Host, tmp_path: Path) -> None:
    """SIGSTOP, takeover, SIGCONT: the one that wakes up is refused, and the site is as the other one left it."""
    operator = started(host, tmp_path, "one", "two")
    assert said(operator).startswith("began one")
    operator.send_signal(signal.SIGSTOP)
    try:
        thread = host.go_after(host.fence(), "one", "two")
        with taken(host.site, "bob@desk pid 2"):
            thread.join()
            before = (host.site.observe().digest, host.site.journal())
            operator.send_signal(signal.SIGCONT)
            out, _ = operator.communicate(timeout=60)
            assert operator.returncode == 3, out
            assert "fenced" in out
            assert "bob@desk pid 2" in out
            assert (host.site.observe().digest, host.site.journal()) == before
    finally:
        operator.send_signal(signal.SIGCONT)
        operator.kill()
        operator.communicate()
    assert (host.told("runs"), host.told("ends")) == (["one"], ["one"])


def test_takeover_stops_a_batch_before_its_next_step(host: Host) -> None:
    """The step at work ends and is written down; the next one is refused, though the batch was sent as a whole."""
    old = host.site.acquire("ann@laptop pid 1", 0.5)
    batch = Batch(SITE, 0, (host.task("one"), host.task("two")))
    came, errors, thread = in_background(host.site.carry_out(batch, old, "1"))
    until(lambda: host.told("runs") == ["one"], "the first step")
    other = host.another()
    host.go_after(old.fence, "one", "two")
    with taken(other, "bob@desk pid 2"):
        thread.join(timeout=60)
    assert events(came) == [("began", 0), ("done", 0)]
    assert [type(error) for error in errors] == [Fenced]
    assert (host.told("runs"), host.told("ends")) == (["one"], ["one"])
    assert events(host.site.journal()) == [("began", 0), ("done", 0)]


def test_takeover_waits_for_the_step_at_work(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it runs nobody gets the lock: what they would read of the site would not last."""
    monkeypatch.setattr(locks, "PATIENCE", 1)
    old = host.site.acquire("ann@laptop pid 1", 0.0)
    _, errors, thread = in_background(host.site.carry_out(Batch(SITE, 0, (host.task("one"),)), old, "1"))
    until(lambda: host.told("runs") == ["one"], "the step")
    with pytest.raises(LockHeld, match="still at work"):
        host.another().acquire("bob@desk pid 2", 60.0)
    host.go("one")
    thread.join(timeout=60)
    assert errors == []
    assert host.another().acquire("bob@desk pid 2", 60.0).fence > old.fence + 1


def test_one_of_many_gets_the_lock(host: Host) -> None:
    """Five operators ask at the same moment: one holds it, four are told who."""
    sites = [host.another() for _ in range(5)]
    for site in sites:
        site.observe()

    def ask(number: int) -> Lease | LockHeld:
        try:
            return sites[number].acquire(f"operator {number}", 60.0)
        except LockHeld as error:
            return error

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(ask, range(5)))
    leases = [one for one in answers if isinstance(one, Lease)]
    assert len(leases) == 1
    assert all(leases[0].owner in str(one) for one in answers if isinstance(one, LockHeld))


def test_two_batches_of_a_target_never_overlap(host: Host) -> None:
    """The second waits until the first has ended, also under one lease."""
    lease = host.site.acquire("ann@laptop pid 1", 60.0)
    other = host.another()
    script = 'echo "in" >>order; sleep 0.3; echo "out" >>order'
    batches = [
        Batch(SITE, number, (host.task(f"t{number}", script), host.task(f"u{number}", script))) for number in (0, 1)
    ]
    readers = [
        in_background(site.carry_out(batch, lease, "1"))
        for site, batch in zip((host.site, other), batches, strict=True)
    ]
    for came, errors, thread in readers:
        thread.join(timeout=60)
        assert errors == []
        assert events(came) == [("began", 0), ("done", 0), ("began", 1), ("done", 1)]
    assert host.told("order") == ["in", "out"] * 4


# Crashes on the host


def test_batch_that_was_killed_is_asked_again(host: Host) -> None:
    """Between `began` and `done`: what the try left behind is ended, and the step is done again."""
    lease = host.site.acquire("ann@laptop pid 1", 60.0)
    batch = Batch(SITE, 0, (host.task("one", marker="m1"),))
    came, errors, thread = in_background(host.site.carry_out(batch, lease, "1"))
    until(lambda: host.told("one.pid"), "the step")
    left_behind = host.told("one.pid")[0]
    os.kill(int(host.told("one.session")[0]), signal.SIGKILL)
    thread.join(timeout=60)
    assert events(came) == [("began", 0)]
    assert [type(error) for error in errors] == [StepFailed]
    assert Path("/proc", left_behind).exists()
    assert host.site.observe().tasks == {}
    again, errors, thread = in_background(host.site.carry_out(batch, lease, "1.resume.1"))
    until(lambda: host.told("runs") == ["one", "one"], "the second try")
    assert not Path("/proc", left_behind).exists()
    host.go("one")
    thread.join(timeout=60)
    assert errors == []
    assert [(line.event, line.already) for line in again] == [("began", False), ("done", False)]
    assert host.told("ends") == ["one"]
    assert host.site.observe().tasks == {"one": "m1"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no file system can be mounted here: {mounted.stderr.decode()}")
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def filled(folder: Path) -> None:
    """Leave not one byte free."""
    with (folder / "fill").open("ab", buffering=0) as fill:
        for size in (4096, 1):
            try:
                while True:
                    fill.write(b"x" * size)
            except OSError:
                continue


def refusal(host: Host, lease: Lease) -> str | None:
    """What a batch says that cannot write its journal; None for one that could."""
    try:
        list(host.site.carry_out(Batch(SITE, 1, (host.task("two"),)), lease, "1"))
    except StepFailed as error:
        return error.sentence
    return None


def test_full_disk_is_said_and_nothing_half_is_left(sshd: LoopbackSshd, tmp_path: Path, small_disk: Path) -> None:
    """Nothing is done that cannot be written down; every line is whole; with room again, all goes on."""
    host = Host(sshd, tmp_path, small_disk / "home")
    host.go("one", "two")
    try:
        lease = host.site.acquire("ann@laptop pid 1", 600.0)
        assert len(list(host.site.carry_out(Batch(SITE, 0, (host.task("one"),)), lease, "1"))) == 2
        before = host.site.journal()
        filled(small_disk)
        tries = [refusal(host, lease) for _ in range(12)]  # the last page of the journal may have room for a few lines
        assert tries[-1] is not None
        assert all("cannot write its journal" in one and "No space left" in one for one in tries if one)
        with pytest.raises(StepFailed, match="No space left"):
            host.site.stash({"d1": Secret("x" * 5000)}, lease)
        lines = host.another().journal()
        assert lines[: len(before)] == before
        assert (host.home / "journal").read_bytes().endswith(b"}\n")
        assert len((host.home / "journal").read_text().splitlines()) == len(lines)
        assert len([line for line in lines if line.event == "began"]) == len(host.told("runs"))
        (small_disk / "fill").unlink()
        assert len(list(host.site.carry_out(Batch(SITE, 1, (host.task("two"),)), lease, "1"))) == 2
        host.site.stash({"d1": Secret("x" * 5000)}, lease)
        assert (host.home / "stash/d1").read_text() == "x" * 5000
    finally:
        host.close()


# What is kept


def test_journal_of_any_length_is_read_in_pieces(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is new travels, in answers of a limited size; a torn end is left out until it is whole."""
    monkeypatch.setattr(journals, "PIECE", 1500)
    lease = host.site.acquire("ann@laptop pid 1", 60.0)
    for number in range(8):
        host.site.record(Line(at="t", run=str(number), event="ended", fence=1, outcome="x" * 500), lease)
    assert [line.run for line in host.site.journal()] == [str(number) for number in range(8)]
    assert host.another().journal() == host.site.journal()
    path = host.home / "journal"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"at":"t","run":"8","event":"en')
    assert len(host.site.journal()) == 8
    assert len(host.site.observe().room.ports) == 64
    path.write_bytes(whole + whole.splitlines()[0])
    assert len(host.site.journal()) == 9
    path.write_bytes(whole[: len(whole) // 2])
    assert len(host.site.journal()) == 4


def test_no_secret_is_in_a_command_line_or_open_to_others(host: Host) -> None:
    """While a task runs with a secret in its environment, no process shows it; its files are for one user only."""
    value = "a-value-for-nobody-else"
    lease = host.site.acquire("ann@laptop pid 1", 60.0)
    host.site.stash({"e1": Secret(json.dumps({"VALUE": value, "PATH": os.environ["PATH"]}))}, lease)
    script = 'echo "$VALUE" | wc -c >size; cat /proc/[0-9]*/cmdline >lines 2>/dev/null; echo "$VALUE"; exit 1'
    task = RunTask("t", "api", ("sh", "-c", script), str(host.folder), 30.0, env="e1")
    lines = list(host.site.carry_out(Batch(SITE, 0, (task,)), lease, "1"))
    assert [line.event for line in lines] == ["began", "failed"]
    assert (host.folder / "size").read_text().strip() == str(len(value) + 1)
    assert value not in (host.folder / "lines").read_text(errors="replace")
    assert value not in repr(lines)
    everywhere = [path for path in host.home.rglob("*") if path.is_file()]
    holding = {path.relative_to(host.home).parts[0] for path in everywhere if value in path.read_text(errors="replace")}
    assert holding == {"stash"}
    assert not [path for path in (host.home, *host.home.rglob("*")) if path.stat().st_mode & 0o077]
