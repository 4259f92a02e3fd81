"""Release commands that change a database on a real host: backed up, rehearsed, stopped, broken, taken back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.lab.hosted_app import ON_HOSTS
from tests.lab.migrated_shop import DATABASE, FIRST, HOME, IMAGES, Notes, notes
from tests.real_servers import until

from towline.lab.images import bake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from towline.lab.host import Lab, LabHost

pytestmark = [*ON_HOSTS, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def first(lab: Lab, lab_hosts: tuple[LabHost, LabHost], tmp_path_factory: pytest.TempPathFactory) -> Notes:
    """The app with a table and a row in it, deployed once for all tests of this file."""
    bake(lab.docker, ["python:3.11-slim", *IMAGES[1:]])
    host = lab_hosts[0].reset(suite="bookworm", docker=True)
    made = notes(tmp_path_factory.mktemp("host"), lab, host)
    made.write(FIRST, "insert into orders (note) values ($$first$$)")
    said = made.ship()
    assert "rehearse" not in said
    assert made.backups() == []
    return made


@pytest.fixture
def deployed(first: Notes, failed: Callable[[], bool]) -> Iterator[Notes]:
    """It; each test leaves it running and well, one that fails too."""
    yield first
    if failed():
        first.write("drop table if exists half", rehearse=False)
        first.mend()


def test_an_addition_is_backed_up_rehearsed_and_done(deployed: Notes) -> None:
    """The plan tells it; a whole backup lies on the host, restored once; nothing of the rehearsal is left."""
    before = deployed.running()
    deployed.write("alter table orders add column if not exists total integer", version="added")
    said = deployed.ship()
    assert "rehearse the release command on a restored copy of db" in said
    assert "takes nothing away" in said
    assert "orders AccessExclusive" in said
    assert "total" in deployed.columns()
    newest = deployed.backups()[0]
    assert (newest["store"], newest["why"], newest["tables"]) == ("db", "release", 1)
    assert newest["restored"] >= newest["at"]
    modes = deployed.host.ssh(f"find {HOME}/backups -perm /077 -o -empty").stdout
    assert modes == ""
    assert "rehearsal" not in " ".join(deployed.running())
    assert len(deployed.running()) <= len(before)
    # Another environment alone is no other migration.
    deployed.write("alter table orders add column if not exists total integer", version="again")
    assert "rehearse" not in deployed.ship()
    assert deployed.backups()[0] == newest


def test_what_is_taken_away_stops_the_release_and_the_way_back(deployed: Notes) -> None:
    """Stopped with words; done when allowed; no rollback after it, until the backup of before is restored."""
    deployed.write("alter table orders add column if not exists remark text", version="whole")
    deployed.ship()
    running, columns = deployed.running(), deployed.columns()
    deployed.write("alter table orders drop column if exists remark", version="poorer")
    stopped = deployed.towline("deploy", "production", "--yes")
    assert stopped.returncode == 4, stopped.stderr
    assert "drop-column orders.remark: column remark of orders is gone" in stopped.stderr
    assert "nothing was changed" in stopped.stderr
    assert "towline deploy production --allow 'drop-column orders.remark'" in stopped.stderr
    assert (deployed.running(), deployed.columns()) == (running, columns)

    said = deployed.ship("--allow", "drop-column orders.remark")
    assert "takes away drop-column orders.remark, as allowed" in said
    assert "remark" not in deployed.columns()
    backup = deployed.backups()[0]["name"]
    refused = deployed.towline("rollback", "-t", "production")
    assert refused.returncode == 3, refused.stderr
    assert f"towline restore production {backup}" in refused.stderr

    deployed.sql("insert into orders (note) values ('written since')")
    unnamed = deployed.towline("restore", "production", backup, "--name", "productoin")
    assert (unnamed.returncode, "remark" in deployed.columns()) == (3, False)
    restored = deployed.towline("restore", "production", backup, "--name", "production")
    assert restored.returncode == 0, restored.stderr
    assert "remark" in deployed.columns()
    assert deployed.sql("select count(*) from orders where note = 'written since'") == ["0"]
    aside = deployed.sql("select datname from pg_database where datname like 'notes_before_%'")
    assert len(aside) == 1
    back = deployed.towline("rollback", "-t", "production")
    assert back.returncode == 0, back.stderr
    assert "<title>Directory listing" in deployed.answers()
    intents = [one["intent"] for one in json.loads(deployed.towline("history", "-t", "production", "--json").stdout)]
    assert intents[-2:] == ["restore", "rollback"]


def test_a_command_that_fails_in_its_rehearsal_changes_nothing(deployed: Notes) -> None:
    """Its last words are told; nothing of the rehearsal is left."""
    running, columns = deployed.running(), deployed.columns()
    deployed.write("alter table orders add column half text", "select nothing from nowhere", version="broken")
    failed = deployed.towline("deploy", "production", "--yes")
    assert failed.returncode == 4, failed.stderr
    assert 'relation "nowhere" does not exist' in failed.stderr
    assert "in its rehearsal" in failed.stderr
    assert (deployed.running(), deployed.columns()) == (running, columns)


def test_a_lock_of_others_is_not_waited_for_and_the_way_out_is_told(deployed: Notes) -> None:
    """The statement is cancelled, even of a tool that sets no limit itself; the half that was done is told."""
    hold = f"""{DATABASE} -c "begin; insert into orders (note) values ('open'); select pg_sleep(900); rollback" """
    deployed.host.ssh(f"nohup {hold} >/dev/null 2>&1 </dev/null &")
    others = "pg_stat_activity where query like '%pg_sleep(900)%' and pid <> pg_backend_pid()"
    until(lambda: deployed.sql(f"select state from {others}") == ["active"], "the lock")
    running = deployed.running()
    deployed.write(
        "set lock_timeout = 0",
        "create table half ()",
        "alter table orders add column late text",
        version="late",
        lock_timeout="1s",
    )
    try:
        failed = deployed.towline("deploy", "production", "--yes")
    finally:
        deployed.sql(f"select pg_terminate_backend(pid) from {others}")
    assert failed.returncode == 4, failed.stderr
    assert "canceling statement due to" in failed.stderr
    assert "held back by session" in failed.stderr
    assert "left db changed" in failed.stderr
    backup = deployed.backups()[0]["name"]
    assert f"towline restore production {backup}" in failed.stderr
    assert "late" not in deployed.columns()
    assert deployed.running() == running
    assert "<title>Directory listing" in deployed.answers()
    deployed.sql("drop table half")


def kill_batch(deployed: Notes, container: str) -> None:
    """Kill the program of the batch on the host as soon as a container runs, and leave the container alone."""
    seen = f"docker ps --format '{{{{.Names}}}}' | grep -qx {container}"
    ran = deployed.host.ssh(
        f"until {seen}; do sleep 0.1; done; pkill -KILL -f '[s]h /run/towline[.]' && echo killed", within=300
    )
    assert ran.stdout == "killed\n", ran.stderr


def test_killed_in_its_rehearsal_it_is_resumed(deployed: Notes) -> None:
    """The backup stays as it is, the rehearsal is done anew, and nothing of the first one is left."""
    deployed.write("select pg_sleep(5)", "alter table orders add column if not exists resumed text", version="resumed")
    operator = deployed.start("deploy", "production", "--yes")
    kill_batch(deployed, "notes-production-rehearsal")
    operator.communicate(timeout=120)
    assert operator.returncode != 0
    assert "resumed" not in deployed.columns()
    resumed = deployed.towline("resume", "-t", "production")
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed" in deployed.columns()
    assert "rehearsal" not in " ".join(deployed.running())


def test_killed_at_work_it_is_taken_back(deployed: Notes) -> None:
    """The command and what it asked of the server are ended; the version before serves."""
    deployed.write(
        "begin; alter table orders add column killed text; select pg_sleep(600); commit",
        version="killed",
        rehearse=False,
    )
    operator = deployed.start("deploy", "production", "--yes")
    kill_batch(deployed, "notes-production-release")
    operator.communicate(timeout=120)
    back = deployed.towline("rollback", "-t", "production")
    assert back.returncode == 0, back.stderr
    assert not [one for one in deployed.running() if one.startswith("notes-production-release")]
    assert "<title>Directory listing" in deployed.answers()
    until(lambda: "killed" not in deployed.columns(), "the end of the transaction")
