"""The reference app on real servers: its processes, its accounts, and a person who uses its API."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
from argon2 import PasswordHasher
from psycopg.rows import dict_row
from tests.real_servers import PASSWORD, free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real_servers import Bucket, Postgres, Valkey

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "reference"
SECRET = "a-password-of-a-person"
HASH = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(SECRET)
TOKEN = "a-token-of-these-tests-only"
FINAL = {"done", "failed"}


@dataclass
class Program:
    """One process of the app and the file its lines go to."""

    process: subprocess.Popen[bytes]
    log: Path

    def lines(self, message: str = "") -> list[dict[str, Any]]:
        """What it has logged, all or the lines with this message."""
        read = [json.loads(line) for line in self.log.read_text("utf-8").splitlines() if line.startswith("{")]
        return [line for line in read if message in line["message"]]

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 60) -> int:
        """Send a signal, wait, and give the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)


@dataclass(frozen=True)
class Lab:
    """Where the servers are; `database` is a look into the app's own."""

    folder: Path
    environ: dict[str, str]
    database: psycopg.Connection[dict[str, Any]]
    open: ExitStack

    def run(self, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the app to its end."""
        return subprocess.run(
            words, cwd=APP, env=self.environ | changes, capture_output=True, text=True, timeout=120, check=False
        )

    @contextmanager
    def roles(self, *names: str, **changes: str) -> Iterator[Program]:
        """Run one process with these roles; it is killed at the end, if it has not ended before."""
        log = self.folder / f"{'-'.join(names)}-{time.monotonic_ns()}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "cooly", *names],
                cwd=APP,
                env=self.environ | changes,
                stdout=output,
                stderr=output,
            )
        program = Program(process, log)
        try:
            yield program
        finally:
            program.end(signal.SIGKILL)

    @contextmanager
    def api(self, *others: str, **changes: str) -> Iterator[str]:
        """Run the API, with other roles in the same process; gives its address."""
        port = free_port()
        with self.roles("api", *others, PORT=str(port), **changes) as program:
            url = f"http://localhost:{port}"
            until(lambda: answers(program, f"{url}/livez"), f"the API, see {program.log}")
            yield url

    def account(self, gift: int = 10) -> str:
        """Make an account and give its address."""
        email = f"{uuid.uuid4().hex[:12]}@cooly.test"
        made = self.database.execute(
            "insert into account (id, email, password_hash) values (gen_random_uuid(), %s, %s) returning id",
            (email, HASH),
        ).fetchone()
        assert made is not None
        if gift:
            self.database.execute(
                "insert into ledger (account_id, kind, amount, balance) values (%s, 'grant', %s, %s)",
                (made["id"], gift, gift),
            )
        return email

    def visitor(self, url: str, email: str) -> Person:
        """Somebody who is not logged in; the API trusts the proxy on this machine, which here is us."""
        headers = {"X-Forwarded-For": new_address()}
        client = httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)
        return Person(url, email, self.open.enter_context(client))

    def person(self, url: str, gift: int = 10) -> Person:
        """Somebody new, logged in."""
        made = self.visitor(url, self.account(gift))
        assert made.log_in().status_code == 200
        return made

    def ledger(self, email: str) -> list[tuple[str, int]]:
        """Kind and balance of each line of an account, the oldest first."""
        rows = self.database.execute(
            "select kind, balance from ledger where account_id = (select id from account where email = %s) order by id",
            (email,),
        ).fetchall()
        return [(row["kind"], row["balance"]) for row in rows]

    def job(self, generation: str) -> dict[str, Any]:
        """The row of the job that makes a picture."""
        found = self.database.execute(
            "select j.*, j.state::text as word from towline.job j join generation g on g.job_id = j.id where g.id = %s",
            (generation,),
        ).fetchone()
        assert found is not None
        return found


@dataclass
class Person:
    """Somebody with a browser of their own, from an address of their own."""

    url: str
    email: str
    client: httpx.Client
    csrf: str = ""

    def log_in(self, password: str = SECRET) -> httpx.Response:
        """Send the login form."""
        answer = self.client.post("/api/login", json={"email": self.email, "password": password})
        if answer.status_code == 200:
            self.csrf = answer.json()["data"]["me"]["csrf"]
        return answer

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send what the page would send."""
        return self.client.post(path, json={} if body is None else body, headers={"X-CSRF-Token": self.csrf} | headers)

    def ask(self, prompt: str = "hills by the sea") -> str:
        """Ask for a picture and give its id."""
        answer = self.post("/api/generations", {"prompt": prompt})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["data"]["id"])

    def see(self, generation: str) -> dict[str, Any]:
        """One picture as it is now."""
        answer = self.client.get(f"/api/generations/{generation}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()["data"]
        return shown

    def settled(self, generation: str, seconds: float = 60) -> dict[str, Any]:
        """The picture once it has ended and its credits are settled; asks twice a second, as the limit allows."""

        def ask() -> dict[str, Any] | None:
            with self.client.stream("GET", f"/api/generations/{generation}/events") as stream:
                for line in stream.iter_lines():
                    shown = json.loads(line[6:]) if line.startswith("data: ") else {}
                    if shown.get("state") in FINAL and shown["credits"] != "reserved":
                        return dict(shown)
            return None

        return until(ask, f"picture {generation} is settled", seconds)

    @property
    def credits(self) -> int:
        """What is left."""
        return int(self.client.get("/api/me").json()["data"]["me"]["credits"])


def answers(program: Program, url: str) -> bool:
    """Whether a server answers at all; fails at once when its process has ended."""
    assert program.process.poll() is None, program.log.read_text("utf-8")[-3000:]
    try:
        httpx.get(url, trust_env=False)
    except httpx.TransportError:
        return False
    return True


def new_address() -> str:
    """An address that nobody else in these tests has."""
    return f"10.{random.randint(0, 255)}.{random.randint(0, 255)}.{random.randint(1, 254)}"


@contextmanager
def lab(folder: Path, postgres: Postgres, redis_url: str, bucket: Bucket) -> Iterator[Lab]:
    """A database of the lab's own, migrated as a release would."""
    name = f"cooly_{uuid.uuid4().hex}"
    url = postgres.create(name)
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}:{APP}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "APP_ENV": "development",
        "DATABASE_URL": url,
        "DOORBELL_URL": redis_url,
        "REDIS_URL": redis_url,
        "S3_ENDPOINT": bucket.url,
        "S3_BUCKET": bucket.name,
        "S3_ACCESS_KEY": bucket.name,
        "S3_SECRET_KEY": PASSWORD,
        "HOST": "127.0.0.1",
        "GENERATOR_SECONDS": "0.5",
        "JOB_LEASE_SECONDS": "2",
        "VERIFY_TOKEN": TOKEN,
    }
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as database, ExitStack() as stack:
        made = Lab(folder, environ, database, stack)
        for words in ((sys.executable, "-m", "towline_runtime", "migrate"), ("alembic", "upgrade", "head")):
            done = made.run(*words)
            assert done.returncode == 0, done.stderr
        yield made
    postgres.drop(name)


def own_database(valkey: Valkey, number: int) -> str:
    """The shared Valkey, in a numbered database where no other test's doorbells are."""
    return valkey.url.removesuffix("/0") + f"/{number}"
