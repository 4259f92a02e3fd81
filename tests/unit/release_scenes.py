"""A few readable lines become a bundle, and fake sites to deploy it on: the language of the release cases.

db postgres r1                     a store; `major=17` is the version of its data
api web r2 x2 after=db             two copies; kinds: web, worker, single (swap after), fixed (web at a fixed port)
page static r1                     built files
seed task r1                       runs to its end; with revision `always` it leaves no marker
release task r1 on=db              the release command, on a database perhaps; `setup=m1` on a service is its setup task
box2/gen worker r1                 on another site than `box`
link link 1 with=box2 opens=db     an end of the private link
door 7081                          the front door's port, else 7080; there is one where a service has traffic
door r1 names=a.example,b.example  one behind the door of the machine, of which `form=2` is wanted
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from towline.artifacts.migrations import Migration
from towline.artifacts.model import Bundle, ServiceArtifact, SiteBundle, StoreArtifact
from towline.artifacts.ports import Ports
from towline.core.secret import Secret
from towline.lab.fake import FakeSite
from towline.lab.invariants import ConfirmedFirst, NeverTwice, Served
from towline.lab.keep import Memory
from towline.release.build import build
from towline.release.down import plan_down, plan_purge
from towline.release.engine import Outcome, run
from towline.release.lock import held
from towline.steps.container import Container
from towline.steps.door import OpenMachineDoor, PublicNames
from towline.steps.kinds import InitStore, Instance, PrepareStore, Probe, RunTask
from towline.steps.links import JoinLink, Opening, Peer, interface_of
from towline.steps.migration import CopyServer, Database
from towline.steps.model import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from towline.lab.world import World
    from towline.steps.model import Facts, Plan

TRAFFIC = ("web", "fixed", "static")
RUNS: dict[str, Literal["postgres", "redis", "bucket"]] = {
    "postgres": "postgres",
    "redis": "redis",
    "bucket": "bucket",
}
CASES = Path(__file__).resolve().parent.parent / "cases" / "release"

SINGLES = ("relay", "old")
"""Services that no case may ever run twice."""


@dataclass(frozen=True)
class Thing:
    """One line of a scene."""

    site: str
    name: str
    kind: str
    revision: str
    copies: int = 1
    options: dict[str, str] = field(default_factory=dict)


def things(text: str) -> tuple[Thing, ...]:
    """The lines of a scene."""
    return tuple(_thing(line.split()) for line in text.splitlines() if line.strip())


def _thing(words: list[str]) -> Thing:
    site, _, name = words[0].rpartition("/")
    kind, revision, *rest = ("door", *words[1:]) if name == "door" else words[1:]
    copies = next((int(word[1:]) for word in rest if word[0] == "x"), 1)
    options = dict(word.split("=") for word in rest if "=" in word)
    return Thing(site or "box", name, kind, revision, copies, options)


def bundle_of(scene: Iterable[Thing], facts: Mapping[str, Facts]) -> Bundle:
    """What should be, with the ports that the sites' facts leave free."""
    by_site: dict[str, list[Thing]] = {}
    for thing in scene:
        by_site.setdefault(thing.site, []).append(thing)
    return Bundle("shop", "test", tuple(_part(site, some, facts[site]) for site, some in by_site.items()))


def _part(site: str, scene: list[Thing], facts: Facts) -> SiteBundle:
    ports, contents = Ports(facts), dict[str, Secret]()
    by_name = sorted(scene, key=lambda thing: thing.name)
    stores = {one.name: _store(one, ports, contents) for one in by_name if one.kind in RUNS}
    services = [one for one in by_name if one.kind not in (*RUNS, "door", "link") and one.name != "release"]
    made = {one.name: _service(one, ports, contents) for one in services}
    release = next((_task(one, contents) for one in scene if one.name == "release"), None)
    on = next((one.options["on"] for one in scene if one.name == "release" and "on" in one.options), None)
    traffic = [one.name for one in services if one.kind in TRAFFIC]
    door = next((one for one in scene if one.kind == "door"), Thing(site, "door", "door", "7080")) if traffic else None
    shared = door if door is not None and "names" in door.options else None
    told = door is not None and shared is None
    routes = _stashed(json.dumps({"services": [{"name": name} for name in traffic]}), contents) if told else None
    return SiteBundle(
        site=site,
        stores=tuple(stores[one.name] for one in scene if one.name in stores),
        services=tuple(made[one.name] for one in scene if one.name in made),
        release_task=release,
        door=_shared_door(shared) if shared else _door(door.revision) if door else None,
        routes=routes,
        contents=contents,
        link=next((_link(one) for one in scene if one.kind == "link"), None),
        migration=None if on is None else _migration(on),
        names=PublicNames((), tuple(shared.options["names"].split(","))) if shared else None,
        machine_door=OpenMachineDoor(int(shared.options.get("form", "1")), "caddy", "acme") if shared else None,
    )


