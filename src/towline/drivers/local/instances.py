"""Instances: start, wait until ready, drain, stop, confirm that nothing is left."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

from towline.core.errors import StepFailed
from towline.core.units import show_seconds
from towline.drivers.local import servers, sockets, usable
from towline.drivers.local.caddy import IDLE_SECONDS
from towline.drivers.local.ground import Handler
from towline.drivers.local.starts import Starts
from towline.drivers.local.supervisor import Declined
from towline.steps.kinds import (
    ConfirmStopped,
    Drain,
    Instance,
    StartInstance,
    StopInstance,
    WaitReady,
    instance_from_json,
    instance_to_json,
)

if TYPE_CHECKING:
    from towline.drivers.local.ground import Ground
    from towline.drivers.local.supervisor import Process
    from towline.steps.model import Before

_KEPT = 10
"""Instances remembered of each service, with their logs, so that a stopped one can still be asked about."""

_LOOK = 0.05


class Instances:
    """The steps that start and end processes."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._supervisor = ground.supervisor
        self._starts = Starts(ground)

    def handlers(self) -> dict[str, Handler[Any]]:
        """By kind of step."""
        return {
            "start-instance": Handler(self._start, self._started, lambda step: self._before(step.instance.name)),
            "wait-ready": Handler(self._wait, self._ready),
            "drain": Handler(self._drain),
            "stop-instance": Handler(self._stop, self._stopped, lambda step: self._before(step.name)),
            "confirm-stopped": Handler(self._confirm_stopped),
        }

    def _before(self, name: str) -> Before:
        process = self._supervisor.process(name)
        instance = _instance(process) if process is not None and process.runs else None
        return {"instance": None if instance is None else instance_to_json(instance)}

    def _started(self, step: StartInstance) -> str | None:
        process = self._supervisor.process(step.instance.name)
        if process is None or not process.runs or process.state == "stopping":
            return None
        # A store keeps its name when it changes: only the same instance is the one that is wanted.
        return f"it runs already{_pid(process)}" if _instance(process) == step.instance else None

    def _start(self, step: StartInstance) -> str:
        instance = step.instance
        present = self._supervisor.process(instance.name)
        # What waits to be started again is still found at its port: nobody else took it.
        if present is None or (present.pid is None and not present.runs):
            self._refuse_taken_port(instance)
        start = self._starts.of(instance)
        self._remember(instance)
        try:
            process = self._supervisor.replace(servers.process_table(instance, start), servers.stop_within(instance))
        except Declined as error:
            raise StepFailed(f"{instance.name} cannot be started: {error}", hint="towline status") from error
        usable.warm_up(instance.runs)
        return f"started{_pid(process)}"

    def _refuse_taken_port(self, instance: Instance) -> None:
        if instance.port is None or sockets.is_free(instance.port):
            return
        holder = sockets.holder_of(instance.port)
        who = f"{holder.program} (PID {holder.pid})" if holder else "another user's program"
        raise StepFailed(
            f"{instance.name} needs port {instance.port}, on which {who} listens already",
            hint=f"kill {holder.pid}" if holder else f"lsof -i :{instance.port}",
        )

    def _remember(self, instance: Instance) -> None:
        ground, entry = self._ground, instance_to_json(instance)
        dropped: list[str] = []

        def with_it(entries: dict[str, Any]) -> dict[str, Any]:
            others = {name: one for name, one in entries.items() if name != instance.name}
            same = [name for name, one in others.items() if one["instance"]["service"] == instance.service]
            dropped[:] = sorted(same, key=lambda name: int(others[name]["number"]))[: -_KEPT + 1]
            number = 1 + max((int(one["number"]) for one in others.values()), default=0)
            left = {name: one for name, one in others.items() if name not in dropped}
            return {**left, instance.name: {"number": number, "instance": entry}}

        ground.instances.change(with_it)
        for log in (path for name in dropped for path in ground.home.logs.glob(f"{name}.log*")):
            log.unlink(missing_ok=True)
        if instance.runs != "service" and instance.port is not None:
            ground.ports.set(instance.service, instance.port)

    def _ready(self, step: WaitReady) -> str | None:
        process = self._supervisor.process(step.name)
        if process is None or process.state != "ready" or process.holding:
            return None
        instance = _instance(process)
        if instance is not None and self._why_not(instance) is not None:
            return None
        return f"ready{_pid(process)}"

    def _wait(self, step: WaitReady) -> str:
        deadline = time.monotonic() + step.within
        try:
            process = self._supervisor.wait_ready(step.name, step.within)
        except Declined as error:
            raise self._not_ready(step.name, str(error), error.process) from error
        instance = _instance(process)
        if instance is not None:
            self._wait_usable(instance, deadline)
        if process.holding:
            self._supervisor.open(step.name)
        took = f" after {show_seconds(process.uptime)}" if process.uptime else ""
        return f"ready{took}{_pid(process)}"

    def _wait_usable(self, instance: Instance, deadline: float) -> None:
        """A server that accepts connections may still be recovering: ready is when it answers in its own protocol."""
        again = False
        while (reason := self._why_not(instance)) is not None:
            process = self._supervisor.process(instance.name)
            if time.monotonic() > deadline or process is None or not process.runs:
                raise self._not_ready(instance.name, f"{instance.name} listens but does not serve: {reason}", process)
            if not again and process.pid is not None and self._starts.is_stuck(instance, reason):
                again = True
                self._start_again(process.name, process.pid, deadline)
            time.sleep(_LOOK)

    def _start_again(self, name: str, pid: int, deadline: float) -> None:
        """Kill a server that nobody has written to yet; the supervisor starts it again, and requests still wait."""
        os.kill(pid, signal.SIGKILL)
        while (process := self._supervisor.process(name)) is not None and process.pid == pid:
            if time.monotonic() > deadline:
                return
            time.sleep(_LOOK)
        try:
            self._supervisor.wait_ready(name, max(deadline - time.monotonic(), 0.0))
        except Declined as error:
            raise self._not_ready(name, str(error), error.process) from error

    def _why_not(self, instance: Instance) -> str | None:
        return usable.why_not(instance.runs, self._starts.own_port(instance), instance.settings, self._ground.blobs)

    def _not_ready(self, name: str, sentence: str, process: Process | None) -> StepFailed:
        evidence = [] if process is None else [f"state: {process.state}", *_end_of(process), *process.last]
        clean = self._ground.blobs.clean([sentence, *evidence])
        return StepFailed(clean[0], hint=f"towline logs {name.partition('.')[0]}", evidence=clean[1:])

    def _drain(self, step: Drain) -> str:
        process = self._supervisor.process(step.name)
        instance = None if process is None else _instance(process)
        if process is None or process.pid is None or instance is None or instance.port is None:
            return "nothing to drain"
        start = time.monotonic()
        left = self._drained(instance.port, process.pid, step.within)
        took = show_seconds(time.monotonic() - start)
        return f"free after {took}" if not left else f"{left} connections were still open after {took}"

    def _drained(self, port: int, pid: int, within: float) -> int:
        """How many connections are left when none is open, in two looks, or the time is over."""
        deadline, free_since = time.monotonic() + within, None
        while True:
            left, now = sockets.open_connections(port, pid), time.monotonic()
            if left:
                free_since = None
            elif free_since is None:
                free_since = now
            # A request that chose this instance just before the shift arrives well within the door's idle time.
            elif now - free_since >= IDLE_SECONDS / 4:
                return 0
            if now >= deadline:
                return left
            time.sleep(_LOOK)

    def _stopped(self, step: StopInstance) -> str | None:
        return "it does not run" if self._supervisor.process(step.name) is None else None

    def _stop(self, step: StopInstance) -> str:
        start = time.monotonic()
        process = self._supervisor.stop(step.name, step.within)
        took = show_seconds(time.monotonic() - start)
        self._supervisor.remove(step.name)
        instance = None if process is None else _instance(process)
        if instance is not None:
            self._starts.clear(instance)
        return f"stopped after {took}{_how(process)}"

    def _confirm_stopped(self, step: ConfirmStopped) -> str:
        process = self._supervisor.process(step.name)
        if process is not None and (process.runs or process.pid is not None):
            raise StepFailed(
                f"{step.name} has not stopped: it is {process.state}{_pid(process)}", hint="towline status"
            )
        port = self._port_of(step.name)
        holder = None if port is None or sockets.is_free(port) else sockets.holder_of(port)
        if holder is not None and not self._is_ours(holder.pid):
            raise StepFailed(
                f"{step.name} has stopped, but {holder.program} (PID {holder.pid}) still listens on its port {port}",
                hint=f"kill {holder.pid}",
            )
        return "no process is left" if port is None else f"no process is left, and port {port} is free of it"

    def _port_of(self, name: str) -> int | None:
        kept = self._ground.instances.read().get(name)
        return None if kept is None else instance_from_json(kept["instance"]).port

    def _is_ours(self, pid: int) -> bool:
        """Whether another instance of this target has taken the port over, as after a resume."""
        trees = (sockets.tree(process.pid) for process in self._supervisor.processes() if process.pid is not None)
        return any(pid in tree for tree in trees)


def _instance(process: Process) -> Instance | None:
    try:
        return servers.instance_of(process.labels)
    except ValueError:
        return None


def _pid(process: Process) -> str:
    return f" (PID {process.pid})" if process.pid is not None else ""


def _how(process: Process | None) -> str:
    end = None if process is None else process.exit
    if not end:
        return ""
    if end.get("signal"):
        return f", ended by SIG{end['signal']}"
    return f", exit status {end.get('code')}"


def _end_of(process: Process) -> list[str]:
    lines = [f"last end{_how(process)}".replace("end, ", "end: ")] if process.exit else []
    if process.exit and process.exit.get("oom"):
        lines.append("the machine ran out of memory and ended it")
    return lines
