"""Programs that run to their end, the files they leave, and the end of the supervisor."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from towline.core.errors import Defect, SiteUnreachable, StepFailed
from towline.core.events import Progressed
from towline.core.process import run
from towline.core.secret import redact
from towline.core.units import show_seconds
from towline.drivers.local.ground import Handler
from towline.drivers.local.supervisor import kept_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline.core.process import Ran
    from towline.drivers.local.ground import Ground
    from towline.steps.kinds import EndSite, RunTask

_WITH_PID = 'printf "%s %s" $$ "$(cut -d" " -f22 /proc/$$/stat 2>/dev/null)" >"$0" && exec "$@"'
"""Notes the process (and when it began, in clock ticks) before it becomes the task, for whoever comes after a crash."""

_LOG_MOST = 10_000_000
_END_WITHIN = 5.0
_BUILDS = 5
"""Builds of a static service that are kept, so that a rollback has what it goes back to."""
_LOOK = 0.05


class Tasks:
    """The steps that run a program to its end."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._home = ground.home

    def handlers(self) -> dict[str, Handler[Any]]:
        """By kind of step."""
        return {"run-task": Handler(self._run, self._done), "end-site": Handler(self._end, self._ended)}

    def _done(self, step: RunTask) -> str | None:
        if step.marker is None or self._ground.tasks.read().get(step.name) != step.marker:
            return None
        if step.output is not None and not self._kept(step).is_dir():
            return None
        return "done before, and nothing it depends on has changed"

    def _run(self, step: RunTask) -> str:
        if step.output is not None and step.marker is None:
            raise Defect(f"{step.name} keeps files but has no marker to keep them under")
        note = self._home.path / "running" / f"{_file_name(step.name)}.pid"
        note.parent.mkdir(exist_ok=True, mode=0o700)
        end_left_behind(note)
        start = time.monotonic()
        ran = self._ran(step, note)
        took = show_seconds(time.monotonic() - start)
        if ran.timed_out:
            raise self._failed(step, f"{step.name} was not done within {show_seconds(step.within)}", ran)
        if ran.status != 0:
            raise self._failed(step, f"{step.name} ended with {_status(ran.status)} after {took}", ran)
        if step.output is not None:
            self._keep_files(step)
        if step.marker is not None:
            self._ground.tasks.set(step.name, step.marker)
        return f"done in {took}"

    def _ran(self, step: RunTask, note: Path) -> Ran:
        ground = self._ground
        if not Path(step.cwd).is_dir():
            raise StepFailed(f"{step.name} cannot start: {step.cwd} is no folder", hint="towline check")
        env = kept_environment(ground.environ) if step.env is None else ground.blobs.environment(step.env)
        argv = ("/bin/sh", "-c", _WITH_PID, str(note), *step.command)
        with self._log(step) as write:
            try:
                return run(argv, within=step.within, cwd=Path(step.cwd), env=env, on_line=write)
            except SiteUnreachable as error:
                raise StepFailed(error.sentence, hint=error.hint) from error
            finally:
                note.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _log(self, step: RunTask) -> Any:
        """A function that takes each line of the task: to its log, in the supervisor's format, and to the listener."""
        name, known = _file_name(step.name), self._ground.blobs.known()
        path = self._home.logs / f"{name}.log"
        path.parent.mkdir(exist_ok=True, mode=0o700)
        if path.exists() and path.stat().st_size > _LOG_MOST:
            path.rename(path.with_name(f"{path.name}.1"))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as log:
            yield self._writer(step, name, log, lambda line: redact(line, known))

    def _writer(
        self,
        step: RunTask,
        name: str,
        log: Any,
        clean: Callable[[str], str],
    ) -> Callable[[str], None]:
        def write(line: str) -> None:
            at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            text = clean(line)
            plain = {"at": at, "name": name, "pid": 0, "stream": "stdout", "text": text}
            log.write(json.dumps(plain, ensure_ascii=False) + "\n")
            log.flush()
            self._ground.listener(Progressed(self._ground.site, step.title, text))

        return write

    def _failed(self, step: RunTask, sentence: str, ran: Ran) -> StepFailed:
        evidence = self._ground.blobs.clean(ran.last_lines)
        return StepFailed(sentence, hint=f"towline logs {step.service}", evidence=evidence)

    def _kept(self, step: RunTask) -> Path:
        return self._home.static / step.service / str(step.marker)

    def _keep_files(self, step: RunTask) -> None:
        """Copy what was built; it appears under its name whole or not at all."""
        source, place = Path(step.cwd) / str(step.output), self._kept(step)
        if not source.is_dir():
            raise StepFailed(f"{step.name} left no folder {step.output}", hint=f"ls {step.cwd}")
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        half = place.with_name(f".{place.name}.new")
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(source, half, ignore_dangling_symlinks=True)
        os.utime(half)
        shutil.rmtree(place, ignore_errors=True)
        half.rename(place)
        self._prune(step.service, place)

    def _prune(self, service: str, newest: Path) -> None:
        """Drop the files of all but the last builds, and never those that are served."""
        kept = [path for path in newest.parent.glob("[!.]*") if path.name not in self._ground.slots.upstreams(service)]
        for old in sorted(kept, key=lambda path: path.stat().st_mtime, reverse=True)[_BUILDS:]:
            shutil.rmtree(old, ignore_errors=True)

    def _ended(self, _step: EndSite) -> str | None:
        return None if self._ground.supervisor.runs or self._notes() else "nothing runs"

    def _notes(self) -> list[Path]:
        """The notes of tasks that run, or whose operator was killed."""
        return sorted((self._home.path / "running").glob("*.pid"))

    def _end(self, _step: EndSite) -> str:
        for note in self._notes():
            end_left_behind(note)
        if not self._ground.supervisor.shutdown():
            return "nothing runs"
        if self._ground.supervisor.runs:
            raise StepFailed("the supervisor has not ended", hint="towline status")
        self._home.drop_run()
        return "ended"


def end_left_behind(note: Path) -> None:
    """End a task of an earlier try that still runs: two migrations at once would be worse than one that starts anew."""
    try:
        pid_text, _, began = note.read_text().strip().partition(" ")
    except FileNotFoundError:
        return
    pid = int(pid_text) if pid_text.isdigit() else 0
    if pid > 1 and _is_same(pid, began):
        _end_group(pid)
    note.unlink(missing_ok=True)


def _is_same(pid: int, began: str) -> bool:
    """Whether this is still the noted process: a pid is given away again."""
    try:
        if os.getsid(pid) != pid:
            return False
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return True
    fields = stat.read_text().rpartition(")")[2].split()
    return fields[0] != "Z" and fields[19] == began


def _end_group(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _END_WITHIN
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)
        while time.monotonic() < deadline:
            if not _group_lives(pid):
                return
            time.sleep(_LOOK)


def _group_lives(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _status(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"


def _file_name(name: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.") or "task"
