"""The guide to the combined container is true: its files run, its commands work, its reference is complete."""

import dataclasses
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from towline_supervisor.procfile import read_process
from towline_supervisor.spec import ProcessSpec, SpecErrors

DEADLINE = 30.0


@pytest.fixture
def guide(checkout: Path) -> str:
    """The text of the guide."""
    return (checkout / "docs/guides/combined-container.md").read_text()


@pytest.fixture
def python_path(tmp_path: Path) -> dict[str, str]:
    """An environment in which `python3` is this one."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python3").chmod(0o755)
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}


def free_port() -> str:
    """A port that was free a moment ago, with as many digits as the one in the guide."""
    for candidate in range(3100 + secrets.randbelow(3000), 9999):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return str(candidate)
    raise AssertionError("no port is free")


def blocks(guide: str, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)


def write_example(guide: str, folder: Path, port: str) -> None:
    """Write the files that the guide shows, under the names it gives them."""
    for name, text in re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL):
        (folder / name).write_text(text.replace("3001", port))
    assert {"combined.toml", "api.py", "worker.py"} <= {path.name for path in folder.iterdir()}


def plain(text: str) -> list[str]:
    """The lines of a stream without what differs from run to run, in an order that does not."""
    text = re.sub(r"^\d\d:\d\d:\d\d", "TIME", text, flags=re.MULTILINE)
    return sorted(re.sub(r"PID \d+", "PID N", re.sub(r"after \d+\.\d s", "after N s", text)).splitlines())


def test_example_prints_what_the_guide_shows(guide: str, tmp_path: Path, python_path: dict[str, str]) -> None:
    """Both commands of the guide succeed on its files, and the stream is the one that it shows, line for line."""
    port = free_port()
    write_example(guide, tmp_path, port)
    check, run = blocks(guide, "sh")[0].splitlines()
    subprocess.run(check.split(), cwd=tmp_path, env=python_path, check=True, timeout=DEADLINE)
    with subprocess.Popen(run.split(), cwd=tmp_path, env=python_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or "All services running" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], f"it ended early: {lines}"
        process.send_signal(signal.SIGTERM)
        lines += process.stdout.readlines()
        assert process.wait(DEADLINE) == 0
    shown = blocks(guide, "text")[0].replace("3001", port)
    assert plain("".join(lines)) == plain(shown)


@pytest.mark.needs("sh", "cp")
def test_copied_folder_is_enough(guide: str, tmp_path: Path, python_path: dict[str, str]) -> None:
    """The folder that the guide copies runs by itself, with an interpreter that knows no other package."""
    write_example(guide, tmp_path, free_port())
    subprocess.run(["sh", "-c", blocks(guide, "sh")[1]], cwd=tmp_path, env=python_path, check=True, timeout=DEADLINE)
    alone = [sys.executable, "-S", "-s", "-m", "towline_supervisor", "run", "combined.toml", "--check"]
    done = subprocess.run(alone, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert "start order: api, worker" in done.stderr
    shutil.rmtree(tmp_path / "towline_supervisor")
    gone = subprocess.run(alone, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert "No module named towline_supervisor" in gone.stderr  # so it was the copy that ran


def test_reference_has_every_key_and_no_other(guide: str) -> None:
    """The table of a process names exactly the keys that are read."""
    section = guide.partition("### A process")[2].partition("### Ready")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    # `hold` is refused in a file: only a client of the control socket may say when connections go on.
    fields = {field.name for field in dataclasses.fields(ProcessSpec)} - {"name", "given", "hold"}
    assert documented == fields | {"settle"}
    with pytest.raises(SpecErrors) as caught:
        read_process({"name": "a", **dict.fromkeys(documented, object())})
    assert not [sentence for _where, sentence in caught.value.mistakes if "is not known" in sentence]


def test_defaults_in_the_reference_are_the_defaults(guide: str) -> None:
    """The defaults that the guide writes out give the same process as leaving them away."""
    import tomllib

    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| `([^`]+)` \|$", guide, re.MULTILINE))
    assert {"restart", "backoff", "give_up", "stop", "vital"} <= set(rows)
    written = tomllib.loads("\n".join(f"{key} = {value}" for key, value in rows.items()))
    assert read_process({"name": "a", "command": ["x"], **written}) == read_process({"name": "a", "command": ["x"]})
