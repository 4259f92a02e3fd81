"""What is taken over of an app that runs under Compose: decided from what runs, and never by half."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.artifact_scenes import app, service, store

from towline.artifacts.model import ServiceArtifact, SiteBundle, StoreArtifact
from towline.core.errors import Findings
from towline.release.adopt import adoption, plain_name, projects, with_adoption
from towline.steps.adopt import OtherContainer, OtherMount, StartOthers, StopOthers, TakeData
from towline.steps.container import Container, Mount
from towline.steps.kinds import InitStore, Instance, Probe, inverse
from towline.steps.model import Batch, Plan, Stage

NOBODY: frozenset[str] = frozenset()
APP = app(service("web"), service("index", "stateful"), stores=(store("db", "postgres"), store("queue", "redis")))


def instance(name: str, image: str, runs: str, *mounts: tuple[str, str]) -> Instance:
    """A copy that mounts volumes."""
    made = Container(name, image, mounts=tuple(Mount("volume", source, target) for source, target in mounts))
    return Instance(name, name, "r1", runs, Probe("lives", 1.0), container=made)  # type: ignore[arg-type]


def kept(name: str, kind: str, image: str, volume: str, target: str) -> StoreArtifact:
    """A store whose data is in one volume."""
    return StoreArtifact(InitStore(name, kind, "18"), instance(name, image, kind, (volume, target)), None)


def ran(name: str, *copies: Instance) -> ServiceArtifact:
    """A service of these copies."""
    return ServiceArtifact(name, copies, (), "after", "", (), ())


WANTED = SiteBundle(
    "box",
    (
        kept("db", "postgres", "postgres:18.6", "shop-db-data", "/var/lib/postgresql"),
        kept("queue", "redis", "valkey/valkey:9", "shop-queue-data", "/data"),
    ),
    (
        ran("web", instance("web", "shop/web:1", "service", ("shop-uploads", "/uploads"))),
        ran("index", instance("index", "meilisearch:1", "service", ("shop-index", "/meili_data"))),
    ),
    None,
    None,
    None,
    {},
)


def other(
    service: str, image: str, *mounts: OtherMount, ports: tuple[int, ...] = (), of: str = "old"
) -> OtherContainer:
    """A container of a Compose project."""
    return OtherContainer(f"{of}-{service}-1", of, service, image, "running", ports, mounts)


def mount(name: str, target: str, kind: str = "volume") -> OtherMount:
    """Ten bytes of data."""
    return OtherMount(kind, name if kind == "volume" else "", f"/volumes/{name}", target, 10)


RUNS = (
    other("db", "docker.io/library/postgres:18.6", mount("old_db", "/var/lib/postgresql")),
    other("queue", "valkey/valkey:9", mount("jobs", "/data", "bind")),
    other("web", "old-web", mount("old_files", "/uploads")),
    other("index", "meilisearch:1", mount("old_index", "/meili_data")),
    other("proxy", "traefik:3", ports=(80, 443)),
)


def test_everything_is_taken_and_what_keeps_data_ends_last() -> None:
    """Volumes and folders alike; a redis is told its server; the proxy and the web services end first."""
    found = adoption(APP, WANTED, RUNS, "old", NOBODY)
    assert found.stops == ("old-proxy-1", "old-web-1", "old-db-1", "old-index-1", "old-queue-1")
    assert [one.step for one in found.taken] == [
        TakeData("/volumes/old_db", "shop-db-data", "db", "postgres", "18"),
        TakeData("/volumes/jobs", "shop-queue-data", "queue", "redis", "18", "valkey/valkey:9", "valkey-server"),
        TakeData("/volumes/old_files", "shop-uploads"),
        TakeData("/volumes/old_index", "shop-index"),
    ]
    assert [one.source for one in found.taken] == ["old_db", "/volumes/jobs", "old_files", "old_index"]
    assert found.size == 40


def test_what_runs_nowhere_or_is_left_begins_empty() -> None:
    """A service that is new, one whose folder is not mounted, and one that is named: no step, and the reason."""
    runs = (other("web", "old-web"), RUNS[1])
    found = adoption(APP, WANTED, runs, "old", frozenset({"queue"}))
    assert [one.step for one in found.taken] == [None] * 4
    assert [one.why.partition(":")[0] for one in found.taken] == [
        "nothing of it runs there",
        "left behind, as you said",
        "nothing is mounted at /uploads",
        "nothing of it runs there",
    ]


def test_all_that_cannot_be_taken_is_told_at_once() -> None:
    """Another version, a volume in another place, the ports of the web in other hands."""
    runs = (
        other("db", "postgres:17.2", mount("old_db", "/var/lib/postgresql")),
        other("index", "meilisearch:1", mount("old_index", "/data.ms")),
        other("nginx", "nginx:1", ports=(443,), of="shared"),
        replace(other("stopped", "nginx:1", ports=(80,), of="shared"), state="exited"),
    )
    with pytest.raises(Findings) as refused:
        adoption(APP, WANTED, runs, "old", NOBODY)
    assert [one.code for one in refused.value.findings] == ["adopt-other-image", "adopt-no-volume", "adopt-port-taken"]
    assert all(one.hint for one in refused.value.findings)
    left = adoption(APP, WANTED, runs[:2], "old", frozenset({"db", "index"}))
    assert {one.step for one in left.taken} == {None}


def test_it_comes_before_everything_else_of_the_plan() -> None:
    """Two stages in front, the rest in its order, and the pause and the way back in its notes."""
    plan = Plan("shop", "production", 1, "deploy", (Stage("data", (Batch("box", 0, ()),)),), {}, ("one more",))
    plan = replace(plan, stages=(Stage("data", (Batch("box", 0, (InitStore("db", "postgres", "18"),)),)),))
    found = with_adoption(plan, "box", adoption(APP, WANTED, RUNS, "old", NOBODY))
    assert [one.name for one in found.stages] == ["stop what ran before", "take its data", "data"]
    assert [batch.stage for one in found.stages for batch in one.batches] == [0, 1, 2]
    assert len(found.notes) == 3
    assert "rollback -t production" in found.notes[1]


def test_the_way_back_starts_what_ran_last_first() -> None:
    """With the policies that they had; nothing where nothing ran."""
    step = StopOthers("old", ("web", "db"))
    before = {"running": [["web", "always"], ["db", "unless-stopped"]]}
    assert inverse(step, before) == (StartOthers("old", (("db", "unless-stopped"), ("web", "always"))),)
    assert inverse(step, {"running": []}) == ()
    assert inverse(TakeData("/volumes/old_db", "shop-db-data"), {}) == ()


def test_names() -> None:
    """What Docker Hub adds to a name is nothing; containers that somebody started by hand are no project."""
    assert plain_name("docker.io/library/postgres:18.6") == plain_name("postgres:18.6") == "postgres:18.6"
    alone = replace(RUNS[0], project="", service="")
    assert projects((*RUNS[:2], alone)) == {"old": frozenset({"db", "queue"})}
