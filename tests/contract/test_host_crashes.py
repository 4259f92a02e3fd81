"""A batch on a host that dies at any moment at which something was, or was about to be, on the disk."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.driver_cases import PLAIN, SITE

from towline.core.errors import StepFailed
from towline.drivers.host.batch import SIDE_BY_SIDE, StepProgram
from towline.drivers.host.driver import HostSite
from towline.drivers.host.shell import Answer, Shell
from towline.steps.kinds import RunTask
from towline.steps.model import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.drivers.host.driver import Programs
    from towline.steps.model import Line

pytestmark = pytest.mark.needs("sh", "setsid", "flock")

NAMES = ("one", "two")
SYNC = """#!/bin/sh
# The real sync, but for the one at which the batch dies: before it, or after.
fuse={folder}/fuse
[ -e "$fuse" ] || exec {sync} "$@"
exec 5>>"$fuse.lock"
flock 5  # two may be at it side by side
left=$(($(cat "$fuse") - 1))
echo "$left" >"$fuse"
[ "$left" -eq 0 ] || exec {sync} "$@"
[ {when} = before ] || {sync} "$@"
kill -s KILL "$(ps -o sid= -p $$ | tr -d ' ')"
"""


class HereLink:
    """The shell that answers on a host, started here, with `sync` from a folder."""

    def __init__(self, programs: Path | None) -> None:
        path = os.environ["PATH"] if programs is None else f"{programs}:{os.environ['PATH']}"
        self.shell = Shell(lambda serving: ("env", f"PATH={path}", "sh", "-c", serving), 30.0)

    def run(self, program: str, *, within: float, data: bytes = b"") -> Answer:
        return self.shell.run(program, within=within, data=data)

    def lines(self, program: str, *, within: float, data: bytes = b"") -> Iterator[str]:
        for line in self.shell.lines(program, within=within, data=data):
            if isinstance(line, bytes):
                yield line.decode()
            elif line.status != 0:
                raise StepFailed(f"status {line.status}", evidence=line.last_lines)


def aside(step: RunTask) -> StepProgram:
    """A task that minds nothing of the one before it."""
    return replace(PLAIN["run-task"](step), beside=True)


WAYS: dict[str, Programs] = {"one after the other": PLAIN, "side by side": {"run-task": aside}}
ORDER = {
    "one after the other": [("began", 0), ("done", 0), ("began", 1), ("done", 1)],
    "side by side": [("began", 0), ("began", 1), ("done", 0), ("done", 1)],
}


class Scene:
    """A target in a folder, with a batch of two tasks that write down that they ran; `how` is one of WAYS."""

    def __init__(self, folder: Path, when: str, how: str) -> None:
        self.folder, self.how = folder, how
        (folder / "bin").mkdir()
        sync = folder / "bin/sync"
        sync.write_text(SYNC.format(folder=folder, when=when, sync="/bin/sync"))
        sync.chmod(0o755)
        tasks = [
            RunTask(name, "api", ("sh", "-c", f"echo {name} >>{folder}/runs"), str(folder), 30.0, marker=name)
            for name in NAMES
        ]
        self.batch = Batch(SITE, 0, tuple(tasks))

    def carry_out(self, fuse: int | None, closing: contextlib.ExitStack) -> tuple[list[Line], HostSite, bool]:
        """What another operator sees of the batch; the fuse is lit once they hold the lock. Whether it died."""
        link = HereLink(self.folder / "bin" if fuse else None)
        closing.callback(link.shell.close)
        site = HostSite(link, str(self.folder / "home"), site=SITE, programs=WAYS[self.how])
        lease = site.acquire("ann@laptop", 60.0)
        if fuse:
            (self.folder / "fuse").write_text(str(fuse))
        lines: list[Line] = []
        died = True
        with contextlib.suppress(StepFailed):
            lines += site.carry_out(self.batch, lease, "1")
            died = False
        (self.folder / "fuse").unlink(missing_ok=True)
        return lines, site, died

    def runs(self) -> Counter[str]:
        """How often each task ran."""
        path = self.folder / "runs"
        return Counter(path.read_text().split() if path.exists() else [])


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_batch_may_die_at_any_moment(tmp_path: Path, when: str, how: str) -> None:
    """Whatever ran was written down first; the next operator finishes it, and the journal holds whole lines only."""
    fuse, died = 0, True
    while died:
        fuse += 1
        folder = tmp_path / str(fuse)
        folder.mkdir()
        with contextlib.ExitStack() as closing:
            died = died_and_finished(Scene(folder, when, how), fuse, closing)
    # The journal, two marks with their folder and four lines, each synced: each was the last one once.
    assert fuse > 8


def died_and_finished(scene: Scene, fuse: int, closing: contextlib.ExitStack) -> bool:
    """Let a batch die, and another operator finish it; False when the fuse was too long for it to die."""
    _, site, died = scene.carry_out(fuse, closing)
    begun = Counter(
        line.step.name for line in site.journal() if line.event == "began" and isinstance(line.step, RunTask)
    )
    assert scene.runs() <= begun
    marked = site.observe().tasks
    lines, site, _ = scene.carry_out(None, closing)
    assert [(line.event, line.index) for line in lines] == ORDER[scene.how]
    assert {line.step.name for line in lines if line.already and isinstance(line.step, RunTask)} == set(marked)
    assert site.observe().tasks == {name: name for name in NAMES}
    assert set(scene.runs()) == set(NAMES)
    assert all(times <= 2 for times in scene.runs().values())
    return died


@pytest.mark.parametrize("bad", ["exit 3", "fail 'it is broken' 'mend it'"])
def test_one_that_fails_lets_those_beside_it_end(tmp_path: Path, bad: str) -> None:
    """What went well is written down first, then what did not, with its own last words; nothing after it begins."""
    made = {
        "good": StepProgram(apply="echo fine", beside=True),
        "bad": StepProgram(apply=f"echo its own words\n{bad}", beside=True),
        "after": StepProgram(apply=f"touch {tmp_path}/after"),
    }
    tasks = [RunTask(name, "api", ("true",), str(tmp_path), 30.0) for name in ("bad", "good", "after")]
    with contextlib.ExitStack() as closing:
        link = HereLink(None)
        closing.callback(link.shell.close)
        site = HostSite(link, str(tmp_path / "home"), site=SITE, programs={"run-task": lambda step: made[step.name]})
        lines = list(site.carry_out(Batch(SITE, 0, tuple(tasks)), site.acquire("ann@laptop", 60.0), "1"))
    assert [(line.event, line.index) for line in lines] == [("began", 0), ("began", 1), ("done", 1), ("failed", 0)]
    assert lines[2].saw == "fine"
    assert lines[3].evidence == ("its own words",)
    assert (lines[3].sentence, lines[3].hint) in {
        ("it is broken", "mend it"),
        ("the program of this step ended with status 3", ""),
    }
    assert not (tmp_path / "after").exists()


def test_more_than_a_few_go_in_groups(tmp_path: Path) -> None:
    """A small machine serves people meanwhile: so many at a time, and all of them in the end."""
    names = [f"task{number}" for number in range(2 * SIDE_BY_SIDE + 1)]
    mark = StepProgram(beside=True)
    tasks = tuple(RunTask(name, "api", ("true",), str(tmp_path), 30.0) for name in names)
    with contextlib.ExitStack() as closing:
        link = HereLink(None)
        closing.callback(link.shell.close)
        site = HostSite(link, str(tmp_path / "home"), site=SITE, programs={"run-task": lambda _: mark})
        lines = list(site.carry_out(Batch(SITE, 0, tasks), site.acquire("ann@laptop", 60.0), "1"))
    in_groups = [[*["began"] * SIDE_BY_SIDE, *["done"] * SIDE_BY_SIDE] for _ in range(2)]
    assert [line.event for line in lines] == [*in_groups[0], *in_groups[1], "began", "done"]
    assert sorted(line.index for line in lines if line.event == "done") == list(range(len(names)))
