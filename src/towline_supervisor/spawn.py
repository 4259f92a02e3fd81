"""Starts a program in its own session, tied to the life of this process."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from towline_supervisor.spec import ProcessSpec

RUN_VARIABLE = "TOWLINE_SUPERVISOR_RUN"
"""Set in every child of a supervisor that keeps a state file: finds what a killed supervisor left behind."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform == "linux"
_LIBC = ctypes.CDLL(None) if _LINUX else None


class SpawnError(Exception):
    """The program could not be started; the message says why."""


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, as PID 1 is; nothing where the kernel cannot."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def environment(spec: ProcessSpec) -> dict[str, str]:
    """The environment of a process: its file or else our own, then its additions.

    Raises SpawnError, which never names a value.
    """
    found = dict(os.environ) if spec.env_file is None else _read_environment(Path(spec.env_file))
    found.update(spec.env)
    return found


def spawn(
    command: tuple[str, ...], cwd: str | None, env: Mapping[str, str], death_signal: str
) -> subprocess.Popen[bytes]:
    """Start a program with its output in two non-blocking pipes. Raises SpawnError.

    Call it from the main thread only: the kernel sends the death signal when the creating thread ends.
    """
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            preexec_fn=_tie(death_signal),  # noqa: PLW1509 - there is one thread
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise SpawnError(_reason(error, command[0], cwd)) from None
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
    return process


def _tie(death_signal: str) -> Callable[[], None] | None:
    if _LIBC is None:
        return None
    prctl, parent = _LIBC.prctl, os.getpid()
    number = signal.SIGINT if death_signal == "INT" else signal.SIGTERM

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # the parent ended before the line above
            os._exit(1)

    return tie


def _read_environment(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_mode & 0o077:
            raise SpawnError(f"environment file {path} can be read by others; chmod 600 it")
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise SpawnError(f"environment file {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise SpawnError(f"environment file {path} is not JSON") from None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise SpawnError(f"environment file {path} must be one JSON object of names and texts")
    return values


def _reason(error: Exception, program: str, cwd: str | None) -> str:
    if isinstance(error, OSError) and cwd is not None and error.filename == cwd:
        return f"directory {cwd}: {error.strerror}"
    if isinstance(error, FileNotFoundError):
        where = "does not exist" if "/" in program else "is not on the PATH of its environment"
        return f"program {program} {where}"
    if isinstance(error, OSError):
        return f"program {program} cannot be started: {error.strerror}"
    return f"program {program} cannot be started: {error}"
