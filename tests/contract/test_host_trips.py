"""How often a host is asked for a whole release, and what its journal holds when the program dies on the way."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest
from tests.contract.driver_cases import PLAIN, SITE

from towline.core.errors import StepFailed
from towline.core.secret import Secret
from towline.drivers.host.driver import HostSite
from towline.drivers.host.shell import Answer, Shell
from towline.release.engine import run
from towline.release.journal import read
from towline.release.lock import held, refuse_stale
from towline.release.resume import resume
from towline.steps.kinds import RunTask
from towline.steps.model import Batch, Plan, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("sh", "setsid", "flock")

MOST = 6
"""Questions of a release to one host: observe, lock and observe, stash, everything, unlock, and one last look."""


class CountingLink:
    """The shell that answers on a host, started here; counts what it is asked, but for the beat of the lock."""

    def __init__(self, path: str = "") -> None:
        environ = f"PATH={path}:{os.environ['PATH']}" if path else f"PATH={os.environ['PATH']}"
        self._calls, self._batches = (Shell(lambda it: ("env", environ, "sh", "-c", it), 30.0) for _ in range(2))
        self.asked = 0

    def run(self, program: str, *, within: float, data: bytes = b"") -> Answer:
        self.asked += "\nrenew " not in program
        return self._calls.run(program, within=within, data=data)

    def lines(self, program: str, *, within: float, data: bytes = b"") -> Iterator[str]:
        self.asked += 1
        for line in self._batches.lines(program, within=within, data=data):
            if isinstance(line, bytes):
                yield line.decode()
            elif line.status != 0:
                raise StepFailed(f"status {line.status}", evidence=line.last_lines)

    def close(self) -> None:
        self._calls.close()
        self._batches.close()


@pytest.fixture
def link() -> Iterator[CountingLink]:
    """A way to a host where nothing ever was."""
    made = CountingLink()
    yield made
    made.close()


def plan_of(folder: Path, facts: str, *names: str) -> Plan:
    """A stage for each task, which writes down that it ran."""
    stages = []
    for number, name in enumerate(names):
        does = ("sh", "-c", f"echo {name} >>{folder}/runs")
        task = RunTask(name, "api", does, str(folder), 30.0, env="e1", marker=name)
        stages.append(Stage(name, (Batch(SITE, number, (task,)),)))
    return Plan("tiny", "test", 1, "deploy", tuple(stages), {SITE: facts})


def release(site: HostSite, folder: Path) -> None:
    """What a deploy does, from the first look to the last."""
    seen = site.observe()
    plan = plan_of(folder, seen.digest, *(f"task{number}" for number in range(8)))
    with held({SITE: site}, "ann@laptop pid 1", look=True) as hold:
        refuse_stale(plan, hold.seen)
        site.stash({"e1": Secret('{"PATH": "/usr/bin:/bin"}')}, hold.leases[SITE])
        assert run(plan, {SITE: site}, hold, site).ok
    assert site.observe().releases == (1,)


def test_release_of_eight_stages_is_six_questions(link: CountingLink, tmp_path: Path) -> None:
    """However many stages there are: what one host does is sent at once, and nothing is asked twice."""
    site = HostSite(link, str(tmp_path / "home"), site=SITE, programs=PLAIN)
    release(site, tmp_path)
    assert link.asked == MOST
    assert (tmp_path / "runs").read_text().split() == [f"task{number}" for number in range(8)]


def test_journal_is_read_anew_once_something_was_written(link: CountingLink, tmp_path: Path) -> None:
    """What was read under a lease is believed until the next line; another operator's lines are seen after it."""
    site = HostSite(link, str(tmp_path / "home"), site=SITE, programs=PLAIN)
    other = HostSite(link, str(tmp_path / "home"), site=SITE, programs=PLAIN)
    release(site, tmp_path)
    lease = site.acquire("ann@laptop pid 1", 60.0)
    before = site.journal()
    asked = link.asked
    assert site.journal() == before
    assert link.asked == asked
    task = plan_of(tmp_path, "x", "another").stages[0].batches[0]
    list(site.carry_out(task, lease, "2"))
    assert [line.event for line in site.journal()[len(before) :]] == ["began", "done"]
    site.release(lease)
    list(other.carry_out(task, other.acquire("bob@desk pid 2", 60.0), "3"))
    assert [line.run for line in site.journal()[-2:]] == ["3", "3"]


SYNC = """#!/bin/sh
# The real sync, but for the one at which the batch dies: before it, or after.
fuse={folder}/fuse
[ -e "$fuse" ] || exec /bin/sync "$@"
left=$(($(cat "$fuse") - 1))
echo "$left" >"$fuse"
[ "$left" -eq 0 ] || exec /bin/sync "$@"
[ {when} = before ] || /bin/sync "$@"
kill -s KILL "$(ps -o sid= -p $$ | tr -d ' ')"
"""


@pytest.mark.needs("ps")
def test_release_may_die_at_any_moment(tmp_path: Path) -> None:
    """Whichever write of the journal it is, the plan's own and the end's among them: a resume finishes the run."""
    fuse, died = 0, True
    while died:
        fuse += 1
        folder = tmp_path / str(fuse)
        (folder / "bin").mkdir(parents=True)
        (folder / "bin/sync").write_text(SYNC.format(folder=folder, when=("before", "after")[fuse % 2]))
        (folder / "bin/sync").chmod(0o755)
        died = died_and_resumed(folder, fuse)
    # The plan, the journal's own folder, two lines and a mark with its folder for each of two stages, and the end.
    assert fuse > 9


def died_and_resumed(folder: Path, fuse: int) -> bool:
    """Let a release of two stages die, and another operator go on; False when the fuse was too long for it to die."""
    with contextlib.ExitStack() as closing:
        link = CountingLink(str(folder / "bin"))
        closing.callback(link.close)
        site = HostSite(link, str(folder / "home"), site=SITE, programs=PLAIN)
        died = False
        with held({SITE: site}, "ann@laptop pid 1") as hold:
            site.stash({"e1": Secret('{"PATH": "/usr/bin:/bin"}')}, hold.leases[SITE])
            plan = plan_of(folder, "x", "one", "two")
            (folder / "fuse").write_text(str(fuse))
            try:
                run(plan, {SITE: site}, hold, site)
            except StepFailed:
                died = True
            (folder / "fuse").unlink(missing_ok=True)
        with held({SITE: site}, "bob@desk pid 2") as hold:
            state = read(site, {SITE: site})
            if state.open is not None:
                assert run(resume(state), {SITE: site}, hold, site).ok
            elif not state.runs:
                assert run(plan, {SITE: site}, hold, site).ok
        assert site.observe().releases == (1,)
        assert set((folder / "runs").read_text().split()) == {"one", "two"}
    return died
