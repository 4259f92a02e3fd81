"""A Docker daemon for the lab: the user's own when it answers, else one that is started by hand and stopped again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from towline.core.errors import Refused, SiteUnreachable, StepFailed, Where
from towline.core.files import hold_lock
from towline.core.process import run
from towline.spec.compose import find_compose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from towline.core.process import Ran

INSTALL = "sudo apt-get install -y --no-install-recommends docker.io iptables mmdebstrap zstd"
"""What a Debian machine needs for the lab."""

START_WITHIN = 60.0
"""Seconds until a daemon answers that was just started; about 1 with a warm disk."""

STOP_WITHIN = 40.0
"""Seconds that it may take to stop its containers (15 by itself) and to end."""

# They would lead the client to another daemon than the one on our socket.
_ELSEWHERE = ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_TLS")


class LabDocker:
    """One answering Docker daemon while the block runs.

    `own` is whether it is the lab's: then it has its data under `folder`, knows no registry's login, and ends with the
    block. One process at a time can have a daemon of the lab's, since two would fight over one bridge and its rules;
    others wait for their turn.
    Raises SiteUnreachable when there is none and none can be started.
    """

    def __init__(self, environ: Mapping[str, str], *, folder: Path | None = None, users: bool = True) -> None:
        self.folder = lab_folder(environ) / "docker" if folder is None else folder
        self.own = False
        self.environment: Mapping[str, str] = dict(environ)
        self._users = users
        self._open = contextlib.ExitStack()

    def __enter__(self) -> LabDocker:
        if not (self._users and _answers(self.environment)):
            with contextlib.ExitStack() as opening:
                self._become_own(opening)
                self._open = opening.pop_all()
        if run(("docker", "buildx", "version"), within=20, env=self.environment).status != 0:
            # Without buildx, Docker's client and Compose build with the builder inside the daemon, when told to.
            self.environment = {**self.environment, "DOCKER_BUILDKIT": "0"}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def ask(self, *words: str, within: float = 60.0) -> Ran:
        """Run `docker WORDS`; how it ended, whatever its status."""
        return run(("docker", *words), within=within, env=self.environment)

    def run(self, *words: str, within: float = 60.0, on_line: Callable[[str], None] | None = None) -> str:
        """Run `docker WORDS` and return what it printed. Raises StepFailed with its last lines."""
        return self._must(("docker", *words), within, on_line, None)

    def compose(self, *words: str, within: float = 120.0, cwd: Path | None = None) -> str:
        """Run `docker compose WORDS`, with the packaged Compose where Docker has none. Raises StepFailed."""
        return self._must((*find_compose(self.environment), *words), within, None, cwd)

    def _must(self, argv: Sequence[str], within: float, on_line: Callable[[str], None] | None, cwd: Path | None) -> str:
        ran = run(argv, within=within, env=self.environment, on_line=on_line, cwd=cwd)
        if ran.status != 0:
            told = " ".join((Path(argv[0]).name, *argv[1:3]))
            how = f"took more than {within:.0f} s" if ran.timed_out else f"ended with status {ran.status}"
            raise StepFailed(f"`{told} ...` {how}", where=Where("docker"), evidence=ran.last_lines)
        return ran.stdout

    def _become_own(self, opening: contextlib.ExitStack) -> None:
        _refuse_without_programs(self.environment)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        opening.enter_context(hold_lock(lab_folder(self.environment) / "docker.lock"))
        socket = f"unix://{self.folder / 'docker.sock'}"
        kept = {name: value for name, value in self.environment.items() if name not in _ELSEWHERE}
        self.environment = {**kept, "DOCKER_HOST": socket}
        if _answers(self.environment):  # left behind by a process that was killed
            pid = self._pid_left_behind()
            opening.callback(_end, pid, lambda: _gone(pid))
        else:
            self._start(socket, opening)
        self.own = True

    def _start(self, socket: str, opening: contextlib.ExitStack) -> None:
        log, pidfile = self.folder / "log", self.folder / "pid"
        pidfile.unlink(missing_ok=True)  # nothing answers; a stale number may be another program's by now
        path = _with_sbin(self.environment.get("PATH", os.defpath))
        argv = (
            shutil.which("dockerd", path=path) or "dockerd", "--host", socket, "--pidfile", str(pidfile),
            "--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec"),
        )  # fmt: skip
        with log.open("wb") as handle:
            daemon = subprocess.Popen(
                argv,
                env={**self.environment, "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                start_new_session=True,
            )
        opening.callback(_end, daemon.pid, lambda: daemon.poll() is not None)
        deadline = time.monotonic() + START_WITHIN
        while not _answers(self.environment):
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise SiteUnreachable(f"dockerd did not start: {_reason(log)}", hint=f"tail {log}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(timeout=0.1)

    def _pid_left_behind(self) -> int:
        """The daemon on our socket, seen to be the one with our folder: never a number that went to another program."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "pid").read_text())
            if str(self.folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        raise Refused(
            f"a Docker daemon that is not the lab's answers on {self.folder / 'docker.sock'}",
            hint=f"ls -l {self.folder}",
        )


def lab_folder(environ: Mapping[str, str]) -> Path:
    """Where the lab keeps what is dear to make again: images, disks, keys."""
    cache = environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "towline-lab"


def _refuse_without_programs(environment: Mapping[str, str]) -> None:
    path = environment.get("PATH", os.defpath)
    places = {"docker": path, "dockerd": _with_sbin(path), "iptables": _with_sbin(path)}
    missing = [name for name, place in places.items() if shutil.which(name, path=place) is None]
    if missing:
        sentence = f"no Docker daemon answers, and none can be started: {', '.join(missing)} not installed"
        raise SiteUnreachable(sentence, hint=INSTALL)
    if os.geteuid() != 0:
        raise SiteUnreachable(
            "no Docker daemon answers, and only root can start one", hint="sudo systemctl start docker"
        )


def _with_sbin(path: str) -> str:
    """On some accounts PATH leaves out the places of the administrator's programs."""
    return f"{path}:/usr/local/sbin:/usr/sbin:/sbin"


def _answers(environment: Mapping[str, str]) -> bool:
    if shutil.which("docker", path=environment.get("PATH")) is None:
        return False
    asked = run(("docker", "version", "--format", "{{.Server.Version}}"), within=20, env=environment)
    return asked.status == 0 and bool(asked.stdout.strip())


def _reason(log: Path) -> str:
    """The daemon's own reason: its last line, without the time and the level before it."""
    lines = log.read_text(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
    return last.rsplit("msg=", 1)[-1].strip('" ')


def _end(pid: int, ended: Callable[[], bool]) -> None:
    """Ask the daemon to stop its containers and end; make it when it does not."""
    for number, patience in ((signal.SIGTERM, STOP_WITHIN), (signal.SIGKILL, 10.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience
        while not ended() and time.monotonic() < deadline:
            time.sleep(0.05)
        if ended():
            return
    raise SiteUnreachable(f"the lab's Docker daemon does not end (process {pid})", hint=f"kill -9 {pid}")


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
