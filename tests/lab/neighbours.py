"""Small apps that share one lab host, and people who use one of them while something happens to another."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import websockets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from towline.lab.host import Lab, LabHost

IMAGE = "neighbour:1"
IMAGES = (IMAGE, "caddy:2.11.7")

SERVER = """
import base64, hashlib, http.server, os, signal, sys, threading
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.socket()
        self.say(os.environ["TEXT"].encode())
    def do_POST(self):
        self.say(self.rfile.read(int(self.headers["Content-Length"])))
    def say(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Seen-From", self.headers.get("X-Forwarded-For", ""))
        self.end_headers()
        self.wfile.write(body)
    def socket(self):
        key = self.headers["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key).digest()).decode())
        self.end_headers()
        self.close_connection = True
        while len(head := self.rfile.read(2)) == 2 and head[0] & 15 == 1:
            size, mask = head[1] & 127, self.rfile.read(4)
            data = bytes(byte ^ mask[place % 4] for place, byte in enumerate(self.rfile.read(size)))
            self.wfile.write(bytes((129, size)) + data)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Answer)
server.daemon_threads = True
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(0.05)
"""
COMPOSE = """
services:
  web:
    image: {image}
    command: [python3, /server.py]
    ports: ["8000:8000"]
    stop_grace_period: 3s
    environment: {{TEXT: "{text}"}}
"""
PAGE = """
app: {app}
services:
  web: {{kind: web, ready: /, max_job: 60s}}
targets:
  production:
    sites:
      box: {{kind: host, ssh: root@{name}, ssh_config: ssh_config, address: {address}{options}}}
"""


@dataclass
class Neighbour:
    """One app with a target `production` on the host."""

    app: str
    folder: Path
    host: LabHost

    def write(self, text: str, options: str = "") -> None:
        """Let it answer with this text from the next deploy on; `options` are more fields of its site."""
        (self.folder / "compose.yaml").write_text(COMPOSE.format(image=IMAGE, text=text))
        page = PAGE.format(app=self.app, name=self.host.name, address=self.host.ipv4, options=options)
        (self.folder / "towline.yaml").write_text(page)

    def towline(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project."""
        argv = [sys.executable, "-m", "towline.cli.main", *words]
        environ = {**os.environ, "XDG_CONFIG_HOME": str(self.folder.parent / "config")}
        return subprocess.run(argv, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)

    def deploy(self, text: str | None = None, options: str = "") -> dict[str, object]:
        """Deploy; it must succeed, and be seen from outside. What it says as JSON."""
        if text is not None:
            self.write(text, options)
        done = self.towline("deploy", "production", "--yes", "--json")
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        found: dict[str, object] = json.loads(done.stdout)
        return found

    def refused(self) -> dict[str, str]:
        """What a deploy finds wrong before it changes anything: sentences by code."""
        done = self.towline("deploy", "production", "--yes", "--json")
        assert done.returncode == 2, f"{done.stdout}\n{done.stderr}"
        return {one["code"]: one["sentence"] for one in json.loads(done.stdout)["error"]["findings"]}

    def take_down(self) -> None:
        """Leave nothing of it on the host."""
        gone = self.towline("destroy", "production", "--name", f"{self.app}/production")
        assert gone.returncode == 0, gone.stderr


def neighbour(app: str, folder: Path, lab: Lab, host: LabHost) -> Neighbour:
    """Its project; the image is on the host."""
    project = folder / app
    project.mkdir()
    (project / "ssh_config").write_text(lab.ssh_config.read_text())
    return Neighbour(app, project, host)


def load_image(folder: Path, lab: Lab, host: LabHost) -> None:
    """Build the image that all of them run, and copy it to the host."""
    (folder / "server.py").write_text(SERVER)
    (folder / "Dockerfile").write_text("FROM python:3.11-slim\nCOPY server.py /\n")
    lab.docker.run("build", "-t", IMAGE, str(folder), within=300)
    host.load(*IMAGES)


@dataclass
class Seen:
    """What became of the requests of a crowd."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    echoed: int = 0


@dataclass
class Crowd:
    """People who ask `host` at `address`: each on a connection of their own that is kept alive, GET and POST in turn.

    With `fresh` each request has a new connection instead. `sockets` WebSockets talk besides. A request is due every
    `pause` seconds for each of the `people`, whether the last one was quick or not.
    """

    address: str
    host: str
    people: int = 12
    sockets: int = 5
    pause: float = 0.12
    fresh: bool = False
    seen: Seen = field(default_factory=Seen)

    async def until(self, over: asyncio.Event) -> None:
        """Everybody asks until it is over."""
        await asyncio.gather(
            *(self._person(number, over) for number in range(self.people)),
            *(self._talks(over) for _ in range(self.sockets)),
        )

    async def _person(self, number: int, over: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + number * self.pause / self.people
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        count = 0
        while not over.is_set():
            await asyncio.sleep(max(0.0, due - loop.time()))
            due, count = due + self.pause, count + 1
            try:
                connection = connection or await asyncio.open_connection(self.address, 80)
                keep = await asyncio.wait_for(self._asked(*connection, post=count % 2 == 0), 30)
                self.seen.answered += 1
            except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
                self.seen.failures.append(repr(error))
                keep = False
            if not keep:
                await _closed(connection)
                connection = None
        await _closed(connection)

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, post: bool) -> bool:
        """One request; whether the connection may be used again."""
        close = "Connection: close\r\n" if self.fresh else ""
        body = b"x" * 200 if post else b""
        head = (
            f"{'POST' if post else 'GET'} / HTTP/1.1\r\nHost: {self.host}\r\n{close}Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        said = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(int(line.partition(":")[2]) for line in said.split("\r\n") if line.startswith("content-length:"))
        text = (await reader.readexactly(length)).decode()
        if not said.startswith("http/1.1 200"):
            raise ValueError(said.split("\r\n")[0])
        if not post:
            self.seen.texts.add(text)
        return "connection: close" not in said

    async def _talks(self, over: asyncio.Event) -> None:
        try:
            async with websockets.connect(
                f"ws://{self.host}/", host=self.address, proxy=None, ping_interval=None
            ) as one:
                while not over.is_set():
                    await one.send("hello")
                    assert await asyncio.wait_for(one.recv(), 30) == "hello"
                    self.seen.echoed += 1
                    await asyncio.sleep(0.2)
        except (websockets.WebSocketException, OSError, TimeoutError) as error:
            self.seen.ended.append(repr(error))


async def _closed(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> None:
    if connection is not None:
        connection[1].close()
        with suppress(OSError):
            await connection[1].wait_closed()


@contextmanager
def crowd_at(crowd: Crowd) -> Iterator[Seen]:
    """The crowd asks while the block runs; its requests are answered when it ends."""
    loop, over = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(crowd.until(over),))
    thread.start()
    try:
        yield crowd.seen
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(60)
        loop.close()
