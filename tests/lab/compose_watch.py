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
    # Compose leaves the lock of a watch that has ended behind; its process number may be somebody else's by now.
    locks = log.with_name(f"{log.name}.locks")
    locks.mkdir()
    environment = {**docker.environment, "XDG_RUNTIME_DIR": str(locks)}
    with log.open("w") as handle:
        program = subprocess.Popen(words, env=environment, stdout=handle, stderr=handle)
        try:
            until(lambda: "Watch enabled" in log.read_text() or program.poll() is not None, "the watch is on")
            assert program.poll() is None, log.read_text()
            yield
        finally:
            program.send_signal(signal.SIGINT)
            program.wait(timeout=30)