def _migration(store: str) -> Migration:
    """What surrounds a release command on the database of a store."""
    database = Database(store, "shop", "shop")
    copy = CopyServer(Container("rehearsal-db", "postgres"), None, database)
    rehearsal = Container("rehearsal", "shop")
    return Migration((database,), rehearsal, (copy,), 5, (), 5.0, "rehearsal")


def _link(thing: Thing) -> JoinLink:
    """An end of the private link; its revision is the number of the host in it."""
    others = enumerate(thing.options["with"].split(","), start=101)
    peers = tuple(Peer(one, f"key of {one}", f"10.200.0.{n}", f"192.0.2.{n}:21000") for n, one in others)
    openings = (Opening("db", 5432, tuple(one.address for one in peers)),) if "opens" in thing.options else ()
    return JoinLink(interface_of("shop", "test"), f"10.200.0.{thing.revision}", 21000, peers, openings)


def _stashed(text: str, contents: dict[str, Secret]) -> str:
    digest = digest_of(text)
    contents[digest] = Secret(text)
    return digest


def _door(port: str) -> Instance:
    return Instance("door", "door", port, "door", Probe("tcp", 10.0), port=int(port))


def _shared_door(thing: Thing) -> Instance:
    container = Container("door", "caddy")
    ready = Probe("lives", 10.0)
    return Instance(f"door.{thing.revision}", "door", thing.revision, "door", ready, drain=30.0, container=container)


def _store(thing: Thing, ports: Ports, contents: dict[str, Secret]) -> StoreArtifact:
    port = ports.kept(thing.name)
    settings = {"password": _stashed(f"{thing.name} {thing.revision}", contents)}
    server = Instance(
        thing.name,
        thing.name,
        thing.revision,
        RUNS[thing.kind],
        Probe("tcp", 30.0),
        port=port,
        settings=settings,
        stop_within=20.0,
    )
    return StoreArtifact(
        init=InitStore(thing.name, thing.kind, thing.options.get("major", "18"), settings),
        server=server,
        prepare=PrepareStore(thing.name, thing.kind, port, settings),
        holds_requests=thing.kind == "bucket",
    )


def _service(thing: Thing, ports: Ports, contents: dict[str, Secret]) -> ServiceArtifact:
    after = tuple(name for name in thing.options.get("after", "").split(",") if name)
    copies = (
        () if thing.kind in ("static", "task") else tuple(_copy(thing, n, ports, contents) for n in _numbers(thing))
    )
    tasks = (_task(thing, contents),) if thing.kind in ("static", "task") else ()
    if "setup" in thing.options:
        setup = RunTask(f"setup {thing.name}", thing.name, ("install",), "/app", 60.0, marker=thing.options["setup"])
        tasks = (setup, *tasks)
    upstreams = tuple(f"127.0.0.1:{one.port}" for one in copies if one.port)
    return ServiceArtifact(
        name=thing.name,
        instances=copies,
        upstreams=(thing.revision,) if thing.kind == "static" else upstreams,
        swap="after" if thing.kind in ("single", "fixed") else "beside",
        swap_reason={"single": "it is `single`", "fixed": "its port is fixed"}.get(thing.kind, ""),
        tasks=tasks,
        after=after,
    )


def _numbers(thing: Thing) -> range:
    return range(1, thing.copies + 1)


def _copy(thing: Thing, number: int, ports: Ports, contents: dict[str, Secret]) -> Instance:
    name = f"{thing.name}.{thing.revision}.{number}"
    port = {"web": lambda: ports.of_instance(name), "fixed": lambda: 8000}.get(thing.kind, lambda: None)()
    traffic = thing.kind in TRAFFIC
    return Instance(
        name=name,
        service=thing.name,
        revision=thing.revision,
        runs="service",
        ready=Probe("http" if traffic else "lives", 30.0),
        port=port,
        command=("serve", thing.name),
        env=_stashed(f"environment of {name} at {port}", contents),
        stop_within=10.0 if traffic else 120.0,
        drain=30.0 if traffic else 0.0,
    )


def _task(thing: Thing, contents: dict[str, Secret]) -> RunTask:
    return RunTask(
        name={"static": f"build {thing.name}", "task": f"task {thing.name}"}[thing.kind]
        if thing.name != "release"
        else "release",
        service=thing.name,
        command=("run", thing.name),
        cwd="/app",
        within=600.0,
        env=_stashed(f"task {thing.name} {thing.revision}", contents),
        marker=None if thing.revision == "always" else thing.revision,
        output="dist" if thing.kind == "static" else None,
        container=Container("release", f"shop:{thing.revision}", command=("/bin/sh", "-c", "migrate"))
        if "on" in thing.options
        else None,
    )


