"""What the supervisor reads from the disk: its process table, and what the kernel counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from towline_supervisor.end import judge
from towline_supervisor.oom import OomCounter, count
from towline_supervisor.procfile import read_file
from towline_supervisor.spec import SpecErrors

if TYPE_CHECKING:
    from pathlib import Path


def test_file_is_read_in_start_order(tmp_path: Path) -> None:
    """Processes of a file come in the order they can start, with paths relative to the file."""
    file = tmp_path / "all.toml"
    file.write_text(
        """
        name = "shop"
        [limit]
        memory = "512MB"
        [process.worker]
        command = ["w"]
        after = ["api"]
        cwd = "jobs"
        [process.api]
        command = ["a"]
        """
    )
    procfile = read_file(file)
    assert [spec.name for spec in procfile.processes] == ["api", "worker"]
    assert procfile.processes[1].cwd == str(tmp_path / "jobs")
    assert procfile.processes[0].cwd == str(tmp_path)
    assert (procfile.name, procfile.memory, procfile.banner) == ("shop", 512_000_000, ("All services running",))


def test_file_that_is_no_toml(tmp_path: Path) -> None:
    """A file that cannot be read at all is one mistake that names it."""
    broken = tmp_path / "broken.toml"
    broken.write_text("[process")
    for path, word in ((broken, "is not TOML"), (tmp_path / "none.toml", "cannot be read")):
        with pytest.raises(SpecErrors, match=word):
            read_file(path)


def test_oom_only_when_the_kernel_counted(tmp_path: Path) -> None:
    """A SIGKILL is a want of memory exactly when the figure rose since the last look."""
    file = tmp_path / "memory.events"
    file.write_text("low 0\noom 2\noom_kill 2\n")
    counter = OomCounter([tmp_path / "absent", file])
    assert judge(-9, by_us=False, order=None, oom=counter).as_dict() == {
        "code": None,
        "signal": "KILL",
        "reason": "killed",
        "oom": False,
    }
    file.write_text("low 0\noom 3\noom_kill 3\n")
    assert judge(-9, by_us=True, order=None, oom=counter).oom is False
    ended = judge(-9, by_us=False, order=None, oom=counter)
    assert (ended.oom, ended.reason, ended.sentence()) == (True, "oom", "signal KILL, out of memory")
    assert judge(-9, by_us=False, order=None, oom=counter).oom is False
    assert count([tmp_path / "absent"]) is None
