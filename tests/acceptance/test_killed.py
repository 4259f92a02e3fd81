"""An operator that is killed half-way: at every line of the journal, and what each way on from there leads to."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.processes import lives
from tests.real_servers import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.projects import Project

WAYS = ("up", "resume", "rollback")
STEP = 1 if os.environ.get("TOWLINE_EVERY_POINT") else len(WAYS)
"""Each way is tried at every third line, and all three together at every line; with TOWLINE_EVERY_POINT=1 at all."""

LAST = 60
"""More lines than any plan of the tiny app has: a test ends by itself when a run ends before it is killed."""


def killed_at(tiny: Project, lines: int) -> bool:
    """Start `up` and kill it, and nothing else, once the journal has so many lines; False when it ended before."""
    process = tiny.start("up", "--detach")
    until(lambda: tiny.journal_lines() >= lines or process.poll() is not None, f"line {lines} of the journal")
    ended = process.poll() is not None
    if not ended:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return not ended


def one_of_each(tiny: Project, version: str) -> None:
    """The end state of a good deploy: one of each service, the wanted version serving, no process besides."""
    found = tiny.instances()
    assert set(found) == {"door", "api", "worker"}
    assert tiny.ask()["version"] == version
    ours = [line for line in tiny.processes().values() if "api.py" in line or "worker.py" in line]
    assert len(ours) == 2, ours


def nothing_serves(tiny: Project) -> None:
    """Nothing of the app's own runs."""
    left = [line for line in tiny.processes().values() if "api.py" in line or "worker.py" in line]
    assert not left, left


def go_on(tiny: Project, way: str) -> bool:
    """Go the way; False when there was nothing to go on with, since the run had been wholly written down."""
    if way == "up":
        tiny.up()
        return True
    done = tiny.run(way)
    assert done.status in (0, 3), done.err
    assert "lock-held" not in done.err, done.err
    if done.status == 3:
        assert "nothing" in done.err or "no release" in done.err, done.err
    return done.status == 0


def at_every(first: int, body: Callable[[int], bool]) -> None:
    """Run the body for each line until it says that the run ended by itself; at least three times."""
    done = 0
    for lines in range(first, LAST, STEP):
        if not body(lines):
            break
        done += 1
    assert done >= 3


@pytest.mark.parametrize("way", WAYS)
def test_first_deploy_killed_at_every_line(tiny: Project, way: str) -> None:
    """A first deploy that is killed anywhere is finished by `up` and `resume`, and taken back by `rollback`."""

    def body(lines: int) -> bool:
        start = tiny.journal_lines()
        if not killed_at(tiny, start + lines):
            return False
        went = go_on(tiny, way)
        if way == "rollback":
            nothing_serves(tiny)
        elif went:
            one_of_each(tiny, "one")
            tiny.run("verify").must()
        tiny.run("down").must()
        assert not tiny.processes()
        return True

    at_every(1 + WAYS.index(way), body)


@pytest.mark.parametrize("way", WAYS)
def test_change_killed_at_every_line(tiny: Project, way: str) -> None:
    """A change that is killed anywhere is finished by `up` and `resume`; `rollback` leaves the old version serving."""
    tiny.up()
    serving = "one"

    def body(lines: int) -> bool:
        nonlocal serving
        new = f"v{lines}"
        tiny.version("api", new)
        start, worker = tiny.journal_lines(), tiny.pids()["worker"]
        if not killed_at(tiny, start + lines):
            return False
        assert tiny.ask()["version"] in (serving, new), "it serves all the while"
        go_on(tiny, way)
        if way == "rollback":
            tiny.version("api", serving)
        else:
            serving = new
        one_of_each(tiny, serving)
        assert lives(worker), "what did not change was never touched"
        tiny.run("plan").must(0)
        return True

    at_every(1 + WAYS.index(way), body)


def test_dead_operator_holds_nobody_up(tiny: Project) -> None:
    """The lock of an operator that was killed is free at once, and the next one says that it takes over nothing."""
    assert killed_at(tiny, 6)
    done = tiny.run("up", "--detach", within=20).must()
    assert "holds the lock" not in done.err


def test_living_operator_is_respected(tiny: Project) -> None:
    """While one `up` is at work, a second is refused with 3 and names who holds the lock; the first one ends well."""
    tiny.change(
        "towline.yaml", "kind: web,", "kind: web, setup: touch ../begun; until test -e ../go; do sleep 0.05; done,"
    )
    first = tiny.start("up", "--detach")
    until((tiny.path / "begun").exists, "it is at work")
    second = tiny.run("up", "--json").must(3).json()
    assert second["error"]["code"] == "lock-held"
    assert f"pid {first.pid}" in second["error"]["sentence"]
    (tiny.path / "go").touch()
    tiny.ended(first).must()


def test_killed_supervisor_leaves_nothing_behind(tiny: Project) -> None:
    """When the supervisor itself is killed, the next `up` ends what it left and brings everything back."""
    tiny.up()
    before = tiny.pids()
    supervisor = next(pid for pid, line in tiny.processes().items() if "towline_supervisor serve" in line)
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not lives(supervisor), "it is dead")
    tiny.up()
    one_of_each(tiny, "one")
    assert not any(lives(pid) for pid in before.values())
