"""A Docker daemon for the lab: the user's own when it answers, else one that is started by hand and stopped again."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from towline.core.errors import Refused, SiteUnreachable, StepFailed, Where
from towline.core.process import run
from towline.lab import background
from towline.lab.share import Share
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

    `own` is whether it is the lab's: then it has its data under `folder` and knows no registry's login. All processes
    of an account share that one, and it ends with the last block, unless something is kept running on it (`keep`).
    One in a `folder` of somebody's own is in a network of its own that leads nowhere: two would fight over one bridge.
    Raises SiteUnreachable when there is none and none can be started.
    """

    def __init__(self, environ: Mapping[str, str], *, folder: Path | None = None, users: bool = True) -> None:
        self.folder = lab_folder(environ) / "docker" if folder is None else folder
        self.own = False
        self.environment: Mapping[str, str] = dict(environ)
        self._users, self._shared = users, folder is None
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

    def keep(self, name: str) -> None:
        """Let the lab's own daemon run on after the last block, for what `name` has on it."""
        if self.own:
            self._kept.mkdir(exist_ok=True, mode=0o700)
            (self._kept / name).touch()

    def keep_no_longer(self, name: str) -> None:
        """Let the daemon end with the last block, as far as `name` is concerned."""
        (self._kept / name).unlink(missing_ok=True)

    @property
    def _kept(self) -> Path:
        return self.folder / "kept"

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
        socket = f"unix://{self.folder / 'docker.sock'}"
        kept = {name: value for name, value in self.environment.items() if name not in _ELSEWHERE}
        self.environment = {**kept, "DOCKER_HOST": socket}
        share = Share(self.folder / "share")
        with share.deciding():
            opening.callback(self._leave, share)
            share.join()
            if self._pid() is None:
                self._start(socket)
            self._wait_for_answer()
        self.own = True

    def _leave(self, share: Share) -> None:
        with share.deciding():
            last = share.leave()
            pid = self._pid()
            if not last or pid is None or (self._kept.is_dir() and any(self._kept.iterdir())):
                return
            if not background.end(pid, STOP_WITHIN):
                sentence = f"the lab's Docker daemon does not end (process {pid})"
                raise SiteUnreachable(sentence, hint=f"kill -9 {pid}")

    def _start(self, socket: str) -> None:
        if _answers(self.environment):
            raise Refused(
                f"a Docker daemon that is not the lab's answers on {self.folder / 'docker.sock'}",
                hint=f"ls -l {self.folder}",
            )
        pidfile = self.folder / "dockerd.pid"
        pidfile.unlink(missing_ok=True)  # a stale number may be another program's by now, and then dockerd gives up
        path = _with_sbin(self.environment.get("PATH", os.defpath))
        # In a network of its own where it is not the one of this account: even its start would remove another's bridge.
        alone = () if self._shared else ("unshare", "--net", "--")
        argv = (
            *alone, shutil.which("dockerd", path=path) or "dockerd", "--host", socket, "--pidfile", str(pidfile),
            "--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec"),
        )  # fmt: skip
        pid = background.start(argv, {**self.environment, "PATH": path}, self._log)
        (self.folder / "pid").write_text(str(pid))  # known at once, also to others when we are killed now

    def _wait_for_answer(self) -> None:
        deadline = time.monotonic() + START_WITHIN
        while not _answers(self.environment):
            if self._pid() is None or time.monotonic() > deadline:
                raise SiteUnreachable(f"dockerd did not start: {_reason(self._log)}", hint=f"tail {self._log}")
            time.sleep(0.05)

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _pid(self) -> int | None:
        """The lab's daemon, when it runs: seen to have our folder, never a number that went to another program."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "pid").read_text())
            if f"{self.folder}/data".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None


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
