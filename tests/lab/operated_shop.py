"""The small real app with a seed, hooks and messages; those who use it all the time, and those who ask for deploys."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.server
import json
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from tests.lab.hosted_app import argv
from tests.real_servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.deployed_shop import Shop

REDIS = (
    "import os, socket, sys, urllib.parse as u; p = u.urlsplit(os.environ['REDIS_URL']); "
    "s = socket.create_connection((p.hostname, p.port or 6379)); "
    "s.sendall(f'AUTH {p.password}\\r\\n{sys.argv[1]} seeded\\r\\n'.encode()); "
    "f = s.makefile(); f.readline(); print(f.readline().strip())"
)
"""A word to the queue, with the key `seeded`, and what it answers."""

MORE = """
seed:
  in: api
  run: >-
    python3 -c "{redis}" INCR
hooks:
  before: test ! -e stop
  after: env | grep ^TOWLINE_ >told
  failed: echo "$TOWLINE_ERROR" >failed
notify:
  OPS_URL:
"""


STAGING = """
  staging:
    sites:
      box: {{kind: host, ssh: root@{name}, ssh_config: ssh_config, address: {address}, domain: test.shop.example,
            certificates: internal}}
"""


@contextmanager
def inbox() -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A server that is told how deploys went, and what it was told."""
    bodies: list[dict[str, object]] = []

    class Taker(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/a-secret-part", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def copies(app: Shop, service: str = "api") -> list[str]:
    """The names of the copies that run."""
    return sorted(name for name in app.running() if name.startswith(f"shop-production-{service}."))


def seeded(app: Shop) -> str:
    """How often the seed was run, as the queue has it."""
    ran = app.towline("exec", "api", "-t", "production", "--", "python3", "-c", REDIS, "GET")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip().lstrip("$").split("\n")[-1]


class Clients:
    """Keep-alive clients that ask all the time; what did not go well is in `failures`, what they read in `texts`."""

    def __init__(self, app: Shop, *, well: tuple[int, ...] = (200,)) -> None:
        self.app, self.well = app, well
        self.failures: list[str] = []
        self.answered: list[int] = []
        self.texts: set[str] = set()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]

    def __enter__(self) -> Clients:
        for one in self._threads:
            one.start()
        until(lambda: self.answered, "the first answer")
        return self

    def __exit__(self, *_: object) -> None:
        before = len(self.answered)
        until(lambda: len(self.answered) > before + 20 or self.failures, "answers after the change")
        self._over.set()
        for one in self._threads:
            one.join(30)

    def _ask(self) -> None:
        with httpx.Client(timeout=20, headers={"Host": self.app.host.name}) as client:
            while not self._over.is_set():
                try:
                    answer = client.get(f"http://{self.app.host.ipv4}/")
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                self.answered.append(answer.status_code)
                self.texts.add(answer.text)
                if answer.status_code not in self.well:
                    self.failures.append(str(answer.status_code))


class Caller:
    """A receiver of the webhook as a program, and somebody with its key."""

    def __init__(self, app: Shop) -> None:
        self.key = app.towline("webhook", "key", "production").stdout.strip()
        words = ("webhook", "serve", "production", "--listen", "127.0.0.1:0", "--json")
        self.process = subprocess.Popen(
            argv(*words), cwd=app.folder, env=app.environ, stdout=subprocess.PIPE, text=True
        )
        self.url = str(self.line()["listening"])

    def line(self) -> dict[str, object]:
        """The next thing that it says."""
        assert self.process.stdout is not None
        found: dict[str, object] = json.loads(self.process.stdout.readline())
        return found

    def end(self) -> int:
        """Ctrl-C, once; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.communicate(timeout=60)
        return self.process.returncode

    def children(self) -> list[str]:
        """The programs that it has started, and that have not ended."""
        found = []
        for file in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                name, _, rest = file.read_text().rpartition(")")
                if rest.split()[1] == str(self.process.pid):
                    found.append(name)
        return found

    def call(self, image: str) -> httpx.Response:
        """Ask for an image of the API."""
        body = json.dumps({"images": {"api": image}, "source": "you/shop run 77"}).encode()
        stamp = str(int(time.time()))
        signature = hmac.new(self.key.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {"X-Towline-Timestamp": stamp, "X-Towline-Signature": signature, "X-Towline-Delivery": "run-77"}
        return httpx.post(self.url, content=body, headers=headers, timeout=20)
