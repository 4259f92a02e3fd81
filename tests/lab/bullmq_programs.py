"""Node's programs of the bridge's tests, with BullMQ from npm in a cache outside the checkout."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.real_servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent / "bullmq_node"


def packages() -> Path:
    """The folder with node_modules: installed once for these versions."""
    wanted = (FOLDER / "package.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "towline-tests")
    place = cache / f"bullmq-{hashlib.sha256(wanted).hexdigest()[:12]}"
    if not place.exists():
        cache.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=cache))
        (making / "package.json").write_bytes(wanted)
        options = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--silent"]
        subprocess.run(["npm", "install", *options], cwd=making, check=True, timeout=240)
        try:
            making.rename(place)
        except OSError:  # another run was quicker
            shutil.rmtree(making)
    return place


def _environment(redis_url: str) -> dict[str, str]:
    return os.environ | {"REDIS_URL": redis_url, "NODE_PACKAGES": str(packages())}


def produce(redis_url: str, queue: str, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add jobs from Node and give what it saw of the end of each, in order."""
    ran = subprocess.run(
        ["node", str(FOLDER / "producer.mjs"), queue],
        env=_environment(redis_url),
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()][1:]


class NodeWorker:
    """A running Node worker and what it said."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def said(self) -> list[dict[str, Any]]:
        """Each line so far."""
        return [json.loads(line) for line in self._log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def began(self) -> list[str]:
        """The BullMQ id of each attempt that was begun, in order."""
        return [line["began"] for line in self.said() if "began" in line]


@contextmanager
def node_worker(redis_url: str, queue: str, log: Path) -> Iterator[NodeWorker]:
    """Run Node's worker on a queue."""
    errors = log.with_suffix(".errors")
    with log.open("w") as output, errors.open("w") as complaints:
        process = subprocess.Popen(
            ["node", str(FOLDER / "worker.mjs"), queue],
            env=_environment(redis_url),
            stdout=output,
            stderr=complaints,
            start_new_session=True,
        )
        try:
            worker = NodeWorker(log)
            until(worker.said, f"Node's worker is ready, see {errors}")
            yield worker
        finally:
            process.kill()
            process.wait(30)
