"""What the contract of drivers needs of each: how to make one, and how to make a step fail; and a tiny real app.

`PROTOCOL_CASES` is the registry: a driver joins with one entry. `CASES` are those of them that run instances.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.loopback_sshd import LoopbackSshd

from towline.artifacts.model import Bundle, ServiceArtifact, SiteBundle, StoreArtifact
from towline.artifacts.ports import Ports
from towline.core.secret import Secret
from towline.drivers.host.driver import HostSite
from towline.drivers.host.tasks import end_site, run_task
from towline.drivers.local.driver import LocalSite
from towline.lab.fake import FakeSite
from towline.lab.invariants import ConfirmedFirst, NeverTwice, Served
from towline.lab.keep import Folder
from towline.steps.kinds import InitStore, Instance, PrepareStore, Probe, RunTask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from towline.drivers.host.driver import Programs
    from towline.drivers.host.ssh import Connection
    from towline.steps.driver import Driver
    from towline.steps.model import Facts

SITE = "box"
MARK = "a-value-that-nobody-may-see"
"""Part of every environment: it must be found in no journal, fact or evidence."""

SERVER = """
import http.server, os, signal, sys, threading
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["REVISION"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
if os.environ["REVISION"] == "broken":
    sys.exit("it does not start: " + os.environ["MARK"])
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(0.02)
"""
WORKER = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.pause()
"""
TASK = """
import os, pathlib, sys
pathlib.Path("made").mkdir(exist_ok=True)
pathlib.Path("made/index.html").write_text("made by " + sys.argv[1])
with open("runs.txt", "a") as runs:
    runs.write(sys.argv[1] + "\\n")
if sys.argv[1] == "broken":
    print(os.environ["MARK"], flush=True)
    sys.exit("the last words of the task")
"""


@dataclass(frozen=True)
class DriverCase:
    """A driver under contract.

    `open` gives a Driver over what lies in a folder; called again it is another process with the same site. `breaks`
    prepares the failure of steps whose title holds a text, where a broken program alone does not do it. `close` ends
    what a folder was given. `ahead`: its steps go on where nobody reads the lines.
    """

    name: str
    open: Callable[[Path], Driver]
    breaks: Callable[[Driver, str], None] = lambda _driver, _title: None
    close: Callable[[Path], None] = lambda _folder: None
    ahead: bool = False


def _fake(folder: Path) -> FakeSite:
    return FakeSite(SITE, Folder(folder / "site"), watchers=(NeverTwice("relay"), Served(), ConfirmedFirst()))


def _fake_breaks(driver: Driver, title: str) -> None:
    assert isinstance(driver, FakeSite)
    driver.fail(title, "it does not work", "the last words of the task")


def _local(folder: Path) -> Driver:
    return LocalSite(folder / ".towline" / "local", site=SITE)


PLAIN: Programs = {"run-task": run_task, "end-site": end_site}
"""What a machine without an engine for containers can carry out."""


class _Hosts:
    """A real sshd for each folder, and one connection to it: the site lies in the folder, seen through ssh."""

    def __init__(self) -> None:
        self._open: dict[Path, tuple[LoopbackSshd, Connection]] = {}

    def open(self, folder: Path) -> Driver:
        if folder not in self._open:
            sshd = LoopbackSshd(folder / "sshd").__enter__()
            self._open[folder] = (sshd, sshd.connection())
        return HostSite(self._open[folder][1], str(folder / "site"), site=SITE, programs=PLAIN)

    def close(self, folder: Path) -> None:
        sshd, connection = self._open.pop(folder)
        connection.close()
        sshd.stop()


_HOSTS = _Hosts()
CASES: tuple[DriverCase, ...] = (DriverCase("fake", _fake, _fake_breaks), DriverCase("local", _local))
HOST = DriverCase("host", _HOSTS.open, close=_HOSTS.close, ahead=True)
_NEEDED = pytest.mark.needs("sshd", "ssh", "setsid", "flock", "pgrep")
PROTOCOL_CASES = (*(pytest.param(case, id=case.name) for case in CASES), pytest.param(HOST, id="host", marks=_NEEDED))


@dataclass
class TinyApp:
    """A real app of a few lines in a folder: a web service, workers, a task; a cache beside it.

    `contents` fills up with what must be stashed before a bundle is deployed.
    """

    folder: Path
    facts: Facts
    contents: dict[str, Secret] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write the programs."""
        self.folder.mkdir(exist_ok=True)
        for name, text in (("server.py", SERVER), ("worker.py", WORKER), ("task.py", TASK)):
            (self.folder / name).write_text(text)
        self._ports = Ports(self.facts)

    def stash(self, value: str | Mapping[str, object]) -> str:
        """The digest of contents."""
        secret = Secret(value if isinstance(value, str) else json.dumps(value, sort_keys=True))
        digest = secret.digest(self.facts.salt.reveal().encode())
        self.contents[digest] = secret
        return digest

    def door(self) -> Instance:
        """The front door."""
        port = self._ports.kept("door")
        return Instance("door", "door", str(port), "door", Probe("tcp", 10.0), port=port)

    def routes(self) -> str:
        """The routes to `api`, which answers for api.tiny.localhost, and to the files of `page`."""
        api = {"name": "api", "kind": "proxy", "hosts": ["api.tiny.localhost"], "slots": 4}
        page = {"name": "page", "kind": "files", "hosts": ["page.tiny.localhost"]}
        services = [{**api, "port": self._ports.kept("api")}, page]
        return self.stash({"app": "tiny", "port": self._ports.kept("door"), "services": services})

    def web(self, revision: str, number: int = 1, *, fixed: bool = False) -> Instance:
        """A copy of `api`, which answers with its revision."""
        name = f"api.{revision}.{number}"
        before = next((one.port for one in self.facts.instances if one.service == "api"), None)
        port = before if fixed and before else self._ports.of_instance(name)
        made = self._program(name, "api", revision, "server.py", port=port)
        return replace(made, ready=Probe("http", 15.0), drain=5.0)

    def worker(self, service: str, revision: str) -> Instance:
        """A copy of a worker."""
        made = self._program(f"{service}.{revision}.1", service, revision, "worker.py")
        return replace(made, ready=Probe("lives", 10.0, settle=0.1), stop_within=15.0)

    def task(self, word: str, *, marker: str | None, output: str | None = None) -> RunTask:
        """A task that writes its word down; with the word `broken` it fails, with last words."""
        command = (sys.executable, "task.py", word)
        env = self._env(word)
        return RunTask("tidy", "page", command, str(self.folder), 30.0, env=env, marker=marker, output=output)

    def cache(self) -> StoreArtifact:
        """A store that every machine can run."""
        port = self._ports.kept("cache")
        settings = {"use": "cache", "password": self.stash(f"{MARK} of the cache"), "maxmemory": "16mb"}
        server = Instance("cache", "cache", "r1", "redis", Probe("tcp", 15.0), port=port, settings=settings)
        return StoreArtifact(
            init=InitStore("cache", "redis", "9", settings),
            server=server,
            prepare=PrepareStore("cache", "redis", port, settings),
        )

    def bundle(self, revision: str, *, copies: int = 1, fixed: bool = False) -> Bundle:
        """The whole app in a revision: a cache, `api` beside or after, the single worker `relay`, files of `page`."""
        web = tuple(self.web(revision, number + 1, fixed=fixed) for number in range(copies))
        upstreams = tuple(f"127.0.0.1:{one.port}" for one in web)
        api = ServiceArtifact("api", web, upstreams, "after" if fixed else "beside", "", (), ())
        relay = ServiceArtifact("relay", (self.worker("relay", revision),), (), "after", "it is `single`", (), ("api",))
        build = self.task(revision, marker=f"files-{revision}", output="made")
        page = ServiceArtifact("page", (), (f"files-{revision}",), "beside", "", (build,), ())
        part = SiteBundle(SITE, (self.cache(),), (api, relay, page), None, self.door(), self.routes(), self.contents)
        return Bundle("tiny", "test", (part,))

    def _program(self, name: str, service: str, revision: str, program: str, *, port: int | None = None) -> Instance:
        return Instance(
            name=name,
            service=service,
            revision=revision,
            runs="service",
            ready=Probe("lives", 15.0),
            port=port,
            command=(sys.executable, program),
            cwd=str(self.folder),
            env=self._env(revision, port),
        )

    def _env(self, revision: str, port: int | None = None) -> str:
        return self.stash({"REVISION": revision, "MARK": MARK, "PORT": str(port or 0), "PATH": os.environ["PATH"]})
