"""What the daemon keeps in files: logs of bounded size, and who runs, so that nothing is left behind."""

import contextlib
import json
import signal
import subprocess
from pathlib import Path

from towline_supervisor.lines import LogLine
from towline_supervisor.logs import LogFolder, last_lines
from towline_supervisor.loop import Loop
from towline_supervisor.state import StateFile, end_left_behind
from towline_supervisor.supervise import Supervisor

DEADLINE = 20.0


def test_log_files_are_rotated(tmp_path: Path) -> None:
    """A log never grows over its limit, keeps its older parts, and its end is read across them."""
    logs = LogFolder(tmp_path / "logs", most=1000, kept=3)
    for number in range(100):
        logs.append([LogLine(float(number), "a", 1, "stdout", f"line {number}")])
    files = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert files == ["a.log", "a.log.1", "a.log.2"]
    assert all((tmp_path / "logs" / name).stat().st_size <= 1000 for name in files)
    assert [json.loads(line)["text"] for line in logs.tail(["a"], 15)] == [
        f"line {number}" for number in range(85, 100)
    ]
    assert logs.tail(["a"], 0) == []
    assert logs.tail(["nobody"], 5) == []
    logs.append([LogLine(98.5, "b", 1, "stdout", "between")])
    assert [json.loads(line)["text"] for line in logs.tail(None, 2)] == ["between", "line 99"]
    logs.close()


def test_end_of_a_large_file_is_read_from_its_end(tmp_path: Path) -> None:
    """Lines longer than a block are still whole."""
    file = tmp_path / "big"
    file.write_bytes(b"first\n" + b"y" * 200_000 + b"\nlast\n")
    assert [len(line) for line in last_lines(file, 2)] == [200_000, 4]
    assert last_lines(file, 100)[0] == b"first"


def test_full_disk_ends_nothing(tmp_path: Path) -> None:
    """Lines that the disk refuses are counted, and the count is told when it takes some again."""
    logs = LogFolder(tmp_path)
    (tmp_path / "a.log").symlink_to("/dev/full")
    logs.append([LogLine(0.0, "a", 1, "stdout", "lost"), LogLine(0.0, "a", 1, "stdout", "lost too")])
    logs.close()
    (tmp_path / "a.log").unlink()
    logs.append([LogLine(0.0, "a", 1, "stdout", "kept")])
    texts = [json.loads(line)["text"] for line in (tmp_path / "a.log").read_text().splitlines() if line]
    assert texts == ["2 lines were lost: the disk refused them", "kept"]
    logs.close()


def test_reused_pid_is_never_touched(tmp_path: Path) -> None:
    """A process with another start time is another process, and a state of another boot says nothing."""
    with subprocess.Popen(["sleep", "600"]) as stranger, contextlib.ExitStack() as end:
        end.callback(stranger.kill)
        recorded = {"name": "a", "pid": stranger.pid, "began": "1", "signal": "TERM", "within": 1}
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        state = tmp_path / "state"
        began = Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19]
        for value in (
            {"boot": boot, "run": "x" * 16, "processes": [recorded]},
            {"boot": "another", "run": "x" * 16, "processes": [{**recorded, "began": began}]},
            {"boot": boot, "processes": "broken"},
        ):
            state.write_text(json.dumps(value))
            assert end_left_behind(state) == []
        assert stranger.poll() is None
        state.write_text(json.dumps({"boot": boot, "run": "x" * 16, "processes": [{**recorded, "began": began}]}))
        assert end_left_behind(state) == [stranger.pid]
        assert stranger.wait(DEADLINE) == -signal.SIGTERM
    assert end_left_behind(tmp_path / "absent") == []


def test_state_is_written_only_when_it_changes(tmp_path: Path) -> None:
    """The state file is replaced as a whole, and left alone while nothing changes."""
    loop = Loop()
    state = StateFile(tmp_path / "state", "run")
    state.keep(Supervisor(loop, in_turn=True))
    before = (tmp_path / "state").stat().st_ino
    state.keep(Supervisor(loop, in_turn=True))
    assert (tmp_path / "state").stat().st_ino == before
    assert json.loads((tmp_path / "state").read_text())["processes"] == []
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    loop.close()
