"""The ten lines of the runtime's guide do what the guide says, typed by a stranger in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from tests.real_servers import until

import towline_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.real_servers import Postgres

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "runtime.md"
FILE = re.compile(r"^```python file=(\S+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMANDS = re.compile(r"^```sh guide\n(.*?)^```", re.DOTALL | re.MULTILINE)


def run(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run one line of the guide; what it printed."""
    argv = [sys.executable, *command.split()[1:]]
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_ten_lines(postgres: Postgres, tmp_path: Path) -> None:
    """Migrate, send twice, work: one job, one greeting; and the worker stops when it is told to."""
    text = GUIDE.read_text()
    for name, source in FILE.findall(text):
        (tmp_path / name).write_text(source)
    (commands,) = COMMANDS.findall(text)
    migrate, send, worker = commands.strip().splitlines()
    url, out = postgres.create("guide"), tmp_path / "greeting"
    environment = {**os.environ, "DATABASE_URL": url, "OUT": str(out)}
    assert "0001_jobs.sql" in run(migrate, tmp_path, environment)
    run(send, tmp_path, environment)
    run(send, tmp_path, environment)
    argv = [sys.executable, *worker.split()[1:]]
    with subprocess.Popen(argv, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: out.exists() and out.read_text(), "the greeting")
            with psycopg.connect(url, autocommit=True) as connection:
                query = "select state::text, result #>> '{}' from towline.job"
                until(lambda: connection.execute(query).fetchall() == [("done", "greeted Ada")], "one job, done")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert out.read_text() == "Hello Ada, attempt 1\n"
    postgres.drop("guide")


def test_every_public_name_is_there() -> None:
    """What the package offers can be imported, and an unknown name is refused as from any module."""
    assert all(getattr(towline_runtime, name).__name__ == name for name in towline_runtime.__all__)
    assert not hasattr(towline_runtime, "Nothing")
