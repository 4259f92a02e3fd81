"""Run a program to its end: stream its lines, bound its time, end its whole group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from towline.core.errors import SiteUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Ran:
    """How a program ended: its exit status (negative: the signal that ended it) and what it printed."""

    status: int
    stdout: str
    stderr: str
    timed_out: bool = False

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last 20 lines of both streams, errors last."""
        return tuple((self.stdout.splitlines() + self.stderr.splitlines())[-20:])


def as_a_shell_has_it(status: int) -> int:
    """The status of a program for whoever asked for it: 128 and its number for a signal that ended it."""
    return status if status >= 0 else 128 - status


def run(
    argv: Sequence[str],
    *,
    within: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Ran:
    """Run `argv` for at most `within` seconds and return how it ended; a status other than 0 is no error here.

    `on_line` gets each line of either stream as it comes. The program runs in its own process group, which is
    ended as a whole when time runs out or the caller is interrupted. Raises SiteUnreachable when it cannot be started.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SiteUnreachable(f"`{argv[0]}` cannot be started: {reason}", hint=f"command -v {argv[0]}") from error
    try:
        return _to_the_end(process, within, on_line)
    except BaseException:
        _end_group(process)
        raise


def _to_the_end(process: subprocess.Popen[str], within: float, on_line: Callable[[str], None] | None) -> Ran:
    collected: tuple[list[str], list[str]] = ([], [])
    readers = [
        threading.Thread(target=_collect, args=(stream, lines, on_line), daemon=True)
        for stream, lines in zip((process.stdout, process.stderr), collected, strict=True)
    ]
    for reader in readers:
        reader.start()
    # A wait with a limit would ask again and again, later and later: up to 50 ms after the end of a short program.
    waiter = threading.Thread(target=process.wait, daemon=True)
    waiter.start()
    waiter.join(within)
    timed_out = waiter.is_alive()
    if timed_out:
        _end_group(process)
    waiter.join()
    for reader in readers:
        reader.join(timeout=5)
    return Ran(process.returncode, "".join(collected[0]), "".join(collected[1]), timed_out)


def _end_group(process: subprocess.Popen[str]) -> None:
    """Ask the group to end, and after two seconds make it."""
    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            continue
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return


def _collect(stream: object, lines: list[str], on_line: Callable[[str], None] | None) -> None:
    with stream as handle:  # type: ignore[attr-defined]  # a text pipe of Popen
        for line in handle:
            lines.append(line)
            if on_line is not None:
                on_line(line.rstrip("\n"))
