"""The local site's data: made whole or not at all, opened by the version that wrote it, deleted only on purpose."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.lab.local_lab import PASSWORDS, POSTGRES, QUEUE, make_lab

from towline.core.errors import StepFailed
from towline.drivers.local import postgres
from towline.steps.kinds import InitStore, PurgeData, StartInstance

if TYPE_CHECKING:
    from pathlib import Path


def test_leftovers_of_a_crashed_initdb_are_cleared(tmp_path: Path) -> None:
    """A half-made folder is no data: it is made anew; what is whole is left alone."""
    lab = make_lab(tmp_path)
    try:
        half = lab.home / "data" / ".db.new"
        half.mkdir(parents=True)
        (half / "PG_VERSION").write_text("18\n")
        assert lab.site.observe().stores == ()
        lab.store("db", "postgres", POSTGRES)
        assert postgres.why_no_login(lab.port("db"), "post cards", PASSWORDS["db.password"], 'po"st') is None
        assert not half.exists()
        assert lab.carry(InitStore("db", "postgres", "18", POSTGRES))[0].already
    finally:
        lab.close()


def test_data_of_another_major_version_is_refused(tmp_path: Path) -> None:
    """PostgreSQL of any other major, Valkey only of a newer one; the sentence names both."""
    lab = make_lab(tmp_path)
    try:
        server = lab.store("db", "postgres", POSTGRES)
        lab.stop("db")
        version = lab.home / "data" / "db" / "PG_VERSION"
        for other in ("19", "17"):
            version.write_text(f"{other}\n")
            assert lab.site.observe().stores[0].major == other
            with pytest.raises(StepFailed, match=f"postgres {other}, and the server here is 18") as caught:
                lab.carry(StartInstance(server))
            assert caught.value.hint
            with pytest.raises(StepFailed):
                lab.carry(InitStore("db", "postgres", "18", POSTGRES))
        version.write_text("18\n")
        lab.start(server)
        queue_server = lab.store("queue", "redis", QUEUE)
        lab.stop("queue")
        mark = next((lab.home / "data" / "queue").glob("towline-*"))
        mark.write_text("redis 10\n")
        with pytest.raises(StepFailed, match="redis 10, and the server here is 9"):
            lab.carry(StartInstance(queue_server))
        mark.write_text("redis 8\n")
        lab.start(queue_server)
        assert mark.read_text() == "redis 9\n"
    finally:
        lab.close()


def test_purging_deletes_one_store_and_only_when_it_does_not_run(tmp_path: Path) -> None:
    """Running data is refused; then the data, its port and its marker are gone, and the other store is whole."""
    lab = make_lab(tmp_path)
    try:
        server = lab.store("queue", "redis", QUEUE)
        lab.store("cache", "redis", {**QUEUE, "use": "cache"})
        with pytest.raises(StepFailed, match="still runs"):
            lab.carry(PurgeData("queue"))
        lab.stop("queue")
        with pytest.raises(StepFailed, match="cache still runs"):
            lab.carry(PurgeData(None))
        lab.carry(PurgeData("queue"))
        facts = lab.site.observe()
        assert [one.name for one in facts.stores] == ["cache"]
        assert "queue" not in facts.ports
        assert "prepare:queue" not in facts.tasks
        with pytest.raises(StepFailed, match="no place for its data"):
            lab.carry(StartInstance(replace(server, revision="r2")))
    finally:
        lab.close()
    lab.carry(PurgeData(None))
    left = {one.name for one in lab.home.iterdir()}
    assert left <= {"journal.jsonl", "lock.json", ".lock.json.lock", "salt"}
    assert lab.site.observe().stores == ()
    assert lab.site.journal()
