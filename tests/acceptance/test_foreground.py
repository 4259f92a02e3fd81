"""An app that lives with its terminal: `up` in the foreground, signals, a second terminal, `--once`, reload."""

from __future__ import annotations

import re
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.projects import Project, ask
from tests.processes import lives
from tests.real_servers import until

if TYPE_CHECKING:
    import subprocess


def in_front(tiny: Project) -> subprocess.Popen[str]:
    """`up` in the foreground, once it shows the log."""
    process = tiny.start("up")
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert any("VERIFIED" in line for line in lines), process.communicate(timeout=20)
    until((tiny.home / "attached.lock").exists, "it stays")
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_signal_in_the_foreground_stops_all(tiny: Project, number: signal.Signals) -> None:
    """Ctrl-C, a polite kill and a closed terminal stop the app in order, end with 130 and keep the data."""
    process = in_front(tiny)
    pids = tiny.pids()
    process.send_signal(number)
    done = tiny.ended(process)
    assert done.status == 130, done.err
    assert "the data stays" in done.err
    assert not any(lives(pid) for pid in pids.values())
    assert not tiny.processes()
    assert tiny.home.joinpath("blobs").is_dir()
    stops = [line for line in done.err.splitlines() if re.search(r"✓ stop \w", line)]
    assert "door" in stops[-1], "the front door ends last"
    assert [one["outcome"] for one in tiny.runs()] == ["done", "done"]


def test_signal_while_it_starts_leaves_nothing(tiny: Project) -> None:
    """Ctrl-C in the middle of the first deploy stops what was started already."""
    process = tiny.start("up")
    until(lambda: tiny.journal_lines() >= 8, "it is in the middle")
    process.send_signal(signal.SIGINT)
    assert tiny.ended(process).status == 130
    assert not tiny.processes()


def test_signal_while_it_installs_leaves_nothing(tiny: Project) -> None:
    """Ctrl-C in the middle of a long installation ends the installer as well."""
    tiny.change("towline.yaml", "kind: web,", "kind: web, setup: touch ../begun; sleep 321; touch ../ended,")
    process = tiny.start("up")
    until((tiny.path / "begun").exists, "it installs")
    process.send_signal(signal.SIGINT)
    assert tiny.ended(process).status == 130
    assert not tiny.processes()


def test_second_terminal_is_given_back(tiny: Project) -> None:
    """`up` in a second terminal changes nothing and returns; the first one goes on."""
    process = in_front(tiny)
    before = tiny.pids()
    second = tiny.run("up").must()
    assert "Another terminal" in second.err
    assert tiny.pids() == before
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert tiny.ended(process).status == 130


def test_down_from_elsewhere_ends_the_foreground(tiny: Project) -> None:
    """`down` in a second terminal lets the first one end by itself, without an error."""
    process = in_front(tiny)
    tiny.run("down").must()
    done = tiny.ended(process)
    assert done.status == 0
    assert "stopped from elsewhere" in done.err


def test_up_once_ends_with_its_verdict(tiny: Project) -> None:
    """`up --once` starts, verifies and stops; its last line is the verdict and nothing is left."""
    done = tiny.run("up", "--once").must()
    assert re.fullmatch(r"VERIFIED (\d+) of \1 checks in \d+\.\d s", done.out.splitlines()[-1])
    assert not tiny.processes()


def test_up_once_that_fails_stops_as_well(tiny: Project) -> None:
    """A verdict that is not good ends with 5, and nothing is left either."""
    tiny.change("towline.yaml", "within: 15s", "within: 1s")
    tiny.change("compose.yaml", 'JOB_SECONDS: "0.1"', 'JOB_SECONDS: "3"')
    done = tiny.run("up", "--once").must(5)
    assert done.out.splitlines()[-1].startswith("FAILED")
    assert not tiny.processes()


def test_reload_follows_the_code(tiny: Project) -> None:
    """With `reload: true` a saved file replaces the service while `up` shows the log."""
    tiny.change("towline.yaml", "kind: web,", "kind: web, reload: true,")
    process = in_front(tiny)
    url = tiny.url()
    before = tiny.pids()
    reader = threading.Thread(target=lambda: list(process.stdout or ()))
    reader.start()
    number = 0

    def changed() -> bool:
        nonlocal number
        number += 1  # the watcher may not have been there for the first change
        if number % 200 == 1:
            (tiny.path / "api/api.py").write_text(
                re.sub(r'CODE = "\w+"', f'CODE = "saved{number}"', (tiny.path / "api/api.py").read_text())
            )
        return bool(ask(url).json()["code"].startswith("saved"))

    until(changed, "the new code serves")
    until(lambda: tiny.runs()[-1]["outcome"] == "done", "the old one has ended")
    assert tiny.pids()["worker"] == before["worker"]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    reader.join()
