"""A batch on a host that dies at any moment at which something was, or was about to be, on the disk."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.contract.driver_cases import PLAIN, SITE

from towline.core.errors import StepFailed
from towline.drivers.host.driver import HostSite
from towline.drivers.host.shell import Answer, Shell
from towline.steps.kinds import RunTask
from towline.steps.model import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.steps.model import Line

pytestmark = pytest.mark.needs("sh", "setsid", "flock")

NAMES = ("one", "two")
SYNC = """#!/bin/sh
# The real sync, but for the one at which the batch dies: before it, or after.
fuse={folder}/fuse
[ -e "$fuse" ] || exec {sync} "$@"
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


class Scene:
    """A target in a folder, with a batch of two tasks that write down that they ran."""

    def __init__(self, folder: Path, when: str) -> None:
        self.folder = folder
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
        site = HostSite(link, str(self.folder / "home"), site=SITE, programs=PLAIN)
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


@pytest.mark.parametrize("when", ["before", "after"])
def test_batch_may_die_at_any_moment(tmp_path: Path, when: str) -> None:
    """Whatever ran was written down first; the next operator finishes it, and the journal holds whole lines only."""
    fuse, died = 0, True
    while died:
        fuse += 1
        folder = tmp_path / str(fuse)
        folder.mkdir()
        with contextlib.ExitStack() as closing:
            died = died_and_finished(Scene(folder, when), fuse, closing)
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
    assert [(line.event, line.index) for line in lines] == [("began", 0), ("done", 0), ("began", 1), ("done", 1)]
    assert {line.step.name for line in lines if line.already and isinstance(line.step, RunTask)} == set(marked)
    assert site.observe().tasks == {name: name for name in NAMES}
    assert set(scene.runs()) == set(NAMES)
    assert all(times <= 2 for times in scene.runs().values())
    return died
