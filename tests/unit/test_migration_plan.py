"""When a release command is backed up and rehearsed first, and what forbids the way back after it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from tests.unit.artifact_scenes import service

from towline.artifacts.migrations import Migration, migration_of
from towline.artifacts.model import Bundle, SiteBundle, StoreArtifact
from towline.core.errors import Refused
from towline.release.build import build
from towline.release.journal import Begun, Run, State
from towline.release.migrate import form_mark, refuse_way_back, took_away
from towline.release.pieces import pieces
from towline.spec.model import App, Binding, ReleaseCommand, Store
from towline.steps.container import Container, Mount, Network
from towline.steps.kinds import InitStore, Instance, PrepareStore, Probe, RunTask, inverse
from towline.steps.migration import Database, EndMigration, Migrate, Rehearse
from towline.steps.model import Facts, InstanceFact, Plan, StoreFact, digest_of

COMMAND = ReleaseCommand("api", ("/bin/sh", "-c", "migrate"), backup_first=True, within=60.0, allow=("drop-table old",))


def container(name: str, image: str = "shop-api:1") -> Container:
    return Container(
        f"shop-{name}",
        image,
        command=("migrate",),
        networks=(Network(f"to-{name}", internal=True),),
        mounts=(Mount("volume", f"shop-{name}-data", "/data"),),
        published=("5432/tcp",),
    )


def store(name: str, runs: str = "postgres") -> StoreArtifact:
    server = Instance(name, name, "r1", runs, Probe("lives", 60.0), env=f"env of {name}", container=container(name))  # type: ignore[arg-type]
    settings = {"user": "app", "database": "shop"}
    return StoreArtifact(InitStore(name, runs, "18"), server, PrepareStore(name, runs, 0, settings))


def task(image: str = "shop-api:1", marker: str = "m1") -> RunTask:
    made = container("release", image)
    return RunTask("release", "api", ("migrate",), "", 60.0, env="e1", marker=marker, container=made)


def app(command: ReleaseCommand = COMMAND, *stores: str) -> App:
    known = tuple(_store(name) for name in stores or ("db", "queue"))
    bindings = tuple(Binding("api", f"{one.name}_URL", one.name, "url") for one in known)
    return App("shop", Path(), (), known, bindings, command, None)


def _store(name: str) -> Store:
    return Store(
        name=name,
        kind="postgres" if "db" in name else "redis",
        use=None,
        public=None,
        service=None,
        image=None,
        major=None,
        user="app",
        database="shop",
    )


def surrounding(command: ReleaseCommand = COMMAND, *names: str) -> Migration | None:
    stores = [store("db"), store("queue", "redis"), store("files", "bucket")]
    return migration_of(app(command, *names), task(), stores, lambda name: f"shop-{name}")


def facts(**tasks: str) -> Facts:
    running = (InstanceFact("db", "db", "r1", "ready"),)
    made = {"prepare:db": digest_of({"user": "app", "database": "shop"})}
    return Facts("box", running, (StoreFact("db", "postgres", "18"),), tasks={**made, **tasks}, begun=6)


def kinds(
    seen: Facts, image: str = "shop-api:1", command: ReleaseCommand = COMMAND, exact: str | None = None
) -> list[str]:
    """The kinds of steps that a deploy of the release command alone has, with the names of their stages."""
    made = task(image, exact or image)
    assert made.container is not None
    made = replace(made, container=replace(made.container, exact=exact))
    part = SiteBundle("box", (store("db"),), (), made, None, None, {}, migration=surrounding(command))
    plan = build(Bundle("shop", "test", (part,)), {"box": seen})
    return [f"{stage.name}: {step.kind}" for stage in plan.stages for batch in stage.batches for step in batch.steps]


def beside_maria(command: ReleaseCommand = COMMAND, *names: str) -> Migration | None:
    """What surrounds the command where a MariaDB and a Mongo are services of its host, and these are its stores."""
    servers = (
        service("maria", "stateful", image="docker.io/library/mariadb:10.11@sha256:11"),
        service("mongo", "stateful", image="mongo:7"),
        service("mysql", image="mysql:8"),
    )
    here = [store(name, "postgres" if "db" in name else "redis") for name in names]
    return migration_of(app(command, *names), task(), here, lambda name: f"shop-{name}", servers)


FIRST = ["back up and rehearse: back-up", "back up and rehearse: rehearse"]


def test_before_anything_is_changed_it_is_rehearsed() -> None:
    """Backup and rehearsal are the first stage where the database answers, and the command comes after the stores."""
    assert kinds(facts()) == [*FIRST, "release: migrate"]
    stopped = replace(facts(), instances=())
    assert kinds(stopped) == ["servers: start-instance", "servers: wait-ready", *FIRST, "release: migrate"]


def test_an_empty_database_has_nothing_to_back_up() -> None:
    """The first release only runs its command."""
    assert [one for one in kinds(Facts("box")) if "release" in one or "back" in one] == ["release: migrate"]


def test_the_same_command_in_the_same_image_is_not_rehearsed_again() -> None:
    """With another environment it runs; with the same one it does not."""
    part = pieces(
        "box",
        Bundle("shop", "test", (SiteBundle("box", (), (), task(), None, None, {}, migration=surrounding()),)),
        {"box": facts()},
    )
    (step,) = part.release(anything=True)
    assert isinstance(step, Migrate)
    done = {form_mark("release"): step.form}
    assert kinds(facts(release="another", **done)) == ["release: migrate"]
    assert kinds(facts(release="shop-api:1", **done)) == []
    assert kinds(facts(release="m1", **done), "shop-api:2") == [*FIRST, "release: migrate"]
    # A tag that means another image by now is another image.
    assert kinds(facts(release="m1", **done), exact="shop-api@sha256:22") == [*FIRST, "release: migrate"]


def maria_kinds(seen: Facts, migration: Migration | None) -> list[str]:
    """The kinds of steps of a release command beside a MariaDB."""
    part = SiteBundle("box", (), (), task(), None, None, {}, migration=migration)
    made = pieces("box", Bundle("shop", "test", (part,)), {"box": seen})
    return [step.kind for step in (*made.safety(anything=True, early=True), *made.release(anything=True))]


def test_a_server_in_a_service_is_backed_up_and_the_command_stays_a_task() -> None:
    """Where its image can dump it, and it runs; nothing is rehearsed, and that is told."""
    found = beside_maria(COMMAND, "queue")
    assert found is not None
    assert found.beside == (Database("maria", "", "", "mysql"),)
    assert (found.databases, found.rehearsal, found.copies) == ((), None, ())
    assert found.notes == ("the release command is not rehearsed on maria: only a backup is taken",)
    running = Facts("box", (InstanceFact("maria-r1-1", "maria", "r1", "ready"),))
    assert maria_kinds(running, found) == ["back-up", "run-task"]
    assert maria_kinds(Facts("box"), found) == ["run-task"]
    off = beside_maria(replace(COMMAND, backup_first=False), "queue")
    assert maria_kinds(running, off) == ["run-task"]


def test_a_server_in_a_service_is_backed_up_with_the_databases() -> None:
    """The rehearsal is of the others."""
    found = beside_maria(COMMAND, "db")
    seen = replace(facts(), instances=(*facts().instances, InstanceFact("maria-r1-1", "maria", "r1", "ready")))
    assert maria_kinds(seen, found) == ["back-up", "back-up", "rehearse", "migrate"]


def test_what_is_switched_off_is_told() -> None:
    """Without a backup there is nothing to rehearse on; each has its sentence in the plan."""
    bare, plain = replace(COMMAND, backup_first=False), replace(COMMAND, rehearse=False)
    assert kinds(facts(), command=bare) == ["release: migrate"]
    assert kinds(facts(), command=plain) == [FIRST[0], "release: migrate"]
    for command, word in ((bare, "`backup_first` is off"), (plain, "`rehearse` is off")):
        found = surrounding(command)
        assert found is not None
        assert word in found.notes[0]


def test_a_database_elsewhere_is_not_rehearsed_and_that_is_told() -> None:
    """A command that works on two databases cannot be rehearsed with one of them."""
    found = surrounding(COMMAND, "db", "other-db")
    assert found is not None
    assert found.rehearsal is None
    assert [one.store for one in found.databases] == ["db"]
    assert any("no backup of other-db" in note for note in found.notes)
    assert surrounding(COMMAND, "other-db") is None


def test_a_rehearsal_reaches_copies_only() -> None:
    """One network that leads nowhere, volumes that cannot be written to, copies that answer to their stores' names."""
    found = surrounding()
    assert found is not None
    assert found.rehearsal is not None
    assert found.rehearsal.networks == (Network("shop-rehearsal", internal=True),)
    assert [mount.read_only for mount in found.rehearsal.mounts] == [True]
    db, queue = found.copies
    assert [one.container.networks[0].aliases for one in found.copies] == [("db",), ("queue",)]
    assert [one.container.mounts[0].source for one in found.copies] == ["shop-rehearsal-db", "shop-rehearsal-queue"]
    assert not any(one.container.published for one in found.copies)
    assert (db.database is not None, queue.database) == (True, None)


