"""The closed list of step kinds: what can be done to a site, each with the steps that take it back.

A step is data. A driver asks four things of it: does it hold already, what was there before, do it, and what was seen.
Undoing is no fifth thing: `inverse` turns a step and what it found into ordinary steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from towline.steps.adopt import StartOthers, StopOthers, TakeData
from towline.steps.adopt import back as back_to_others
from towline.steps.container import Container  # noqa: TC001 - pydantic reads the annotation
from towline.steps.door import ClaimNames, LeadNames, OpenMachineDoor, claimed_before
from towline.steps.ensure import Ensure, ProveLogin
from towline.steps.farewell import AwaitFarewell, SeeOff
from towline.steps.folders import PlaceFolder
from towline.steps.images import (
    BuildImage,
    ClearAway,
    FetchImage,
    LoadImage,
)
from towline.steps.links import ConfirmLink, JoinLink, LeaveLink, back
from towline.steps.maintenance import SetMaintenance
from towline.steps.migration import BackUp, EndMigration, Migrate, Rehearse, Restore, end_of


@dataclass(frozen=True)
class Probe:
    """How readiness is asked.

    `http`: `path` answers `status`. `tcp`: the port accepts. `lives`: still there after `settle`.
    `host` is the Host header of an http probe. All spans in seconds.
    """

    kind: Literal["http", "tcp", "lives"]
    within: float
    path: str = "/"
    host: str | None = None
    status: int = 200
    settle: float = 0.5


@dataclass(frozen=True)
class Instance:
    """One running copy of a service, a store or the front door.

    `runs` says what: "service" runs `command` in `cwd`; the other kinds are servers that the site knows how to start.
    `env` is the digest of stashed contents, a JSON object of the whole environment. `settings` are what a server needs
    (version, user, database, use, ...); a value there that is secret is the digest of stashed contents.
    `drain`: how long open connections may last after the traffic has left; `stop_within`: how long it may take to end
    after the signal (the longest job of a worker). `container` is what it runs in, where the site has an engine: then
    `command` and `cwd` are the container's, and `port` is inside of it.
    """

    name: str
    service: str
    revision: str
    runs: Literal["service", "postgres", "redis", "bucket", "door"]
    ready: Probe
    port: int | None = None
    command: tuple[str, ...] = ()
    cwd: str = ""
    env: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    stop_signal: Literal["TERM", "INT", "QUIT"] = "TERM"
    stop_within: float = 10.0
    drain: float = 0.0
    memory: int | None = None
    container: Container | None = None


@dataclass(frozen=True)
class InitStore:
    """Make the place where a store keeps its data, once; never touches data that is there."""

    store: str
    store_kind: str
    major: str
    settings: dict[str, str] = field(default_factory=dict)
    kind: Literal["init-store"] = "init-store"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"make room for the data of {self.store} ({self.store_kind} {self.major})"


@dataclass(frozen=True)
class PrepareStore:
    """Make the database and its owner, or the bucket with its policy, inside a running store.

    `container`, with the stashed environment `env`, is what does it where the site has an engine and the store's own
    program is not enough.
    """

    store: str
    store_kind: str
    port: int
    settings: dict[str, str] = field(default_factory=dict)
    container: Container | None = None
    env: str | None = None
    kind: Literal["prepare-store"] = "prepare-store"

    @property
    def title(self) -> str:
        """What a person reads."""
        made = {"postgres": "the database and its owner", "bucket": "the bucket and its policy"}
        return f"make {made.get(self.store_kind, 'what the app needs')} in {self.store}"


@dataclass(frozen=True)
class RunTask:
    """Run a program to its end, at most `within` seconds: an installation, a build, a migration, a task service.

    Done with the same `marker` before, it is not run again; `marker` None runs always. `output`: a folder, relative to
    `cwd`, that is kept as the files of static service `service` under the name of the marker. With a `container` it is
    that one's command which runs.
    """

    name: str
    service: str
    command: tuple[str, ...]
    cwd: str
    within: float
    env: str | None = None
    marker: str | None = None
    output: str | None = None
    container: Container | None = None
    kind: Literal["run-task"] = "run-task"

    @property
    def title(self) -> str:
        """What a person reads."""
        return (
            f"{self.name}: `{' '.join(self.command[-1:] if self.command[:2] == ('/bin/sh', '-c') else self.command)}`"
        )


@dataclass(frozen=True)
class ConfigureDoor:
    """Give the front door its routes: `routes` is the digest of stashed contents."""

    routes: str
    kind: Literal["configure-door"] = "configure-door"

    @property
    def title(self) -> str:
        """What a person reads."""
        return "tell the front door its routes"


@dataclass(frozen=True)
class StartInstance:
    """Start an instance; does not wait until it is ready."""

    instance: Instance
    kind: Literal["start-instance"] = "start-instance"

    @property
    def title(self) -> str:
        """What a person reads."""
        port = f" on port {self.instance.port}" if self.instance.port else ""
        return f"start {self.instance.name}{port}"


@dataclass(frozen=True)
class WaitReady:
    """Wait until an instance answers as it should. `drain` is what its connections get should it have to go again."""

    name: str
    within: float
    drain: float = 0.0
    kind: Literal["wait-ready"] = "wait-ready"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"wait until {self.name} is ready"


@dataclass(frozen=True)
class Shift:
    """Send the traffic of a service to these addresses and to no others; with none, requests wait at the door.

    An address is "127.0.0.1:PORT", or for a static service the name of the kept files.
    """

    service: str
    upstreams: tuple[str, ...]
    kind: Literal["shift"] = "shift"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"shift the traffic of {self.service} to {', '.join(self.upstreams) or 'nobody: requests wait'}"


@dataclass(frozen=True)
class ConfirmShift:
    """See, through the front door, that only these addresses answer for the service."""

    service: str
    upstreams: tuple[str, ...]
    within: float = 10.0
    kind: Literal["confirm-shift"] = "confirm-shift"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"confirm that {self.service} answers from {', '.join(self.upstreams)}"


@dataclass(frozen=True)
class Drain:
    """Wait until an instance has no open connection, at most `within` seconds; what is left then is reported."""

    name: str
    within: float
    kind: Literal["drain"] = "drain"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"let {self.name} finish its requests (at most {self.within:g} s)"


@dataclass(frozen=True)
class StopInstance:
    """Ask an instance to end and wait for it, at most `within` seconds, then end it."""

    name: str
    within: float
    kind: Literal["stop-instance"] = "stop-instance"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"stop {self.name}"


@dataclass(frozen=True)
class ConfirmStopped:
    """See that no process of an instance is left."""

    name: str
    kind: Literal["confirm-stopped"] = "confirm-stopped"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"confirm that {self.name} has stopped"


@dataclass(frozen=True)
class EndSite:
    """Leave nothing of the app running on the site."""

    kind: Literal["end-site"] = "end-site"

    @property
    def title(self) -> str:
        """What a person reads."""
        return "end what supervises the app"


@dataclass(frozen=True)
class PurgeData:
    """Delete the data of a store, or with None everything the app keeps on the site. The only step that loses data.

    `volumes` are further ones by name: those that services, which are no stores, keep data in.
    """

    store: str | None
    volumes: tuple[str, ...] = ()
    kind: Literal["purge-data"] = "purge-data"

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"DELETE the data of {self.store or 'the whole app'}"


AnyStep = Annotated[
    InitStore
    | PrepareStore
    | RunTask
    | ConfigureDoor
    | StartInstance
    | WaitReady
    | Shift
    | ConfirmShift
    | Drain
    | StopInstance
    | ConfirmStopped
    | SeeOff
    | AwaitFarewell
    | EndSite
    | PurgeData
    | LoadImage
    | FetchImage
    | BuildImage
    | PlaceFolder
    | ClearAway
    | ClaimNames
    | LeadNames
    | OpenMachineDoor
    | Ensure
    | ProveLogin
    | JoinLink
    | ConfirmLink
    | LeaveLink
    | StopOthers
    | StartOthers
    | TakeData
    | SetMaintenance
    | BackUp
    | Rehearse
    | Migrate
    | EndMigration
    | Restore,
    Field(discriminator="kind"),
]

_INSTANCE = TypeAdapter(Instance)


def instance_to_json(instance: Instance) -> dict[str, Any]:
    """Plain JSON data of an instance."""
    plain: dict[str, Any] = _INSTANCE.dump_python(instance, mode="json")
    return plain


def instance_from_json(plain: dict[str, Any]) -> Instance:
    """The instance that `instance_to_json` wrote; ValueError when it is none."""
    return _INSTANCE.validate_python(plain)


def inverse(step: AnyStep, before: dict[str, Any]) -> tuple[AnyStep, ...]:
    """The steps that lead back to what `step` found; none where there is nothing to take back.

    Data is never taken back: what a store or a task wrote stays. `before` holds, by kind of step:
    start-instance `{"instance": J or null}` (what ran under that name), stop-instance and see-off the same, shift
    `{"upstreams": [...]}`, configure-door `{"routes": digest or null}`, claim-names as `claimed_before` has it.
    """
    match step:
        case StartInstance(instance):
            return () if before.get("instance") else (StopInstance(instance.name, instance.stop_within),)
        case StopInstance() | SeeOff():
            return _started_again(before)
        case WaitReady(name, _, drain) if drain:
            return (Drain(name, drain),)
        case Shift(service, _):
            upstreams = tuple(before.get("upstreams", ()))
            confirm = (ConfirmShift(service, upstreams),) if upstreams else ()
            return (Shift(service, upstreams), *confirm)
        case ConfigureDoor():
            return (ConfigureDoor(before["routes"]),) if before.get("routes") else ()
        case _:
            return _back_elsewhere(step, before)


def _back_elsewhere(step: AnyStep, before: dict[str, Any]) -> tuple[AnyStep, ...]:
    """The same, of the kinds that have a module of their own."""
    match step:
        case StopOthers():
            return back_to_others(step, before)
        case LeadNames():
            return (LeadNames(before["revision"]),) if before.get("revision") else ()
        case ClaimNames():
            return claimed_before(before)
        case JoinLink() | LeaveLink():
            return back(step, before)
        case Rehearse() | Migrate():
            return end_of(step)
        case _:
            return ()


def _started_again(before: dict[str, Any]) -> tuple[AnyStep, ...]:
    plain = before.get("instance")
    if not plain:
        return ()
    instance = instance_from_json(plain)
    return (StartInstance(instance), WaitReady(instance.name, instance.ready.within, instance.drain))
