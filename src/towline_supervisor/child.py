"""One process through its life: waiting, starting, ready, ended, started again, stopped."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from towline_supervisor import memory, policy, running
from towline_supervisor.end import End, judge
from towline_supervisor.lines import LogLine
from towline_supervisor.lobby import Lobby, why_not
from towline_supervisor.probe import Probe
from towline_supervisor.report import describe
from towline_supervisor.spawn import RUN_VARIABLE, SpawnError, environment
from towline_supervisor.spec import HttpReady, SettledReady, TcpReady

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from towline_supervisor.loop import Loop, Timer
    from towline_supervisor.oom import OomCounter
    from towline_supervisor.probe import Reaper
    from towline_supervisor.spec import ProcessSpec

LAST_LINES = 20
_LOOK = 0.05
_CLEARED = 2.0
RESTING = frozenset({"stopped", "crashed"})
"""The states from which nothing follows by itself."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a child needs from the supervisor it belongs to.

    `gate` gives the reason why a process has to wait, or None; `run` marks the children of this supervisor.
    """

    loop: Loop
    oom: OomCounter
    run: str | None
    reaper: Reaper
    publish: Callable[[list[LogLine]], None]
    say: Callable[[str], None]
    changed: Callable[[], None]
    gate: Callable[[Child], str | None]
    vital_ended: Callable[[Child], None]


class Child:
    """One process of the supervisor; every change is announced through its surroundings."""

    def __init__(self, spec: ProcessSpec, around: Surroundings) -> None:
        self.spec = spec
        self.state = "waiting"
        self.pid: int | None = None
        self.restarts = 0
        self.end: End | None = None
        self.verdict: str | None = None
        self.overdue = False
        self.successor: ProcessSpec | None = None
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self.started_at: float | None = None
        self._around = around
        self._running: running.Running | None = None
        self._probe: Probe | None = None
        self._timer: Timer | None = None
        self._order: str | None = None
        self._began = 0.0
        self._cleared_by: float | None = None
        self._starts = 0
        self._failures = 0
        self._ends: deque[float] = deque(maxlen=spec.give_up.times)
        self._sample = (0.0, 0)
        self._lobby: Lobby | None = None
        self._trusted = False

    @property
    def name(self) -> str:
        """The name of its spec."""
        return self.spec.name

    @property
    def uptime(self) -> float:
        """Seconds since it was started, 0 when it does not live."""
        return self._around.loop.now() - self._began if self.lives else 0.0

    @property
    def lives(self) -> bool:
        """Whether there is a process, or the rest of its group."""
        return self._running is not None

    @property
    def done_well(self) -> bool:
        """Whether it is ready, or ended with 0 and is not meant to run again."""
        finished = self.state == "stopped" and self._order is None and self.end is not None
        return self.state == "ready" or (finished and self.end is not None and self.end.exit_code() == 0)

    @property
    def holding(self) -> bool:
        """Whether connections wait until somebody says that it may have them."""
        return self.spec.hold is not None and not self._trusted

    def trust(self) -> None:
        """Let it have the connections that wait, and later ones whenever it is ready."""
        self._trusted = True
        self._lead()

    def consider(self) -> None:
        """Start it if it waits and nothing keeps it from starting."""
        if self.state != "waiting":
            return
        reason = self._around.gate(self)
        if reason is None:
            self._launch()
        elif reason != self.verdict:
            self.verdict = reason
            self._around.say(f"{self.name} {reason}")

    def stop(self, within: float | None = None, order: str = "stop") -> None:
        """End it: the polite signal, then SIGKILL after its limit (seconds); a second call can only shorten it.

        With the order "memory" it counts as failed, and is started again.
        """
        limit = self.spec.stop.within if within is None else within
        if order == "stop":
            self._order = "stop"
        if self._running is None:
            if self.state not in RESTING:
                self._rest("stopped", None)
            return
        if self._timer is not None and self.state == "stopping":
            self._set_timer(min(limit, max(0.0, self._timer.when - self._around.loop.now())), self._kill)
            return
        self._order = order
        self._quiet()
        self._around.say(f"stopping {self.name}")
        self._running.signal(self.spec.stop.signal, group=self.spec.stop.group)
        self._set_timer(limit, self._kill)
        self._enter("stopping")

    def kill(self) -> None:
        """End it at once."""
        self.stop(0.0)
        if self._running is not None:
            self._running.kill()

    def reaped(self, status: int) -> None:
        """Take the wait status of its leader."""
        if self._running is None:
            return
        self._quiet()
        code = self._running.reap(status)
        self.end = judge(code, by_us=self._running.killed, order=self._order, oom=self._around.oom)
        if self._running.group_lives():
            self._clear()
        else:
            self._finish()

    def set_reading(self, *, on: bool) -> None:
        """Read its output, or let it wait."""
        if self._running is not None:
            self._running.set_reading(on=on)

    def memory(self) -> int:
        """Bytes its tree uses, at most a second old."""
        if self.pid is None:
            return 0
        now = self._around.loop.now()
        if now - self._sample[0] >= 1.0 or not self._sample[1]:
            self._sample = (now, memory.used_by(self.pid))
        return self._sample[1]

    def _launch(self) -> None:
        around, spec = self._around, self.spec
        around.say(f"starting {self.name}")
        if (reason := self._why_no_lobby()) is not None:
            self.end = End(None, None, "not-started")
            self._fail(reason)
            return
        try:
            env = environment(spec)
            marked = env if around.run is None else {**env, RUN_VARIABLE: around.run}
            self._running = running.start(around.loop, spec, marked, self._take)
        except SpawnError as error:
            self.end = End(None, None, "not-started")
            self._fail(str(error))
            return
        self.pid, self._order = self._running.pid, None
        self.restarts, self._starts = self._starts, self._starts + 1
        self.started_at, self._began = time.time(), around.loop.now()
        self.verdict, self.overdue, self._sample = None, False, (0.0, 0)
        around.say(f"{self.name} started (PID {self.pid})")
        if not isinstance(spec.ready, SettledReady):
            around.say(f"waiting for {self.name} {describe(spec.ready)}")
        self._probe = Probe(around.loop, spec, self.pid, around.reaper)
        self._enter("starting")
        self._probe.begin(env, self._on_ready, self._on_limit)

    def _why_no_lobby(self) -> str | None:
        """Listen where its connections wait, unless that is so; else why it cannot be."""
        spec = self.spec
        if spec.hold is None or self._lobby is not None or not isinstance(spec.ready, HttpReady | TcpReady):
            return None
        try:
            self._lobby = Lobby(self._around.loop, spec.hold, (spec.ready.host, spec.ready.port))
        except OSError as error:
            return why_not(error, spec.hold)
        return None

    def _lead(self) -> None:
        if self._lobby is not None:
            self._lobby.let_through(on=self._trusted and self.state == "ready")

    def _on_ready(self) -> None:
        self._probe = None
        self.verdict, self.overdue = None, False
        self._around.say(f"{self.name} ready after {self._around.loop.now() - self._began:.1f} s")
        self._enter("ready")

    def _on_limit(self) -> None:
        if self._probe is None or isinstance(self.spec.ready, SettledReady):
            return
        self.overdue = True
        self.verdict = (
            f"was not ready within {self.spec.ready.within:g} s: {describe(self.spec.ready)}, {self._probe.last}"
        )
        self._around.say(f"{self.name} {self.verdict}")
        self._show_last()
        self._around.changed()

    def _take(self, stream: str, lines: list[str]) -> None:
        at, pid = time.time(), self.pid or 0
        self.last.extend(lines[-LAST_LINES:])
        self._around.publish([LogLine(at, self.name, pid, stream, line) for line in lines])

    def _clear(self) -> None:
        """Its leader ended and left others behind: they get the same signal and the same limit."""
        if self._running is None:
            return
        if self.state != "stopping":
            self._running.signal(self.spec.stop.signal, group=True)
            self._set_timer(self.spec.stop.within, self._kill)
            self._enter("stopping")
        elif not self._running.killed and not self.spec.stop.group:
            self._running.signal(self.spec.stop.signal, group=True)
        self._cleared_by = None
        self._around.loop.later(_LOOK, self._check_cleared)

    def _check_cleared(self) -> None:
        if self._running is None:
            return
        now = self._around.loop.now()
        if self._running.killed and self._cleared_by is None:
            self._cleared_by = now + _CLEARED
        # After a kill only zombies that a stranger fails to reap can be left, and nothing waits for those.
        if self._running.group_lives() and (self._cleared_by is None or now < self._cleared_by):
            self._around.loop.later(_LOOK, self._check_cleared)
        else:
            self._finish()

    def _finish(self) -> None:
        was, self._running = self._running, None
        if was is None or self.end is None:
            return
        was.close()
        self._set_timer(None)
        up = self._around.loop.now() - self._began
        self._failures = 0 if up >= self.spec.backoff.reset_after else self._failures
        if self._order == "stop":
            limit = f"SIG{self.spec.stop.signal} was not enough: it was killed" if was.killed else None
            self._around.say(f"{self.name} stopped ({self.end.sentence()}){f': {limit}' if limit else ''}")
            self._rest("stopped", limit)
        elif self.spec.vital and self._order is None:
            self._rest("stopped", f"ended ({self.end.sentence()}), and it is vital")
            self._around.say(f"{self.name} {self.verdict}")
            self._show_last()
            self._around.vital_ended(self)
        else:
            self._again()

    def _again(self) -> None:
        end, now = self.end, self._around.loop.now()
        if end is None:
            return
        failed = end.exit_code() != 0 or self._order == "memory"
        if not policy.wants_restart(self.spec.restart, failed=failed):
            self._around.say(f"{self.name} ended ({end.sentence()})")
            self._rest("stopped", f"ended ({end.sentence()})" if failed else None)
            return
        self._ends.append(now)
        self._failures += 1
        give_up = self.spec.give_up
        if policy.is_crash_loop(give_up, self._ends, now):
            self._fail(f"ended {give_up.times} times within {give_up.within:g} s, the last time with {end.sentence()}")
            return
        seconds = policy.pause(self.spec.backoff, self._failures)
        self.verdict = f"{'crashed' if failed else 'ended'} ({end.sentence()}), restarting in {seconds:g} s"
        self._around.say(f"{self.name} {self.verdict}")
        self.pid = None
        self._set_timer(seconds, self._wait_again)
        self._enter("backoff")

    def _wait_again(self) -> None:
        self._enter("waiting")
        self.consider()

    def _fail(self, sentence: str) -> None:
        self._around.say(f"{self.name} {sentence}; it is not started again")
        self._show_last()
        self._rest("crashed", sentence)
        if self.spec.vital:
            self._around.vital_ended(self)

    def _show_last(self) -> None:
        if self.last:
            self._around.say(f"last lines of {self.name}:")
        for line in list(self.last):
            self._around.say(f"    {line}")

    def _rest(self, state: str, verdict: str | None) -> None:
        self._set_timer(None)
        self._quiet()
        self.pid, self.verdict = None, verdict
        lobby, self._lobby = self._lobby, None
        if lobby is not None:
            lobby.close()
        self._enter(state)

    def _enter(self, state: str) -> None:
        self.state = state
        self._lead()
        self._around.changed()

    def _quiet(self) -> None:
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.cancel()

    def _kill(self) -> None:
        if self._running is not None:
            self._around.say(f"{self.name} did not end in time: killing it")
            self._running.kill()

    def _set_timer(self, seconds: float | None, call: Callable[[], None] | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None or call is None else self._around.loop.later(seconds, call)
