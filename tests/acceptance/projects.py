"""Projects in temporary folders, driven by the command line as a person drives it, and the proof that nothing stays."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from tests.real_servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

APPS = Path(__file__).resolve().parent / "apps"
TOWLINE = str(Path(sys.executable).parent / "towline")
DEADLINE = 60.0


@dataclass(frozen=True)
class Done:
    """What a command left: its exit status and both streams."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """stdout as the one JSON document that it has to be."""
        return json.loads(self.out)

    def must(self, status: int = 0) -> Done:
        """The same, when it ended as it should."""
        assert self.status == status, f"status {self.status}, not {status}\n{self.out}\n{self.err}"
        return self


@dataclass
class Project:
    """A copy of an app under a name of its own; `said` is all that its commands ever printed."""

    path: Path
    name: str
    said: list[str] = field(default_factory=list)
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Where the target keeps its files."""
        return self.path / ".towline" / "laptop"

    @property
    def journal(self) -> Path:
        """The journal of the target."""
        return self.home / "journal.jsonl"

    @property
    def notes(self) -> Path:
        """What the tiny app writes."""
        return self.path / "notes"

    def run(self, *words: str, within: float = DEADLINE, env: dict[str, str] | None = None) -> Done:
        """Run a command to its end; no command may ever show a traceback."""
        argv = [TOWLINE, *words]
        ran = subprocess.run(
            argv,
            cwd=self.path,
            env=env,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return self._heard(ran.returncode, ran.stdout, ran.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command in a session of its own and leave it running; end it with `ended`."""
        process = subprocess.Popen(
            [TOWLINE, *words],
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def ended(self, process: subprocess.Popen[str], within: float = DEADLINE) -> Done:
        """Wait for the end of a command that was started."""
        out, err = process.communicate(timeout=within)
        return self._heard(process.returncode, out, err)

    def end_started(self) -> None:
        """End what `start` has left running, and read nothing more of it."""
        for process in self.started:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def _heard(self, status: int, out: str, err: str) -> Done:
        self.said += [out, err]
        assert "Traceback" not in out + err, out + err
        details = re.search(r"the details are in (\S+)", err + out)
        assert not details, Path(details[1].rstrip('",;')).read_text()
        return Done(status, out, err)

    def up(self) -> Done:
        """Bring it up and leave it running, verified."""
        return self.run("up", "--detach").must()

    def instances(self) -> dict[str, dict[str, Any]]:
        """Service to what `status --json` says of its one instance."""
        found = self.run("status", "--json").must().json()["instances"]
        assert len({one["service"] for one in found}) == len(found), f"two of one service: {found}"
        return {one["service"]: one for one in found}

    def pids(self) -> dict[str, int]:
        """Service to the pid of its one instance."""
        return {service: one["pid"] for service, one in self.instances().items()}

    def url(self, service: str = "api") -> str:
        """The public address of a service, which stays as it was first told."""
        if service not in self.addresses:
            self.addresses.update(self.run("status", "--json").must().json()["addresses"])
        return self.addresses[service]

    def ask(self, path: str = "/", *, within: float = DEADLINE) -> dict[str, Any]:
        """What the API answers through the front door."""
        answer: dict[str, Any] = ask(self.url() + path, within=within).json()
        return answer

    def change(self, file: str, old: str, new: str) -> None:
        """Replace a text in a file, which has to be there."""
        path = self.path / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new))

    def version(self, service: str, new: str) -> None:
        """Change one variable of one service."""
        path = self.path / "compose.yaml"
        head, mark, tail = path.read_text().partition(f"  {service}:\n")
        assert mark
        path.write_text(head + mark + re.sub(r"VERSION: \w+", f"VERSION: {new}", tail, count=1))

    def diary(self) -> list[dict[str, Any]]:
        """What the worker noted, oldest first."""
        path = self.notes / "worker.diary"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def runs(self) -> list[dict[str, str]]:
        """What `history --json` tells."""
        found: list[dict[str, str]] = self.run("history", "--json").must().json()
        return found

    def processes(self) -> dict[int, str]:
        """Every process of the project that lives, whoever started it: it works in its folder or names it."""
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                where = str((folder / "cwd").readlink())
                if state != "Z" and (f"{where}/".startswith(f"{self.path}/") or f"{self.path}/" in command):
                    found[int(folder.name)] = command
        return found

    def journal_lines(self) -> int:
        """How many whole lines the journal has."""
        return self.journal.read_bytes().count(b"\n") if self.journal.exists() else 0


def ask(url: str, *, within: float = DEADLINE) -> httpx.Response:
    """GET as a browser does: names under .localhost are this machine."""
    address = httpx.URL(url)
    with httpx.Client(trust_env=False, timeout=within) as client:
        return client.get(address.copy_with(host="127.0.0.1"), headers={"Host": address.netloc.decode()})


@contextlib.contextmanager
def project(app: Path, folder: Path, name: str | None = None) -> Iterator[Project]:
    """A copy of an app, under a unique name unless one is given; at the end all of it is deleted, no process is left.

    An environment that is installed in the original already is used by the copy too.
    """
    name = name or f"{app.name}-{uuid.uuid4().hex[:6]}"
    path = folder / name
    shutil.copytree(app, path, ignore=shutil.ignore_patterns(".venv", ".towline", "__pycache__"))
    if (app / ".venv").is_dir():
        (path / ".venv").symlink_to(app / ".venv")
    page = path / "towline.yaml"
    page.write_text(page.read_text().replace(f"app: {app.name}\n", f"app: {name}\n"))
    made = Project(path, name)
    try:
        yield made
    finally:
        left = _cleared(made)
    assert not left, f"processes were left: {left}"


def _cleared(made: Project) -> dict[int, str]:
    """Purge; what then still lives is ended by its pid, and returned."""
    made.end_started()
    if made.journal.exists():
        ran = made.run("down", "--purge", made.name)
        if ran.status != 0:
            sys.stderr.write(f"purging failed:\n{ran.out}{ran.err}")
    with contextlib.suppress(AssertionError):
        until(lambda: not made.processes(), "everything has ended", 10)
    left = made.processes()
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return left


@contextlib.contextmanager
def lab_of(project: Path) -> Iterator[None]:
    """A block in which a project may have a lab, which is down afterwards."""
    try:
        yield
    finally:
        if project.is_dir():
            words = [TOWLINE, "lab", "down"]
            subprocess.run(words, cwd=project, capture_output=True, check=False, timeout=300)
