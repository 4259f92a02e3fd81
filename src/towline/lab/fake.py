"""A site that is not there: a whole Driver over a world in memory or in a folder, which fails and crashes on demand."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from towline.core.errors import Fenced, LockHeld, SiteUnreachable, StepFailed
from towline.core.secret import Secret
from towline.lab import world as worlds
from towline.lab import world_door, world_links
from towline.lab.keep import Keep, Memory
from towline.release.journal import fold, number_of
from towline.steps.carry import Desk, carry_out
from towline.steps.model import Facts, InstanceFact, Lease, Room, StoreFact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from towline.lab.world import World
    from towline.steps.kinds import AnyStep
    from towline.steps.model import Batch, Before, Line, Stretch

    Watcher = Callable[[Literal["before", "after"], World, AnyStep], None]

Point = Literal["before began", "began", "act", "acted", "done"]
POINTS: tuple[Point, ...] = ("before began", "began", "act", "acted", "done")
"""Where a process can die in a step: before it is written down, after that, in the middle of the act, after the act and
before `done` is written down, after that."""

_STATES = {"half": "starting", "stopping": "starting"}
"""How the remains of a crash are reported."""


class Crash(BaseException):
    """The process that carries out a plan is gone: no `except Exception` may see it."""


@dataclass(frozen=True)
class Failure:
    """Steps whose title holds `title` fail, after half of the act."""

    title: str
    sentence: str
    evidence: tuple[str, ...] = ()


class FakeSite:
    """A Driver whose world is a dictionary.

    `clock` gives the seconds that leases run by. `watchers` are called before and after each act, and raise when they
    see what must never be. A fault stays until `heal`.
    """

    def __init__(
        self,
        site: str,
        keep: Keep | None = None,
        clock: Callable[[], float] = time.monotonic,
        watchers: tuple[Watcher, ...] = (),
    ) -> None:
        self._site = site
        self.keep: Keep = Memory() if keep is None else keep
        self._clock = clock
        self._watchers = watchers
        self._crash: tuple[int | str, Point] | None = None
        self._failures: list[Failure] = []
        self._reachable = True
        self._steps = -1

    @property
    def site(self) -> str:
        """The name of the site."""
        return self._site

    def crash_at(self, step: int | Literal["plan", "ended"], point: Point) -> None:
        """Die at a point of the step of that number, counted from 0 from now on.

        Or at an entry of the engine's own: "before began" is before it is written down, "done" after.
        """
        self._crash, self._steps = (step, point), -1

    def fail(self, title: str, sentence: str, *evidence: str) -> None:
        """Let steps fail whose title holds `title`."""
        self._failures.append(Failure(title, sentence, evidence))

    def cut(self) -> None:
        """Let nothing get through any more."""
        self._reachable = False

    def heal(self) -> None:
        """No more faults."""
        self._crash, self._failures, self._reachable = None, [], True

    def break_instance(self, name: str) -> None:
        """Let an instance crash where it runs."""
        with self._opened() as world:
            world["instances"][name]["state"] = "crashed"

    def observe(self) -> Facts:
        """What is there now."""
        with self._opened() as world:
            instances = [(entry["instance"], entry["state"]) for entry in world["instances"].values()]
            taken = {*(one["port"] for one, _ in instances), *world["ports"].values()}
            releases, begun = self._releases()
            return Facts(
                site=self._site,
                instances=tuple(
                    InstanceFact(
                        one["name"],
                        one["service"],
                        one["revision"],
                        _STATES.get(state, state),
                        one["port"],
                        one["drain"],
                        one["stop_within"],
                    )
                    for one, state in sorted(instances, key=lambda pair: str(pair[0]["name"]))
                ),
                stores=tuple(
                    StoreFact(name, one["kind"], one["major"], world["ports"].get(name))
                    for name, one in sorted(world["stores"].items())
                ),
                upstreams={name: tuple(to) for name, to in sorted(world["upstreams"].items())},
                tasks=dict(world["tasks"]),
                door=world["door"],
                releases=releases,
                begun=begun,
                ports=dict(world["ports"]),
                names=world_door.names(world),
                led_to=world.get("led_to"),
                machine_door=world_door.machine_door(world),
                link=world_links.seen(world),
                link_key=f"key of {self._site}",
                room=Room(ports=tuple(port for port in range(20000, 20200) if port not in taken)),
                salt=Secret(f"salt of {self._site}"),
            )

    def acquire(self, owner: str, seconds: float) -> Lease:
        """Take the lock. Raises LockHeld while somebody else holds it."""
        with self._opened() as world:
            lock = world["lock"]
            left = lock["until"] - self._clock()
            if lock["owner"] not in ("", owner) and left > 0:
                raise LockHeld(f"{lock['owner']} holds `{self._site}` for another {left:.0f} s", hint="towline status")
            world["lock"] = {"owner": owner, "fence": lock["fence"] + 1, "until": self._clock() + seconds}
            return Lease(owner, world["lock"]["fence"])

    def renew(self, lease: Lease, seconds: float) -> None:
        """Hold the lock from now on. Raises Fenced after a takeover."""
        with self._opened() as world:
            self._permit(world, lease)
            world["lock"]["until"] = self._clock() + seconds

    def release(self, lease: Lease) -> None:
        """Give the lock back."""
        with self._opened() as world:
            if world["lock"]["fence"] == lease.fence:
                world["lock"] |= {"owner": "", "until": 0.0}

    def stash(self, contents: Mapping[str, Secret], lease: Lease) -> None:
        """Keep what the contents are about: of routes the services and their ports, of an environment nothing.

        A fake runs nothing, so that no value needs to lie here.
        """
        with self._opened() as world:
            self._permit(world, lease)
            world["stash"] |= {digest: _routed(secret) for digest, secret in contents.items()}

    def carry_out(self, work: Batch | Stretch, lease: Lease, run: str) -> Iterator[Line]:
        """Do the steps of a batch, or crash or fail as told."""
        return carry_out(work, self, Desk(self._write, self._permitted), lease=lease, run=run)

    def record(self, line: Line, lease: Lease) -> None:
        """Append a line of the engine."""
        self._permitted(lease)
        self._write(line)

    def journal(self) -> tuple[Line, ...]:
        """All lines."""
        self._reach()
        return self.keep.lines()

    def holds(self, step: AnyStep) -> str | None:
        """What is seen when there is nothing left to do."""
        self._steps += 1
        with self._opened() as world:
            return worlds.holds(world, step)

    def before(self, step: AnyStep) -> Before:
        """What is there before the act."""
        with self._opened() as world:
            found = worlds.before(world, step)
        self._dies(self._steps, "before began")
        return found

    def apply(self, step: AnyStep) -> str:
        """Do it, or half of it."""
        with self._opened() as world:
            self._watch("before", world, step)
            failure = next((one for one in self._failures if one.title in step.title), None)
            if failure is not None or self._crash == (self._steps, "act"):
                worlds.act_half(world, step)
                self._watch("after", world, step)
                self._dies(self._steps, "act")
            if failure is not None:
                raise StepFailed(failure.sentence, evidence=failure.evidence)
            saw = worlds.act(world, step)
            self._watch("after", world, step)
            return saw

    def _write(self, line: Line) -> None:
        if line.step is None:
            self._dies(line.event, "before began")
            self.keep.append(line)
            self._dies(line.event, "done")
            return
        if line.event == "done":
            self._dies(self._steps, "act")  # a step that held already has no act to die in
            self._dies(self._steps, "acted")
        self.keep.append(line)
        if line.event in ("began", "done"):
            self._dies(self._steps, "began" if line.event == "began" else "done")

    def _dies(self, place: int | str, point: Point) -> None:
        if self._crash == (place, point):
            raise Crash(f"{self._site}: {point} of {place}")

    def _watch(self, moment: Literal["before", "after"], world: World, step: AnyStep) -> None:
        for watcher in self._watchers:
            watcher(moment, world, step)

    def _opened(self) -> AbstractContextManager[World]:
        self._reach()
        return self.keep.opened()

    def _reach(self) -> None:
        if not self._reachable:
            raise SiteUnreachable(f"site `{self._site}` does not answer")

    def _permitted(self, lease: Lease) -> None:
        with self._opened() as world:
            self._permit(world, lease)

    def _permit(self, world: World, lease: Lease) -> None:
        lock = world["lock"]
        if lock["fence"] > lease.fence:
            who = lock["owner"] or "somebody else"
            raise Fenced(
                f"{who} has taken over `{self._site}`; nothing more is changed from here", hint="towline status"
            )

    def _releases(self) -> tuple[tuple[int, ...], int]:
        lines = self.keep.lines()
        finished = fold(line for line in lines if line.step is None).releases
        return finished, max((number_of(line.run) for line in lines), default=0)


def _routed(secret: Secret) -> dict[str, int | None] | None:
    """The services that routes lead to, with their fixed ports; None for other contents."""
    try:
        plain = json.loads(secret.reveal())
    except ValueError:
        return None
    services = plain.get("services") if isinstance(plain, dict) else None
    return {one["name"]: one.get("port") for one in services} if isinstance(services, list) else None
