"""What `docker compose up --watch` does beside the log of the containers."""

from __future__ import annotations

import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.real_servers import until

from towline.spec.compose import find_compose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.lab.docker import LabDocker


@contextmanager
def watching(docker: LabDocker, file: Path, log: Path, *services: str) -> Iterator[None]:
    """Changes of the sources reach the services of a Compose file that is up, or those that are named."""
    words = [*find_compose(docker.environment), "--file", str(file), "watch", "--no-up", *services]
    with log.open("w") as handle:
        program = subprocess.Popen(words, env=dict(docker.environment), stdout=handle, stderr=handle)
        try:
            until(lambda: "Watch enabled" in log.read_text(), "the watch is on")
            yield
        finally:
            program.send_signal(signal.SIGINT)
            program.wait(timeout=30)
