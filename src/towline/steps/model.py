"""Instances, facts, plans and journal lines: plain frozen data with digests, no secret value in any of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from pydantic import TypeAdapter

from towline.core.secret import Secret
from towline.steps.door import MachineDoor, PublicNames, TakenName
from towline.steps.images import ImageFact  # noqa: TC001 - of a field
from towline.steps.kinds import AnyStep  # noqa: TC001 - pydantic reads the annotation

Before = dict[str, Any]
"""What a step found before it acted: enough, with the step itself, to go back. JSON data, never a secret."""


@dataclass(frozen=True)
class InstanceFact:
    """An instance that a site reports: `state` is "ready", "starting", "leaving", "stopped" or "crashed".

    One that is leaving finishes what it has and stops, by itself: nobody plans with it any more. `drain` and
    `stop_within` are the limits that it was started with: no later file can shorten what it was promised.
    """

    name: str
    service: str
    revision: str
    state: str
    port: int | None = None
    drain: float = 0.0
    stop_within: float = 10.0


@dataclass(frozen=True)
class StoreFact:
    """A store's data on a site: the major version that wrote it, None when there is none yet."""

    name: str
    kind: str
    major: str | None
    port: int | None = None


@dataclass(frozen=True)
class Room:
    """What a site has left. Bytes; `ports` are free ones, best first. Changes all the time, so no digest covers it.

    Of a machine with an engine also its version and that of its API, `skew`, the seconds that its clock is ahead of
    ours, give or take the way there, and `holders`: who else listens at the ports of its door.
    """

    disk_free: int = 0
    memory_free: int = 0
    ports: tuple[int, ...] = ()
    engine: str = ""
    api: str = ""
    skew: float = 0.0
    holders: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What a site answered when asked what is there.

    `upstreams`: service to the addresses that its traffic goes to. `tasks`: task to the marker it was last done with.
    `door`: digest of the front door's routes. `releases`: numbers of the finished releases, oldest first;
    `link` is the digest of its end of the private link, `link_key` the public key that it has for one.
    `begun`: the highest number ever begun. `ports`: the ports that must stay the same (of stores, the
    door, the fixed addresses of services), also of what does not run. `salt` keys every digest of a secret here.
    `names` are the target's own on the machine, `taken` those of others; `led_to` is
    the front door that its names lead to, by its revision; `machine_door` is the one that leads from all names.
    `images` are all that it has, of any app; `architecture` is its processor as Docker calls it.
    """

    site: str
    instances: tuple[InstanceFact, ...] = ()
    stores: tuple[StoreFact, ...] = ()
    upstreams: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    door: str | None = None
    releases: tuple[int, ...] = ()
    begun: int = 0
    ports: dict[str, int] = field(default_factory=dict)
    link: str | None = None
    link_key: str = ""
    names: PublicNames = field(default_factory=PublicNames)
    led_to: str | None = None
    taken: tuple[TakenName, ...] = field(default=(), compare=False)
    machine_door: MachineDoor | None = field(default=None, compare=False)
    images: tuple[ImageFact, ...] = field(default=(), compare=False)
    architecture: str = field(default="", compare=False)
    room: Room = field(default=Room(), compare=False)
    salt: Secret = field(default=Secret(""), compare=False, repr=False)

    @property
    def digest(self) -> str:
        """Covers everything that a plan relies on.

        Not the room left nor other targets, which a step looks at itself, nor what has stopped or does so by itself.
        """
        plain = to_json(self)
        for changing in ("room", "taken", "machine_door", "images", "architecture"):
            del plain[changing]
        plain["instances"] = [one for one in plain["instances"] if one["state"] not in ("leaving", "stopped")]
        for several in ("instances", "stores"):
            plain[several] = sorted(plain[several], key=lambda one: str(one["name"]))
        return digest_of(plain)


@dataclass(frozen=True)
class Batch:
    """The steps of one stage on one site, done in order by one program. `stage` counts from 0."""

    site: str
    stage: int
    steps: tuple[AnyStep, ...]


@dataclass(frozen=True)
class Stage:
    """Batches that may run side by side, one a site; the next stage starts when all have ended."""

    name: str
    batches: tuple[Batch, ...]


@dataclass(frozen=True)
class Stretch:
    """Batches of stages in a row that concern one site alone, which it does one after the other, in one go.

    `opening` and `closing` are lines of the engine's own: the site writes one before the first step, the other after
    the last one unless a step has failed.
    """

    batches: tuple[Batch, ...]
    opening: Line | None = None
    closing: Line | None = None

    @property
    def site(self) -> str:
        """The site of all of them."""
        return self.batches[0].site

    @property
    def steps(self) -> tuple[AnyStep, ...]:
        """All steps in order."""
        return tuple(step for batch in self.batches for step in batch.steps)


Intent = Literal[
    "deploy", "down", "purge", "rollback", "resume", "scale", "restart", "maintenance", "backup", "restore"
]


@dataclass(frozen=True)
class Plan:
    """An ordered list of stages, with the facts it was made from.

    `facts`: site to digest. `release`: the number this plan makes, or goes back to. `notes`: what a person should know
    before saying yes, such as the pause of a swap `after`.
    """

    app: str
    target: str
    release: int
    intent: Intent
    stages: tuple[Stage, ...]
    facts: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Names this plan: equal plans have equal digests."""
        return digest_of(to_json(self))

    @property
    def steps(self) -> tuple[AnyStep, ...]:
        """All steps in order."""
        return tuple(step for stage in self.stages for batch in stage.batches for step in batch.steps)

    @property
    def empty(self) -> bool:
        """True when there is nothing to do."""
        return not self.steps