def test_what_died_in_the_middle_is_ended_on_the_way_back() -> None:
    """Data stays; containers do not."""
    found = surrounding()
    assert found is not None
    assert found.rehearsal is not None
    rehearsal = Rehearse("7", found.copies, found.rehearsal, "e1", 60.0)
    command = Migrate("release", "api", container("release"), "e1", 60.0, "m1", network="shop-rehearsal")
    assert inverse(rehearsal, {}) == (EndMigration("shop-rehearsal", "shop-rehearsal"),)
    assert inverse(command, {}) == (EndMigration("shop-rehearsal", "shop-release"),)


def release(number: int, outcome: Literal["done", "failed"] = "done", before: dict[str, Any] | None = None) -> Run:
    """A release whose command found this; without it, it had none."""
    command = Migrate("release", "api", container("release"), "e1", 60.0, "m1")
    begun = () if before is None else (Begun("box", 0, 0, command, before, "done"),)
    return Run(str(number), Plan("shop", "test", number, "deploy", (), {}), (str(number),), outcome, begun)


def refused(*runs: Run, head: str = "new", taken_back_already: int = 0) -> str | None:
    """Why the newest of these releases, after release 5, cannot be taken back; None when it can."""
    known = (release(5), *runs)
    standing = tuple(one for one in known if one.number != taken_back_already)
    back_to = max(one.number for one in standing[:-1] if one.outcome == "done")
    try:
        refuse_way_back(took_away(State(known, standing), back_to), "test", {"box": {"head:db": head}})
    except Refused as error:
        return f"{error.sentence}: {error.hint}"
    return None


GONE: dict[str, Any] = {"head": {"db": "old"}, "destructive": ["drop-column orders.note"], "backup": "7"}


def test_the_way_back_is_closed_by_what_was_taken_away() -> None:
    """The report names it, and how to get there all the same."""
    told = refused(release(7, before=GONE))
    assert told is not None
    assert "drop-column orders.note" in told
    assert told.endswith("towline restore test 7\ntowline rollback -t test")
    unkept = refused(release(7, before={**GONE, "backup": None}))
    assert unkept is not None
    assert "there is no backup of before" in unkept


def test_what_a_failed_release_took_away_closes_it_too() -> None:
    """Release 7 failed after its command and was taken back; 8 found nothing to do any more, and finished."""
    assert refused(release(7, "failed", GONE), release(8), taken_back_already=7) is not None


def test_the_way_back_is_open() -> None:
    """Over additions, after a restore, and from a release that was never finished: the version before it serves."""
    assert refused(release(7, before={**GONE, "destructive": []})) is None
    assert refused(release(7, before=GONE), head="old") is None
    assert refused(release(7, "failed", GONE)) is None
    assert refused(release(7, before=GONE), release(8)) is None
