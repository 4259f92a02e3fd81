"""Send what is too large to be held in memory to a program on a host."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from towline.core.errors import SiteUnreachable, StepFailed, Where

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_OF_SSH = 255
"""The status by which ssh says that it was the connection that failed."""

_ENDS_WITHIN = 600.0
"""Seconds that the program may take once it has all: it writes to the disk and looks at what it wrote."""


def upload(argv: Sequence[str], chunks: Iterable[bytes], site: str) -> None:
    """Give `chunks` to a program as its input, and see it end well.

    Raises SiteUnreachable when the connection breaks, StepFailed with the program's words when it fails.
    """
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            said = _given(process, chunks)
        except BaseException:
            process.kill()
            raise
    if process.returncode == 0:
        return
    lines = tuple(said.decode("utf-8", "replace").splitlines()[-10:])
    if process.returncode == _OF_SSH:
        raise SiteUnreachable(f"the connection to `{site}` broke while an image was sent", hint="towline deploy")
    reason = lines[-1] if lines else f"status {process.returncode}"
    raise StepFailed(
        f"`{site}` did not take a part of an image: {reason}", where=Where(site), hint="df -h, there", evidence=lines
    )


def _given(process: subprocess.Popen[bytes], chunks: Iterable[bytes]) -> bytes:
    stream = process.stdin
    assert stream is not None  # noqa: S101 - it is a pipe
    try:
        for chunk in chunks:
            stream.write(chunk)
    except BrokenPipeError:
        pass  # why it reads no more is in what it says
    try:
        said, _ = process.communicate(timeout=_ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    return said
