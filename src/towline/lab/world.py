"""The world of a fake site: a plain dictionary, and what each step does to it, wholly or by half."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from towline.core.errors import StepFailed
from towline.lab import world_door, world_images, world_links, world_migration
from towline.steps.kinds import instance_to_json
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from towline.steps.farewell import AwaitFarewell, SeeOff
    from towline.steps.kinds import (
        AnyStep,
        ConfigureDoor,
        ConfirmShift,
        ConfirmStopped,
        Drain,
        InitStore,
        PrepareStore,
        PurgeData,
        RunTask,
        Shift,
        StartInstance,
        StopInstance,
        WaitReady,
    )
    from towline.steps.model import Before

World = dict[str, Any]
"""JSON data. An instance is "starting", "ready" or "crashed", or what a crash leaves behind: "half" or "stopping"."""

_STORES = ("postgres", "redis", "bucket")


def empty_world() -> World:
    """A site where nothing ever was."""
    kept: World = {"instances": {}, "upstreams": {}, "tasks": {}, "stores": {}, "files": {}, "ports": {}, "stash": {}}
    lock = {"owner": "", "fence": 0, "until": 0.0}
    return kept | world_door.NOTHING | world_links.NOTHING | {"door": None, "up": False, "lock": lock}


def holds(world: World, step: AnyStep) -> str | None:
    """What is seen when a step has nothing left to do, else None."""
    look = _HOLDS.get(step.kind)
    return look(world, step) if look else None


def before(world: World, step: AnyStep) -> Before:
    """What `inverse` needs to take the step back."""
    look = _BEFORES.get(step.kind)
    return look(world, step) if look else {}


def act(world: World, step: AnyStep) -> str:
    """Do a step and say what was seen. Raises StepFailed."""
    return _ACTS[step.kind](world, step)


def act_half(world: World, step: AnyStep) -> None:
    """What is there when the one who does a step dies in the middle of it; some steps are wholly done or not at all."""
    half = _HALVES.get(step.kind)
    if half:
        half(world, step)


def live(world: World, service: str | None = None) -> Iterator[dict[str, Any]]:
    """The entries of instances that have a process, of one service or of all."""
    for entry in world["instances"].values():
        if entry["state"] != "crashed" and service in (None, entry["instance"]["service"]):
            yield entry


def answers(world: World, service: str, address: str) -> bool:
    """Whether an address has somebody behind it: a ready copy of the service, or files that were kept."""
    if ":" not in address:
        return address in world["files"].get(service, [])
    ports = {one["instance"]["port"] for one in live(world, service) if one["state"] == "ready"}
    return int(address.rsplit(":", 1)[1]) in ports


def door_is_ready(world: World) -> bool:
    """Whether a front door takes requests."""
    return any(one["instance"]["runs"] == "door" and one["state"] == "ready" for one in live(world))


def _there(world: World, name: str) -> dict[str, Any] | None:
    entry = world["instances"].get(name)
    return None if entry is None or entry["state"] == "half" else entry["instance"]


def _must(condition: object, sentence: str, *evidence: str) -> None:
    if not condition:
        raise StepFailed(sentence, evidence=evidence)


def _init(world: World, step: InitStore) -> str:
    world["stores"][step.store] = {"kind": step.store_kind, "major": step.major}
    return f"an empty place for {step.store_kind} {step.major}"


def _prepare(world: World, step: PrepareStore) -> str:
    ready = [one for one in live(world, step.store) if one["state"] == "ready"]
    _must(ready, f"store {step.store} does not run")
    world["tasks"][f"prepare:{step.store}"] = digest_of(step.settings)
    return "made"


def _run_task(world: World, step: RunTask) -> str:
    _must(step.env is None or step.env in world["stash"], f"the environment of {step.name} was never stashed")
    if step.marker is not None:
        world["tasks"][step.name] = step.marker
        if step.output is not None:
            world["files"][step.service] = [*world["files"].get(step.service, []), step.marker]
    return "exit code 0"


def _configure(world: World, step: ConfigureDoor) -> str:
    _must(door_is_ready(world), "the front door does not run")
    _must(step.routes in world["stash"], "the routes were never stashed")
    world["door"] = step.routes
    world["ports"] |= {name: port for name, port in (world["stash"][step.routes] or {}).items() if port is not None}
    return "it has them"


def _start(world: World, step: StartInstance) -> str:
    instance = step.instance
    entry = world["instances"].get(instance.name)
    taken = entry is not None and entry["state"] in ("starting", "ready")
    _must(not taken, f"another {instance.name} runs already")
    others = [one["instance"] for one in live(world) if one["instance"]["name"] != instance.name]
    holder = next((one["name"] for one in others if one["port"] is not None and one["port"] == instance.port), None)
    _must(holder is None, f"port {instance.port} is taken", f"it is held by {holder}")
    _must(instance.env is None or instance.env in world["stash"], f"the environment of {instance.name} is not there")
    has_place = instance.runs not in _STORES or world["stores"].get(instance.service, {}).get("major")
    _must(has_place, f"there is no place for the data of {instance.service}")
    world["instances"][instance.name] = {"instance": instance_to_json(instance), "state": "starting"}
    world["up"] = True
    if instance.runs == "door" and instance.container is not None:
        world["led_to"] = world.get("led_to") or instance.revision
    if instance.runs != "service" and instance.port is not None:
        world["ports"][instance.service] = instance.port
    return "started"


def _wait(world: World, step: WaitReady) -> str:
    entry = world["instances"].get(step.name)
    _must(entry, f"{step.name} is not there")
    _must(entry["state"] in ("starting", "ready"), f"{step.name} does not get ready", f"it is {entry['state']}")
    entry["state"] = "ready"
    return "it answers"


def _shift(world: World, step: Shift) -> str:
    _send(world, step.service, list(step.upstreams))
    return "written"


def _send(world: World, service: str, upstreams: list[str]) -> None:
    if upstreams:
        world["upstreams"][service] = upstreams
    else:
        world["upstreams"].pop(service, None)


def _confirm_shift(world: World, step: ConfirmShift) -> str:
    now = world["upstreams"].get(step.service, [])
    _must(list(step.upstreams) == now, f"the traffic of {step.service} goes elsewhere", f"it goes to {now}")
    _must(door_is_ready(world), "the front door does not run")
    routed = world["stash"].get(world["door"])
    _must(routed is None or step.service in routed, f"the front door has no route to {step.service}")
    dead = [address for address in now if not answers(world, step.service, address)]
    _must(not dead, f"{step.service} does not answer", *(f"nobody is at {address}" for address in dead))
    return f"only {', '.join(now)} answered"


def _drain(world: World, step: Drain) -> str:
    return "no open connection" if step.name in world["instances"] else "it is gone"


def _nobody_leaves(world: World, step: AwaitFarewell) -> str:
    """Whoever was seen off here is gone at once."""
    del world, step
    return "none is left"


def _stop(world: World, step: StopInstance | SeeOff) -> str:
    world["instances"].pop(step.name, None)
    return "it ended"


def _confirm_stopped(world: World, step: ConfirmStopped) -> str:
    _must(step.name not in world["instances"], f"{step.name} still runs")
    return "nothing of it is left"


def _end(world: World, step: AnyStep) -> str:
    del step
    world["instances"], world["up"] = {}, False
    world |= world_door.NOTHING
    return "nothing runs"


def _purge(world: World, step: PurgeData) -> str:
    running = [one["instance"]["name"] for one in live(world) if step.store in (None, one["instance"]["service"])]
    _must(not running, "data is deleted only when nothing of it runs", *running)
    for store in [step.store] if step.store else list(world["stores"]):
        world["stores"].pop(store, None)
        world["ports"].pop(store, None)
    # Whatever a task wrote into the data is gone, so that each task must be due again.
    world["tasks"] = {}
    if step.store is None:
        world["files"], world["upstreams"], world["door"], world["stash"], world["ports"] = {}, {}, None, {}, {}
    return "deleted"


def _half_init(world: World, step: InitStore) -> None:
    world["stores"][step.store] = {"kind": step.store_kind, "major": None}


def _half_start(world: World, step: StartInstance) -> None:
    whole = instance_to_json(step.instance)
    world["instances"][step.instance.name] = {"instance": whole, "state": "half"}
    world["up"] = True


def _half_shift(world: World, step: Shift) -> None:
    """Some slots are written and some are not."""
    old, new = world["upstreams"].get(step.service, []), list(step.upstreams)
    _send(world, step.service, [*new[: (len(new) + 1) // 2], *old[len(old) // 2 :]])


def _half_stop(world: World, step: StopInstance) -> None:
    if step.name in world["instances"]:
        world["instances"][step.name]["state"] = "stopping"


def _half_purge(world: World, step: PurgeData) -> None:
    for store in [step.store] if step.store else list(world["stores"])[:1]:
        if store in world["stores"]:
            world["stores"][store]["major"] = None


def _has_data(world: World, step: InitStore) -> str | None:
    major = world["stores"].get(step.store, {}).get("major")
    return f"there is data of version {major}" if major else None


def _is_prepared(world: World, step: PrepareStore) -> str | None:
    return "made before" if world["tasks"].get(f"prepare:{step.store}") == digest_of(step.settings) else None


def _has_run(world: World, step: RunTask) -> str | None:
    return "done before" if step.marker is not None and world["tasks"].get(step.name) == step.marker else None


def _has_routes(world: World, step: ConfigureDoor) -> str | None:
    return "it has them" if world["door"] == step.routes and door_is_ready(world) else None


def _has_started(world: World, step: StartInstance) -> str | None:
    entry = world["instances"].get(step.instance.name)
    if entry is None or entry["state"] not in ("starting", "ready"):
        return None
    return "it runs" if entry["instance"] == instance_to_json(step.instance) else None


def _is_ready(world: World, step: WaitReady) -> str | None:
    return "it answers" if world["instances"].get(step.name, {}).get("state") == "ready" else None


def _has_shifted(world: World, step: Shift) -> str | None:
    return "it goes there" if world["upstreams"].get(step.service, []) == list(step.upstreams) else None


def _is_gone(world: World, step: StopInstance | SeeOff | Drain) -> str | None:
    return None if step.name in world["instances"] else "it is gone"


def _has_ended(world: World, step: AnyStep) -> str | None:
    del step
    return None if world["up"] or world["instances"] or world_door.names(world).all else "nothing runs"


_HOLDS: dict[str, Callable[[World, Any], str | None]] = {
    "init-store": _has_data,
    "prepare-store": _is_prepared,
    "run-task": _has_run,
    "configure-door": _has_routes,
    "start-instance": _has_started,
    "wait-ready": _is_ready,
    "shift": _has_shifted,
    "drain": _is_gone,
    "stop-instance": _is_gone,
    "see-off": _is_gone,
    "end-site": _has_ended,
    "claim-names": world_door.has_names,
    "lead-names": world_door.leads_to,
    "open-machine-door": world_door.is_open,
    "join-link": world_links.has_joined,
    "leave-link": world_links.has_left,
    **world_images.HOLDS,
    **world_migration.HOLDS,
}
_BEFORES: dict[str, Callable[[World, Any], Before]] = {
    "start-instance": lambda world, step: {"instance": _there(world, step.instance.name)},
    "stop-instance": lambda world, step: {"instance": _there(world, step.name)},
    "see-off": lambda world, step: {"instance": _there(world, step.name)},
    "shift": lambda world, step: {"upstreams": list(world["upstreams"].get(step.service, []))},
    "configure-door": lambda world, _: {"routes": world["door"]},
    "lead-names": lambda world, _: {"revision": world.get("led_to")},
    "claim-names": lambda world, _: world_door.names_before(world),
    "join-link": world_links.before,
    "leave-link": world_links.before,
}
_ACTS: dict[str, Callable[[World, Any], str]] = {
    "init-store": _init,
    "prepare-store": _prepare,
    "run-task": _run_task,
    "configure-door": _configure,
    "start-instance": _start,
    "wait-ready": _wait,
    "shift": _shift,
    "confirm-shift": _confirm_shift,
    "drain": _drain,
    "stop-instance": _stop,
    "see-off": _stop,
    "await-farewell": _nobody_leaves,
    "confirm-stopped": _confirm_stopped,
    "end-site": _end,
    "purge-data": _purge,
    "claim-names": world_door.claim,
    "lead-names": world_door.lead_to,
    "open-machine-door": world_door.open_door,
    "join-link": world_links.join,
    "confirm-link": world_links.confirm,
    "leave-link": world_links.leave,
    **world_images.ACTS,
    **world_migration.ACTS,
}
_HALVES: dict[str, Callable[[World, Any], None]] = {
    "init-store": _half_init,
    "start-instance": _half_start,
    "shift": _half_shift,
    "stop-instance": _half_stop,
    "purge-data": _half_purge,
    "claim-names": world_door.half_claim,
    "join-link": world_links.half,
    "leave-link": world_links.half,
}