class Rehearsal:
    """Fake sites, and an operator who deploys scenes on them; `worlds` outlive the operator."""

    def __init__(self, worlds: dict[str, Memory]) -> None:
        self.worlds = worlds
        self.sites = {
            name: FakeSite(name, keep, watchers=(NeverTwice(*SINGLES), Served(), ConfirmedFirst()))
            for name, keep in worlds.items()
        }
        self.home = self.sites[min(self.sites)]

    def copied(self) -> Rehearsal:
        """A copy of the worlds, with a new operator who knows nothing."""
        return Rehearsal({name: keep.copied() for name, keep in self.worlds.items()})

    def facts(self) -> dict[str, Facts]:
        """What the sites answer."""
        return {name: site.observe() for name, site in self.sites.items()}

    def plan(self, scene: str) -> tuple[Plan, dict[str, dict[str, Secret]]]:
        """The plan that leads to a scene, and the contents to stash; `DOWN` and `PURGE store` are scenes too."""
        words, facts = scene.split(), self.facts()
        if words[:1] == ["DOWN"]:
            return plan_down("shop", "test", facts, bundle_of(things(scene.replace("DOWN", "")), facts)), {}
        if words[:1] == ["PURGE"]:
            return plan_purge("shop", "test", facts, words[1] if len(words) > 1 else None), {}
        bundle = bundle_of(things(scene), facts)
        return build(bundle, facts), {part.site: dict(part.contents) for part in bundle.sites}

    def prepare(self, scene: str) -> Plan:
        """The plan that leads to a scene, its contents stashed."""
        plan, contents = self.plan(scene)
        with held(self.sites, "the one who stashes") as hold:
            for site, some in contents.items():
                self.sites[site].stash(some, hold.leases[site])
        return plan

    def carry_out(self, plan: Plan) -> Outcome:
        """Run a plan under the locks."""
        with held(self.sites, "operator") as hold:
            return run(plan, self.sites, hold, self.home)

    def deploy(self, scene: str) -> Outcome:
        """From a scene to the sites."""
        return self.carry_out(self.prepare(scene))

    def whole(self) -> dict[str, World]:
        """All of the worlds, save locks and stashes."""
        return {name: _without(keep, "lock", "stash") for name, keep in self.worlds.items()}

    def moving(self, *crashed: str) -> dict[str, World]:
        """What a rollback gives back: what runs, and where traffic goes; data, files and markers stay as they are.

        Of a copy that had crashed before, only that it is there: it may have been started again.
        """
        left_out = ("lock", "stash", "tasks", "stores", "files", "ports", "up")
        worlds = {name: _without(keep, *left_out) for name, keep in self.worlds.items()}
        for world in worlds.values():
            # A later door of the machine stays: others are behind it by now.
            world["machine_door"] = bool(world["machine_door"])
            if not any(one["instance"]["runs"] == "door" for one in world["instances"].values()):
                del world["door"]
            for name in crashed:
                world["instances"].get(name, {})["state"] = "any"
        return worlds


def _without(keep: Memory, *left_out: str) -> World:
    with keep.copied().opened() as world:
        return {name: world[name] for name in sorted(world) if name not in left_out}


def empty_sites(*names: str) -> Rehearsal:
    """Sites where nothing ever was."""
    return Rehearsal({name: Memory() for name in names})


@dataclass(frozen=True)
class Case:
    """A file of `tests/cases/release`: a heading, what was there, what should be, and the plan between the two.

    Before `-----`: the scene that was deployed, then perhaps taken down (`DOWNED`), with copies that `CRASHED`.
    """

    path: Path
    before: str
    after: str
    expected: str

    @property
    def crashed(self) -> tuple[str, ...]:
        """The copies that had crashed."""
        return tuple(line.split()[1] for line in self.before.split("\n") if line.startswith("CRASHED"))

    def rehearsal(self) -> Rehearsal:
        """Sites in the state before."""
        words = self.before.split("\n")
        orders = [line.split() for line in words if line.isupper() or line.startswith("CRASHED")]
        scene = "\n".join(line for line in words if line.split() not in orders and not line.startswith("#"))
        names = {thing.site for text in (scene, self.after) if "PURGE" not in text for thing in _things_of(text)}
        rehearsal = empty_sites(*sorted(names | {"box"}))
        if scene.strip():
            assert rehearsal.deploy(scene).ok
        for order in orders:
            if order == ["DOWNED"]:
                assert rehearsal.deploy("DOWN").ok
            else:
                rehearsal.home.break_instance(order[1])
        return rehearsal


def _things_of(text: str) -> tuple[Thing, ...]:
    return things(text.replace("DOWN", ""))


def cases() -> tuple[Case, ...]:
    """All cases, by name of file."""
    return tuple(_case(path) for path in sorted(CASES.glob("*.txt")))


def _case(path: Path) -> Case:
    before, after, expected = path.read_text().split("-----\n")
    return Case(path, before, after, expected)
