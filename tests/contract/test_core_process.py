"""Programs really run: their status, their lines as they come, and an end of the whole group in time."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from towline.core.errors import SiteUnreachable
from towline.core.process import Ran, run

if TYPE_CHECKING:
    from pathlib import Path


def gone(pid: int, within: float = 10.0) -> bool:
    """True once the process is no more, or only waits to be reaped by whoever adopted it."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("status", [0, 1, 77])
def test_the_status_is_told_and_is_no_error(status: int) -> None:
    """Any status comes back with both streams, apart."""
    ran = run(["/bin/sh", "-c", f"echo out; echo err >&2; exit {status}"], within=20)
    assert ran == Ran(status, "out\n", "err\n", timed_out=False)


def test_a_signal_is_told_as_its_negative_number() -> None:
    """Killed by the system is told apart from a status of its own."""
    assert run(["/bin/sh", "-c", "kill -KILL $$"], within=20).status == -9


def test_folder_and_environment_are_the_given_ones(tmp_path: Path) -> None:
    """Only the given variables are there, and it runs where it should; without any it inherits."""
    ran = run(["/bin/sh", "-c", 'pwd; echo "$ONE-$HOME"'], within=20, cwd=tmp_path, env={"ONE": "1"})
    assert ran.stdout.splitlines() == [str(tmp_path), "1-"]
    assert run(["/bin/sh", "-c", 'echo "$PATH"'], within=20).stdout.strip() == os.environ["PATH"]


def test_it_has_nobody_to_ask() -> None:
    """A program that reads an answer gets none, instead of waiting for ever."""
    assert run(["/bin/sh", "-c", "read line; echo got $?"], within=20).stdout == "got 1\n"


@pytest.mark.parametrize("program", ["towline-no-such-program", "/nonexistent/program"])
def test_a_missing_program_is_unreachable_with_a_hint(program: str) -> None:
    """The sentence names it, and the hint is a command to type."""
    with pytest.raises(SiteUnreachable, match=f"`{program}` cannot be started: no such file") as caught:
        run([program, "x"], within=20)
    assert caught.value.hint == f"command -v {program}"


def test_a_file_that_is_no_program_is_unreachable(tmp_path: Path) -> None:
    """Not executable is another reason, and is said."""
    path = tmp_path / "plain"
    path.write_text("no program")
    with pytest.raises(SiteUnreachable, match="permission denied"):
        run([str(path)], within=20)


def test_lines_come_while_it_runs(tmp_path: Path) -> None:
    """The program waits for a file that is made only when its first line has arrived here."""
    flag = tmp_path / "flag"
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line)
        if line == "first":
            flag.touch()

    line = f"echo first; until [ -e {flag} ]; do sleep 0.02; done; echo 'second one'; printf unfinished"
    ran = run(["/bin/sh", "-c", line], within=30, on_line=hear)
    assert (ran.status, ran.timed_out) == (0, False)
    assert heard == ["first", "second one", "unfinished"]
    assert ran.stdout == "first\nsecond one\nunfinished"


def test_lines_of_both_streams_come() -> None:
    """Warnings of an installer are lines too."""
    heard: list[str] = []
    run(["/bin/sh", "-c", "echo out; echo err >&2"], within=20, on_line=heard.append)
    assert sorted(heard) == ["err", "out"]


def test_much_output_does_not_block() -> None:
    """More than a pipe holds, on both streams at once."""
    program = "import sys\nfor n in range(20000):\n print('o' * 20); print('e' * 20, file=sys.stderr)"
    ran = run([sys.executable, "-c", program], within=60)
    assert (ran.status, len(ran.stdout), len(ran.stderr)) == (0, 420_000, 420_000)


def test_bytes_that_are_no_text_are_shown_somehow() -> None:
    """A program may print what it likes."""
    ran = run(["/bin/sh", "-c", r"printf 'a\377b\n'"], within=20)
    assert ran.stdout == "a\N{REPLACEMENT CHARACTER}b\n"


def test_the_time_limit_ends_the_whole_group() -> None:
    """A grandchild in the background ends as well, and what was printed until then is there."""
    began = time.monotonic()
    ran = run(["/bin/sh", "-c", "sleep 300 & echo $!; wait"], within=0.5)
    assert time.monotonic() - began < 60
    assert (ran.timed_out, ran.status) == (True, -15)
    assert gone(int(ran.stdout))


def test_who_does_not_listen_is_ended_all_the_same() -> None:
    """A program and its child that both ignore SIGTERM are killed."""
    ran = run(["/bin/sh", "-c", "trap '' TERM; sleep 300 & echo $!; while :; do sleep 0.1; done"], within=0.5)
    assert (ran.timed_out, ran.status) == (True, -9)
    assert gone(int(ran.stdout))


def test_a_stubborn_grandchild_ends_after_its_polite_parent() -> None:
    """The parent ends at the first signal; the child that ignores it must not be left behind."""
    line = "(trap '' TERM; while :; do sleep 0.1; done) & echo $!; trap 'exit 3' TERM; while :; do sleep 0.1; done"
    ran = run(["/bin/sh", "-c", line], within=0.5)
    assert (ran.timed_out, ran.status) == (True, 3)
    assert gone(int(ran.stdout))


def test_an_interrupted_caller_leaves_no_process(tmp_path: Path) -> None:
    """Ctrl-C here ends the program, and the interrupt goes on."""
    program = (
        "import sys\nfrom towline.core.process import run\n"
        "run(['/bin/sh', '-c', 'sleep 300 & echo $!; wait'], within=300, on_line=lambda l: print(l, flush=True))\n"
    )
    caller = psutil.Popen([sys.executable, "-c", program], stdout=-1, stderr=-1, text=True)
    pid = int(caller.stdout.readline())
    caller.send_signal(2)
    _, err = caller.communicate(timeout=30)
    assert "KeyboardInterrupt" in err
    assert gone(pid)


def test_no_thread_is_left() -> None:
    """The readers end with the program."""
    before = threading.active_count()
    run(["/bin/sh", "-c", "echo x"], within=20)
    assert threading.active_count() == before


def test_the_last_lines_are_twenty_with_errors_last() -> None:
    """Evidence is short, and errors are what is cut last."""
    ran = Ran(1, "".join(f"o{n}\n" for n in range(30)), "e0\ne1\n")
    assert ran.last_lines == (*(f"o{n}" for n in range(12, 30)), "e0", "e1")
    assert Ran(1, "only\n", "").last_lines == ("only",)