@dataclass(frozen=True)
class Lease:
    """The right to change a target: `fence` grows with every new holder, and a site refuses a smaller one."""

    owner: str
    fence: int


LineEvent = Literal["plan", "began", "done", "failed", "ended"]


@dataclass(frozen=True)
class Line:
    """One line of the journal.

    `run` names one pass of the engine: "7" for the deploy of release 7, "7.resume.1", "7.rollback.1".
    `stage` and `index` place a step in its plan. `began` carries `before`; `done` says whether it was `already` so and
    what was seen; `failed` carries evidence. `plan` carries the plan as JSON and who began the pass, in `by`; `ended`
    the outcome. `at` is for people.
    """

    at: str
    run: str
    event: LineEvent
    fence: int
    site: str = ""
    stage: int = -1
    index: int = -1
    step: AnyStep | None = None
    before: Before | None = None
    already: bool = False
    saw: str = ""
    sentence: str = ""
    hint: str = ""
    evidence: tuple[str, ...] = ()
    plan: dict[str, Any] | None = None
    outcome: str = ""
    seconds: float = 0.0
    by: str = ""


def as_stretch(work: Batch | Stretch) -> Stretch:
    """One batch is a stretch of its own."""
    return Stretch((work,)) if isinstance(work, Batch) else work


@dataclass(frozen=True)
class _Written:
    """What goes into a journal, as one type: every kind of step is looked through once, which takes a while."""

    plan: Plan | None = None
    line: Line | None = None


_WRITTEN = TypeAdapter(_Written)


def to_json(value: Plan | Line | Facts) -> dict[str, Any]:
    """Plain JSON data of a plan, a line or facts (without the salt)."""
    plain: dict[str, Any]
    match value:
        case Plan():
            plain = _WRITTEN.dump_python(_Written(plan=value), mode="json")["plan"]
        case Line():
            plain = _WRITTEN.dump_python(_Written(line=value), mode="json")["line"]
        case Facts():
            plain = dataclasses.asdict(value)
            del plain["salt"]
    return plain


def plan_from_json(plain: dict[str, Any]) -> Plan:
    """The plan that `to_json` wrote; ValueError when it is none."""
    return cast("Plan", _WRITTEN.validate_python({"plan": plain}).plan)


def line_from_json(plain: dict[str, Any]) -> Line:
    """The line that `to_json` wrote; ValueError when it is none."""
    return cast("Line", _WRITTEN.validate_python({"line": plain}).line)


def digest_of(plain: object) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of canonical JSON."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class InstanceStatus:
    """What a person wants to know of an instance: memory in bytes, uptime in seconds, `verdict` when it is not well.

    `state` is "starting", "ready", "waiting" (before a restart), "crashed" (given up), "stopping" or "stopped".
    """

    name: str
    service: str
    revision: str
    state: str
    pid: int | None
    port: int | None
    uptime: float
    restarts: int
    memory: int
    verdict: str | None
    last: tuple[str, ...]
    site: str = ""


@dataclass(frozen=True)
class LogLine:
    """One line that an instance of a site printed; `at` is ISO time, UTC; `stream` is "stdout" or "stderr"."""

    at: str
    instance: str
    service: str
    stream: str
    text: str
    site: str = ""
