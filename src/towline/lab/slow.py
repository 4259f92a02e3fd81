"""A slow way to a host, as a process of its own: `python -m towline.lab.slow FILE PORT ROUND_TRIP_MS`."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from towline.core.errors import StepFailed, Where
from towline.core.files import write_atomic
from towline.lab import background
from towline.lab.faults import SlowLink
from towline.lab.network import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

START_WITHIN = 20.0


@dataclass(frozen=True)
class SlowWay:
    """A slow way that stands: the port that it listens on, what it adds to a round trip, and its process."""

    port: int
    ms: int
    pid: int
    began: float


def open_way(file: Path, to: int, ms: int, environ: Mapping[str, str]) -> SlowWay:
    """Start a slow way to port `to` of this machine, in place of the one that `file` speaks of."""
    close_way(file)
    log = file.with_suffix(".log")
    pid = background.start((sys.executable, "-m", "towline.lab.slow", str(file), str(to), str(ms)), environ, log)
    deadline = time.monotonic() + START_WITHIN
    while (way := standing(file)) is None:
        if background.gone(pid) or time.monotonic() > deadline:
            said = log.read_text(errors="replace").splitlines()
            raise StepFailed("the slow way did not start", where=Where("lab"), evidence=tuple(said[-5:]))
        time.sleep(0.02)
    return way


def standing(file: Path) -> SlowWay | None:
    """The slow way that `file` speaks of, None when there is none or its process has ended."""
    try:
        way = SlowWay(**json.loads(file.read_text()))
        process = psutil.Process(way.pid)
        same = abs(process.create_time() - way.began) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, TypeError, psutil.Error):
        return None
    return way if same else None


def close_way(file: Path) -> None:
    """End the slow way that `file` speaks of, if it stands."""
    way = standing(file)
    file.unlink(missing_ok=True)
    if way is not None:
        background.end(way.pid, within=5)


def main() -> None:
    """Serve until the file is gone or speaks of another process."""
    file, to, ms = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    me = psutil.Process()
    with SlowLink(("127.0.0.1", to), ms / 2000, free_port()) as link, contextlib.suppress(KeyboardInterrupt):
        mine = SlowWay(link.port, ms, me.pid, me.create_time())
        write_atomic(file, json.dumps(asdict(mine)), durable=False)
        # A lab that was deleted while its command was killed takes its slow ways with it.
        while standing(file) == mine:
            time.sleep(1)


if __name__ == "__main__":
    main()
